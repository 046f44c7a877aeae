//! Pictures for tests from integer formulas, so that the reference values can be computed elsewhere.
//! `data/reference.py` makes the same ones.

use image::RgbImage;

/// Smooth ramp plus noise, and the same with more noise of strength `amplitude`.
pub(crate) fn pair(width: u32, height: u32, amplitude: i64) -> (RgbImage, RgbImage) {
    let noise = |x: i64, y: i64, c: i64, seed: i64| {
        let n = (x * 7919 + y * 104_729 + c * 1_299_709 + seed * 15_485_863) % 65_521;
        (n * n % 65_521) % 64 - 32
    };
    let value = |x: u32, y: u32, c: i64| {
        let (x, y) = (i64::from(x), i64::from(y));
        let smooth = 78 + 100 * ((x * (3 + c) + y * 5) % 97) / 97;
        let a = (smooth + noise(x, y, c, 1).div_euclid(2)).clamp(0, 255);
        let b = (a + (noise(x, y, c, 2) * amplitude).div_euclid(32)).clamp(0, 255);
        (a as u8, b as u8)
    };
    let first = RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([0, 1, 2].map(|c| value(x, y, c).0))
    });
    let second = RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([0, 1, 2].map(|c| value(x, y, c).1))
    });
    (first, second)
}

/// Pair, PSNR and MS-SSIM by `data/reference.py` (numpy 2.4.6, scipy 1.17.1, all in f64).
pub(crate) const REFERENCE: [(u32, u32, i64, f64, f64); 3] = [
    (192, 176, 10, 32.85458875526259, 0.9945149484658943),
    (177, 191, 32, 22.801674100205865, 0.9523302778293843),
    (256, 161, 100, 12.961482817373959, 0.724582556746463),
];

//! Picture metrics against the values of other programs, made by `data/reference_tools.py`: PSNR by numpy 2.4.6, MS-SSIM by
//! pytorch-msssim 1.0.0 in f64, SSIMULACRA 2.1 by its author's program (github.com/cloudinary/ssimulacra2 81feacf) and
//! Butteraugli by libjxl's own library (aea3a06e). The same on photographs is in
//! `docs/data/metric-validation.json`, by `examples/validate_metrics.rs`.

use codec_eval::RgbImage;
use codec_eval::metrics::image::{butteraugli, ms_ssim, psnr_rgb, ssimulacra2};

/// A picture of `value(x, y, channel)`.
fn picture(width: u32, height: u32, value: impl Fn(i64, i64, i64) -> i64) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([0, 1, 2].map(|c| value(x.into(), y.into(), c).clamp(0, 255) as u8))
    })
}

fn noise(x: i64, y: i64, c: i64, seed: i64) -> i64 {
    let n = (x * 7919 + y * 104_729 + c * 1_299_709 + seed * 15_485_863) % 65_521;
    (n * n % 65_521) % 64 - 32
}

fn original(width: u32, height: u32) -> RgbImage {
    picture(width, height, |x, y, c| {
        let smooth = 78 + 100 * ((x * (3 + c) + y * 5) % 97) / 97;
        smooth + noise(x, y, c, 1).div_euclid(8)
    })
}

/// The same with every value changed.
fn changed(original: &RgbImage, value: impl Fn(i64, i64, i64, i64) -> i64) -> RgbImage {
    let (width, height) = original.dimensions();
    picture(width, height, |x, y, c| {
        let old = original.get_pixel(x as u32, y as u32)[c as usize];
        value(old.into(), x, y, c)
    })
}

#[test]
fn other_programs_agree() {
    let (even, odd) = (original(192, 176), original(177, 191));
    let noisy = |strength: i64| {
        move |old: i64, x, y, c| old + (noise(x, y, c, 2) * strength).div_euclid(32)
    };
    let smeared = changed(&odd, |old, x, y, c| match x {
        0 => old,
        _ => (old + i64::from(odd.get_pixel(x as u32 - 1, y as u32)[c as usize])) / 2,
    });
    // PSNR, MS-SSIM, SSIMULACRA2, Butteraugli (max and 3-norm).
    let cases = [
        (
            &even,
            changed(&even, noisy(4)),
            [
                40.73292886645946,
                0.9989335244284625,
                90.95620291,
                1.1809258461,
                0.6702257087,
            ],
        ),
        (
            &odd,
            changed(&odd, noisy(32)),
            [
                22.801674100205865,
                0.9468919406695951,
                25.75357073,
                7.5658359528,
                4.248906846,
            ],
        ),
        (
            &even,
            changed(&even, |old, _, _, _| old / 24 * 24 + 12),
            [
                31.35286662433234,
                0.9902088108512186,
                75.76424951,
                3.0827353001,
                1.8600134618,
            ],
        ),
        (
            &odd,
            smeared,
            [
                28.178588233886256,
                0.9843497693386062,
                64.22205287,
                4.1271677017,
                2.0105276098,
            ],
        ),
    ];
    for (original, decoded, theirs) in cases {
        let distance = butteraugli(original, &decoded).unwrap();
        let ours = [
            psnr_rgb(original, &decoded).unwrap(),
            ms_ssim(original, &decoded).unwrap(),
            ssimulacra2(original, &decoded).unwrap(),
            distance.max,
            distance.norm3,
        ];
        println!("{ours:?} {theirs:?}");
        // PSNR is the same sum; the package filters MS-SSIM by a window in f32; the other three are programs in f32, where
        // no more than 4e-6 was seen on one processor.
        for (i, tolerance) in [1e-9, 1e-5, 1e-4, 1e-4, 1e-4].into_iter().enumerate() {
            let apart = (ours[i] - theirs[i]).abs() / theirs[i].abs();
            assert!(apart < tolerance, "{i}: {} against {}", ours[i], theirs[i]);
        }
    }
}

//! Losses against the metrics of `codec-eval` and against reference numbers.

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use codec_train::losses::ms_ssim;
use image::RgbImage;

fn picture(width: u32, height: u32, seed: u32, other: Option<(&RgbImage, f32)>) -> RgbImage {
    let mut state = seed;
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([0u32, 1, 2].map(|c| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 24) as f32 - 128.0;
            match other {
                Some((picture, strength)) => {
                    (f32::from(picture.get_pixel(x, y)[c as usize]) + noise * strength) as u8
                }
                None => {
                    (128.0 + 80.0 * ((x + 2 * y + 40 * c) as f32 / 23.0).sin() + noise * 0.3) as u8
                }
            }
        }))
    })
}

fn tensor(picture: &RgbImage) -> Tensor<Flex, 4> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let values: Vec<f32> = picture
        .as_raw()
        .iter()
        .map(|&v| f32::from(v) / 255.0)
        .collect();
    Tensor::<Flex, 3>::from_data(
        TensorData::new(values, [height, width, 3]),
        &Default::default(),
    )
    .permute([2, 0, 1])
    .unsqueeze()
}

/// Even and odd sides, light and heavy damage, two pictures in a batch. Both filter in f32.
#[test]
fn ms_ssim_equals_the_metric() {
    for (width, height, strength) in [
        (192, 176, 0.05),
        (177, 191, 0.3),
        (256, 161, 0.8),
        (161, 161, 0.01),
    ] {
        let a = picture(width, height, 1, None);
        let b = picture(width, height, 2, Some((&a, strength)));
        let expected = codec_eval::metrics::image::ms_ssim(&a, &b).unwrap();
        let pair = |x: &RgbImage, y: &RgbImage| Tensor::cat(vec![tensor(x), tensor(y)], 0);
        let found: Vec<f32> = ms_ssim(pair(&b, &a), pair(&a, &a))
            .unwrap()
            .into_data()
            .into_vec()
            .unwrap();
        assert!(
            (f64::from(found[0]) - expected).abs() < 1e-6,
            "{width}x{height}: {} instead of {expected}",
            found[0]
        );
        assert_eq!(found[1], 1.0);
    }
}

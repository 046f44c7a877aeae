//! Losses against the metrics of `codec-eval` and against reference numbers.

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use codec_train::losses::lpips::{Backbone, Lpips};
use codec_train::losses::ms_ssim;
use image::RgbImage;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::path::Path;

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

/// Convolutions of torchvision's AlexNet: place, channels in and out, kernel.
const ALEXNET: [(usize, usize, usize, usize); 5] = [
    (0, 3, 64, 11),
    (3, 64, 192, 5),
    (6, 192, 384, 3),
    (8, 384, 256, 3),
    (10, 256, 256, 3),
];

/// Writes tensors of random values in `low..high`.
fn write_random(path: &Path, shapes: Vec<(String, Vec<usize>)>, [low, high]: [f32; 2]) {
    let mut state = 7u32;
    let bytes: Vec<Vec<u8>> = shapes
        .iter()
        .map(|(_, shape)| {
            let values = (0..shape.iter().product::<usize>()).flat_map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (low + (high - low) * ((state >> 8) as f32 / 16_777_216.0)).to_le_bytes()
            });
            values.collect()
        })
        .collect();
    let views = shapes
        .into_iter()
        .zip(&bytes)
        .map(|((name, shape), bytes)| {
            let view = TensorView::new(Dtype::F32, shape, bytes).unwrap();
            (name, view)
        });
    serialize_to_file(views, None, path).unwrap();
}

/// The loss that training differentiates and the metric that `codec eval` reports are one distance.
#[test]
fn lpips_equals_the_metric() {
    let folder = tempfile::tempdir().unwrap();
    let (weights, heads) = (
        folder.path().join("alexnet.safetensors"),
        folder.path().join("heads.safetensors"),
    );
    let layers = ALEXNET.iter().flat_map(|&(at, input, output, kernel)| {
        [
            (
                format!("features.{at}.weight"),
                vec![output, input, kernel, kernel],
            ),
            (format!("features.{at}.bias"), vec![output]),
        ]
    });
    write_random(&weights, layers.collect(), [-0.04, 0.05]);
    let linear = ALEXNET.iter().enumerate();
    let linear =
        linear.map(|(i, layer)| (format!("lin{i}.model.1.weight"), vec![1, layer.2, 1, 1]));
    write_random(&heads, linear.collect(), [0.0, 1.0]);
    let loss =
        Lpips::<Flex>::load(Backbone::Alexnet, &weights, &heads, &Default::default()).unwrap();
    let metric = codec_eval::metrics::image::Lpips::load(&weights, &heads).unwrap();
    for (width, height, strength) in [(96, 80, 0.05), (67, 101, 0.5)] {
        let a = picture(width, height, 1, None);
        let b = picture(width, height, 2, Some((&a, strength)));
        let expected = metric.distance(&a, &b).unwrap();
        let found = f64::from(loss.forward(tensor(&a), tensor(&b)).unwrap().into_scalar());
        assert!(
            expected > 0.0 && (found / expected - 1.0).abs() < 1e-4,
            "{width}x{height}: {found} instead of {expected}"
        );
    }
}

//! Sizes of WaLLoC latents: this codec, PNG and lossless WebP of the authors' packed picture.
//!
//! `cargo run --release -p codec-image --example walloc_latents -- WEIGHTS.safetensors PICTURE.. [--write FOLDER]`
//!
//! The weights are a file of `codec models import` or `codec train`. With `--write` the packed pictures are kept, for other
//! lossless codecs.

use std::io::Cursor;
use std::path::Path;
use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use codec_core::Digest;
use codec_core::weights::WeightsFile;
use codec_image::models::Model;
use codec_image::models::walloc::{Latents, Walloc, pack};
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut paths: Vec<String> = std::env::args().skip(1).collect();
    let folder = match paths.iter().position(|arg| arg == "--write") {
        Some(at) => paths.drain(at..).nth(1),
        None => None,
    };
    let mut paths = paths.into_iter();
    let bytes = std::fs::read(paths.next().ok_or("no weights given")?)?;
    let digest = Digest::of(&bytes);
    let model = Model::<Walloc>::new(WeightsFile::from_bytes(&bytes)?, digest)?;
    let device = Default::default();
    let network = model.network::<Flex>(&device)?;
    let mut totals = [0usize; 4];
    println!("picture latents planes png webp bits/latent ms(encode) ms(decode)");
    for path in paths {
        let picture = image::open(&path)?.to_rgb8();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let pixels = picture.as_raw();
        let planar: Vec<f32> = (0..3)
            .flat_map(|c| pixels.iter().skip(c).step_by(3))
            .map(|&v| f32::from(v) / 255.0)
            .collect();
        let data = TensorData::new(planar, [1, 3, height, width]);
        let latents = network.latents(Tensor::from_data(data, &device))?;
        let clock = Instant::now();
        let coded = latents.to_bytes()?;
        let encoding = clock.elapsed();
        let clock = Instant::now();
        let decoded = Latents::from_bytes(&coded, latents.shape, latents.limit)?;
        assert_eq!(decoded, latents, "not lossless");
        let decoding = clock.elapsed();
        let packed = pack(&latents)?;
        let (w, h) = (packed.width as u32, packed.height as u32);
        let packed = match packed.colors {
            1 => GrayImage::from_raw(w, h, packed.samples).map(DynamicImage::ImageLuma8),
            _ => RgbImage::from_raw(w, h, packed.samples).map(DynamicImage::ImageRgb8),
        }
        .ok_or("the packed picture has another size")?;
        let size = |format| -> Result<usize, Failure> {
            let mut bytes = Cursor::new(Vec::new());
            packed.write_to(&mut bytes, format)?;
            Ok(bytes.into_inner().len())
        };
        let sizes = [
            coded.len(),
            size(ImageFormat::Png)?,
            size(ImageFormat::WebP)?,
        ];
        let name = Path::new(&path).file_stem().unwrap_or_default();
        let name = name.to_string_lossy();
        if let Some(folder) = &folder {
            packed.save(Path::new(folder).join(format!("{name}.png")))?;
        }
        let count = latents.values.len();
        println!(
            "{name} {count} {} {} {} {:.3} {:.0} {:.0}",
            sizes[0],
            sizes[1],
            sizes[2],
            8.0 * sizes[0] as f64 / count as f64,
            1e3 * encoding.as_secs_f64(),
            1e3 * decoding.as_secs_f64()
        );
        for (total, size) in totals.iter_mut().zip([count, sizes[0], sizes[1], sizes[2]]) {
            *total += size;
        }
    }
    let [count, planes, png, webp] = totals;
    println!(
        "all {count} {planes} {png} {webp} {:.3}",
        8.0 * planes as f64 / count.max(1) as f64
    );
    Ok(())
}

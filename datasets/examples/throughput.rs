//! Prints load time, memory and crop throughput for a folder: `cargo run --release -p codec-datasets --example
//! throughput -- DIR [WORKERS]`.

use codec_datasets::{CropConfig, CropSampler, ImageFolder, Prefetcher};
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: throughput DIR [WORKERS]")?;
    let workers = args.next().map_or(Ok(1), |text| text.parse())?;
    let started = Instant::now();
    let folder = Arc::new(ImageFolder::open(dir)?);
    println!(
        "{} pictures, {} skipped, {} MB, loaded in {:.2} s",
        folder.len(),
        folder.skipped().len(),
        folder.bytes() / 1_000_000,
        started.elapsed().as_secs_f64()
    );
    for skipped in folder.skipped() {
        println!("skipped {}: {}", skipped.path.display(), skipped.reason);
    }
    for rescale in [None, Some((0.5, 1.0))] {
        let config = CropConfig {
            rescale,
            ..CropConfig::default()
        };
        let sampler = Arc::new(CropSampler::new(folder.clone(), config)?);
        let started = Instant::now();
        let crops: usize = Prefetcher::spawn(sampler.clone(), 0, workers, 4)?
            .take(100)
            .map(|batch| batch.batch)
            .sum();
        println!(
            "256x256, rescale {rescale:?}, {} usable pictures, {workers} workers: {:.0} crops/s",
            sampler.usable(),
            crops as f64 / started.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

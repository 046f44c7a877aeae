//! Prints load time, memory and throughput for a data set: `cargo run --release -p codec-datasets --example throughput --
//! SOURCE [WORKERS] [CACHE_MB]`.

use codec_datasets::{Augment, Dataset, DatasetOptions, Kind, Prefetcher, SampleConfig, Sampler};
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let source = args
        .next()
        .ok_or("usage: throughput SOURCE [WORKERS] [CACHE_MB]")?;
    let workers = args.next().map_or(Ok(1), |text| text.parse())?;
    let cache: u64 = args.next().map_or(Ok(4096), |text| text.parse())?;
    let started = Instant::now();
    let options = DatasetOptions {
        cache: cache << 20,
        ..DatasetOptions::default()
    };
    let data = Arc::new(Dataset::open(source, &options)?);
    println!(
        "{} items ({}), {} MB decoded, {} MB kept, opened in {:.2} s",
        data.len(),
        data.kind(),
        data.decoded_bytes() / 1_000_000,
        data.cached_bytes() / 1_000_000,
        started.elapsed().as_secs_f64()
    );
    let variants = match data.kind() {
        Kind::Image => vec![
            ("plain", Augment::default()),
            (
                "rescale 0.5..1",
                Augment {
                    rescale: Some((0.5, 1.0)),
                    ..Augment::default()
                },
            ),
            (
                "colour",
                Augment {
                    saturation: 0.2,
                    hue: 0.05,
                    ..Augment::default()
                },
            ),
        ],
        Kind::Audio => vec![("plain", Augment::default())],
    };
    let size = match data.kind() {
        Kind::Image => 256,
        Kind::Audio => 24_000,
    };
    for (name, augment) in variants {
        let config = SampleConfig {
            size,
            augment,
            ..SampleConfig::default()
        };
        let sampler = Arc::new(Sampler::new(data.clone(), config)?);
        let started = Instant::now();
        let mut samples = 0;
        for batch in Prefetcher::spawn(sampler.clone(), 0, workers, 4)?.take(100) {
            samples += batch?.items.len();
        }
        println!(
            "size {size}, {name}, {} usable, {workers} workers: {:.0} samples/s",
            sampler.usable(),
            samples as f64 / started.elapsed().as_secs_f64()
        );
    }
    for skipped in data.skipped() {
        println!("skipped {}: {}", skipped.path.display(), skipped.reason);
    }
    Ok(())
}

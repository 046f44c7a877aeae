//! `codec bench --train`: speed of training steps by part.

use std::path::Path;

use anyhow::Context;
use codec::Device;
use codec::training::{BenchOptions, BenchReport, Recipe, bench};
use serde_json::{Value, json};

use super::bench::{BenchArgs, peak_memory};
use crate::console::{Console, print, print_json, size};
use crate::exit::Status;

/// Batches prepared ahead of the device.
const PREFETCH: usize = 4;

/// Runs the command.
///
/// # Errors
/// An unreadable recipe, and those of [`bench`].
pub fn run(recipe: &Path, args: &BenchArgs, console: &Console) -> anyhow::Result<Status> {
    let text = std::fs::read_to_string(recipe)
        .with_context(|| format!("cannot read recipe {}", recipe.display()))?;
    let recipe = Recipe::parse(&text)?;
    let device = args.device.open()?;
    let options = BenchOptions {
        stage: args.stage,
        warmup: args.warmup as u64,
        steps: args.runs as u64,
        pictures: args.pictures,
        prefetch: PREFETCH,
    };
    let report = bench(&recipe, &options, &device)?;
    if args.json {
        print_json(&document(&recipe, &report, args, &device))?;
    } else {
        print(&table(&recipe, &report, &device, console))?;
    }
    Ok(Status::Done)
}

/// Times of a step in milliseconds and shares; `other` is what no part covers.
fn parts(report: &BenchReport) -> Vec<(&'static str, f64, f64)> {
    let total = report.total.as_secs_f64().max(1e-9);
    let steps = report.steps.max(1) as f64;
    let named = report.times.parts();
    let covered: f64 = named.iter().map(|(_, time)| time.as_secs_f64()).sum();
    named
        .iter()
        .map(|(name, time)| (*name, time.as_secs_f64()))
        .chain([("other", (total - covered).max(0.0))])
        .map(|(name, seconds)| (name, 1e3 * seconds / steps, seconds / total))
        .collect()
}

fn table(recipe: &Recipe, report: &BenchReport, device: &Device, console: &Console) -> String {
    let mut text = format!(
        "{}  stage {}  {} crops of {} on {}\n",
        console.bold_out(&recipe.name),
        report.stage,
        report.batch,
        report.patch,
        device.name()
    );
    text += &format!(
        "{:.2} crops/s over {} steps, {} parameters\n\n",
        report.throughput(),
        report.steps,
        report.parameters
    );
    for (name, milliseconds, share) in parts(report) {
        text += &format!("{name:<10}{milliseconds:>9.1} ms{:>7.1}%\n", 100.0 * share);
    }
    match peak_memory() {
        Some(bytes) => text + &format!("\npeak memory {}\n", size(bytes)),
        None => text,
    }
}

fn document(recipe: &Recipe, report: &BenchReport, args: &BenchArgs, device: &Device) -> Value {
    let share: Value = parts(report)
        .iter()
        .map(|(name, _, share)| ((*name).to_owned(), json!(share)))
        .collect();
    json!({
        "schema": "codec.bench-train/1",
        "recipe": recipe.name,
        "stage": report.stage,
        "patch": report.patch,
        "batch": report.batch,
        "parameters": report.parameters,
        "data": if args.pictures { "pictures" } else { "noise" },
        "device": device.name(),
        "version": crate::version::long(),
        "warmup": args.warmup,
        "steps": report.steps,
        "seconds": report.total.as_secs_f64(),
        "crops_per_second": report.throughput(),
        "share": share,
        "peak_memory_bytes": peak_memory(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use codec::training::StepTimes;

    use super::*;

    #[test]
    fn parts_cover_the_whole_time() {
        let ms = Duration::from_millis;
        let report = BenchReport {
            stage: "float".into(),
            patch: 64,
            batch: 2,
            parameters: 1,
            steps: 10,
            total: ms(1000),
            times: StepTimes {
                data: ms(100),
                forward: ms(300),
                backward: ms(400),
                clip: ms(50),
                update: ms(50),
            },
        };
        let parts = parts(&report);
        assert_eq!(parts.len(), 6);
        let share: f64 = parts.iter().map(|(_, _, share)| share).sum();
        assert!((share - 1.0).abs() < 1e-9, "{share}");
        let (name, milliseconds, share) = parts[5];
        assert_eq!(name, "other");
        assert!((milliseconds - 10.0).abs() < 1e-6 && (share - 0.1).abs() < 1e-9);
        assert!((report.throughput() - 20.0).abs() < 1e-9);
    }
}

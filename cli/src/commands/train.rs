//! `codec train`: trains a model by a recipe.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use codec::training::{Outcome, Recipe, Resume, RunOptions, TrainError, plan, plot};

use crate::args::DeviceArgs;
use crate::console::{Console, print, print_json};
use crate::exit::{Status, usage};
use crate::interrupt;
use crate::watch::Watch;

/// Batches prepared ahead of the device.
const PREFETCH: usize = 4;

/// Train a model by a recipe.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  codec train recipes/wpmr.toml --out runs/wpmr
  codec train recipes/wpmr.toml --out runs/wpmr --resume auto
  codec train recipes/quick.toml --data photos --out runs/mine
  codec train recipes/wpmr.toml --out runs/tuned --init runs/wpmr --freeze encoder --set optim.lr=1e-4
  codec train recipes/wpmr.toml --out runs/wpmr --dashboard
  codec train --plot runs/wpmr
  codec train recipes/wpmr.toml --out runs/small --set model.synthesis_width=64 --dry-run
  codec train recipes/wpmr.toml --out runs/wpmr --devices cuda:0,cuda:1")]
pub struct TrainArgs {
    /// Recipe (TOML)
    #[arg(required_unless_present = "plot")]
    pub recipe: Option<PathBuf>,
    /// Run folder for checkpoints, metrics.jsonl and weights.safetensors
    #[arg(short, long, value_name = "DIR", required_unless_present = "plot")]
    pub out: Option<PathBuf>,
    /// Go on: auto for the newest checkpoint in the run folder, or a checkpoint
    #[arg(long, value_name = "auto|PATH", value_parser = parse_resume)]
    pub resume: Option<Resume>,
    /// Start from a weights file or a checkpoint; new layers start afresh
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub init: Option<PathBuf>,
    /// Leave parts as they are: encoder, decoder or a pattern of names; repeatable
    #[arg(long, value_name = "PART")]
    pub freeze: Vec<String>,
    /// Change an entry of the recipe, for instance optim.lr=1e-4; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Data instead of the recipe's: folder, shard, manifest or pattern; holds some out
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Seed, instead of the recipe's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Stop after this step, with a checkpoint
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Print size, cost and memory, run one step on noise, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Only draw the plots of a run folder again
    #[arg(long, value_name = "RUN", conflicts_with_all = ["recipe", "out"])]
    pub plot: Option<PathBuf>,
    /// Show charts and validations on the whole terminal; q stops as Ctrl-C does
    #[arg(long)]
    pub dashboard: bool,
    /// Print one JSON line per event on stdout
    #[arg(long)]
    pub json: bool,
    /// Where to train.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Where else to train.
    #[cfg(feature = "distributed")]
    #[command(flatten)]
    pub replicas: crate::commands::replicas::ReplicaArgs,
}

fn parse_resume(text: &str) -> Result<Resume, String> {
    Ok(match text {
        "auto" => Resume::Auto,
        path => Resume::From(path.into()),
    })
}

/// Runs the command.
///
/// # Errors
/// An unreadable recipe, and whatever stops the run.
pub fn run(args: &TrainArgs, console: &Console) -> anyhow::Result<Status> {
    let (path, out) = match (&args.plot, &args.recipe, &args.out) {
        (Some(run), ..) => return draw(run, console, true),
        (None, Some(recipe), Some(out)) => (recipe, out),
        _ => bail!("a recipe and a run folder are needed"), // clap has said so already
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read recipe {}", path.display()))?;
    let data = |recipe: &mut Recipe| {
        if let Some(data) = &args.data {
            recipe.data.train = data.clone().into();
            // The recipe's own need not be there, and would say little about other data: a share of these is held out.
            recipe.data.validation = None;
        }
    };
    let mut recipe = Recipe::parse_with(&text, data, &args.set).map_err(as_usage)?;
    recipe.seed = args.seed.unwrap_or(recipe.seed);
    recipe = recipe.freeze(&args.freeze).map_err(as_usage)?;
    let device = args.device.open()?;
    if args.dry_run {
        return dry_run(&recipe, &device, args.json);
    }
    let options = RunOptions {
        out: out.clone(),
        resume: args.resume.clone().unwrap_or(Resume::No),
        init: args.init.clone(),
        max_steps: args.max_steps,
        prefetch: PREFETCH,
    };
    let total = recipe.total_steps();
    let mut watch = Watch::new(console, args.json, args.dashboard, &recipe.name, total)?;
    let outcome = train(args, &recipe, &options, &device, &mut watch)?;
    drop(watch);
    // The run is whole without its plots.
    if let Err(error) = draw(out, console, false) {
        console.error(None, &error);
    }
    match outcome {
        Outcome::Interrupted => Ok(Status::Interrupted),
        Outcome::Finished | Outcome::Paused => {
            console.say(&format!(
                "weights: {}",
                out.join("weights.safetensors").display()
            ));
            Ok(Status::Done)
        }
    }
}

/// What is wrong with a recipe is wrong with the command line.
fn as_usage(error: TrainError) -> anyhow::Error {
    usage(error.to_string())
}

/// Draws the plots of a run folder; having nothing to draw is an error where they are what was asked for.
fn draw(run: &Path, console: &Console, asked: bool) -> anyhow::Result<Status> {
    let files = plot(run)?;
    match files.first().and_then(|file| file.parent()) {
        Some(folder) => console.say(&format!("plots: {}", folder.display())),
        None if asked => bail!("{} has no reports to draw yet", run.display()),
        None => {}
    }
    Ok(Status::Done)
}

fn train(
    args: &TrainArgs,
    recipe: &Recipe,
    options: &RunOptions,
    device: &codec::Device,
    watch: &mut Watch<'_>,
) -> anyhow::Result<Outcome> {
    let stop = interrupt::graceful();
    #[cfg(feature = "distributed")]
    if args.replicas.several() {
        let replicas = &args.replicas;
        let mut devices = Vec::new();
        for &choice in &replicas.devices {
            devices.push(codec::Device::open(choice)?);
        }
        if devices.is_empty() {
            devices.push(device.clone());
        }
        let (nodes, timeout) = (replicas.nodes(), replicas.timeout());
        return Ok(codec::distributed::train(
            recipe,
            options,
            &devices,
            nodes.as_ref(),
            timeout,
            stop,
            watch,
        )?);
    }
    #[cfg(not(feature = "distributed"))]
    let _ = args;
    Ok(codec::training::train(
        recipe, options, device, stop, watch,
    )?)
}

fn dry_run(recipe: &Recipe, device: &codec::Device, json: bool) -> anyhow::Result<Status> {
    let plan = plan(recipe, device)?;
    if json {
        print_json(&serde_json::json!({
            "schema": "codec.train-plan/2",
            "name": recipe.name,
            "parameters": plan.parameters,
            "discriminator_parameters": plan.discriminators,
            "unit": plan.macs.unit,
            "encode_macs": plan.macs.encode,
            "decode_macs": plan.macs.decode,
            "steps": plan.steps,
            "state_bytes": plan.state_bytes,
            "peak_bytes": plan.peak_bytes,
            "step": { "stage": plan.stage, "loss": plan.loss, "seconds": plan.seconds },
        }))?;
    } else {
        let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        let peak = plan.peak_bytes.map_or_else(
            || "not known here".to_owned(),
            |bytes| format!("{:.0} MiB in all", mib(bytes)),
        );
        let unit = plan.macs.unit;
        let against = match plan.discriminators {
            0 => String::new(),
            n => format!(" and {n} of discriminators"),
        };
        print(&format!(
            "{}: {} parameters{against}, {} steps in {} stages\n\
             cost: {:.1} kMAC/{unit} encoding, {:.1} decoding\n\
             memory: {:.0} MiB of weights, gradients, average and optimizers; {peak}\n\
             one step of stage {} on noise: {:.2} s, loss {:.4}\n",
            recipe.name,
            plan.parameters,
            plan.steps,
            recipe.stages.len(),
            plan.macs.encode / 1e3,
            plan.macs.decode / 1e3,
            mib(plan.state_bytes),
            plan.stage,
            plan.seconds,
            plan.loss,
        ))?;
    }
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;
    use crate::args::tests::parse;

    #[test]
    fn options_parse() {
        let line = "train r.toml --out run --resume auto --set a=1 --set b.c=2 --data d --seed 7 --max-steps 9 \
                    --freeze encoder --dry-run --dashboard --json --device cpu -j 2";
        let Command::Train(args) = parse(line).unwrap().command else {
            panic!()
        };
        assert_eq!(args.resume, Some(Resume::Auto));
        assert_eq!(args.set, ["a=1", "b.c=2"]);
        assert_eq!(args.freeze, ["encoder"]);
        assert_eq!((args.seed, args.max_steps), (Some(7), Some(9)));
        assert!(args.dry_run && args.dashboard && args.json);
        assert!(parse("train r.toml").is_err(), "--out is required");
        let Command::Train(args) = parse("train r.toml -o run --resume old/step-00000010")
            .unwrap()
            .command
        else {
            panic!()
        };
        assert_eq!(args.resume, Some(Resume::From("old/step-00000010".into())));
        let Command::Train(args) = parse("train --plot run").unwrap().command else {
            panic!()
        };
        assert_eq!(args.plot.as_deref(), Some(Path::new("run")));
        assert!(parse("train r.toml --out run --plot run").is_err());
    }
}

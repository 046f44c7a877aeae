//! Runs models and anchors over a data set.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use codec::Limits;
use codec::sound::{SoundReader, is_sound};
use codec_eval::html::{SampleMedia, SampleSet, Version};
use codec_eval::metrics::image::{Dists, Lpips};
use codec_eval::metrics::{self, Measure};
use codec_eval::{
    Codec, Dataset, Journal, Kind, Medium, Plan, RdCurve, RgbImage, Sound, align, anchors,
    published, report, tasks,
};

use super::subjects::{Pictures, Sounds};
use super::{EvalArgs, Format, Settings, compare, output};
use crate::commands::model_and_weights;
use crate::console::{Console, print};
use crate::exit::{Status, usage};
use crate::plan::PICTURES;
use crate::progress::Progress;

/// A codec and the settings that it is measured at.
type Subject<M> = (Box<dyn Codec<M>>, Vec<f64>);

/// Everything that one run measures.
struct Job<M> {
    data: Dataset<M>,
    subjects: Vec<Subject<M>>,
    measures: Vec<Box<dyn Measure<M>>>,
    /// What is not there.
    missing: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// As [`super::run`].
pub fn run(args: &EvalArgs, dataset: &Path, console: &Console) -> anyhow::Result<Status> {
    match kind(dataset)? {
        Kind::Image => {
            let data = Dataset::pictures(dataset)?;
            let keys = keys(args, metrics::image::USUAL, Kind::Image, |key| {
                metrics::image::of_key(key).is_some()
            })?;
            let mut measures =
                metrics::image::of_keys(&keys.iter().map(String::as_str).collect::<Vec<_>>());
            measures.extend(with_weights(args)?);
            if let Some((task, options)) = args.task.options() {
                measures.push(tasks::open_pictures(task, &options, Some(&data))?);
            }
            let job = Job {
                subjects: picture_models(args)?,
                measures,
                data: part(args, data)?,
                missing: Vec::new(),
            };
            measure(
                args,
                job,
                anchors::image::all(),
                console,
                SampleMedia::Picture,
            )
        }
        Kind::Audio => {
            if args.lpips.is_some() || args.dists.is_some() {
                return Err(usage("--lpips and --dists are of pictures"));
            }
            let data = sounds(dataset)?;
            let keys = keys(args, metrics::sound::USUAL, Kind::Audio, |key| {
                metrics::sound::of_key(key).is_some()
            })?;
            let mut measures: Vec<_> = keys
                .iter()
                .filter_map(|key| metrics::sound::of_key(key))
                .collect();
            if let Some((task, options)) = args.task.options() {
                measures.push(tasks::open_sounds(task, &options, Some(&data))?);
            }
            let job = Job {
                subjects: sound_models(args)?,
                measures,
                data: part(args, data)?,
                missing: Vec::new(),
            };
            measure(
                args,
                job,
                anchors::sound::all(),
                console,
                SampleMedia::Sound,
            )
        }
    }
}

/// The shard of the command line.
fn part<M>(args: &EvalArgs, data: Dataset<M>) -> anyhow::Result<Dataset<M>> {
    Ok(match args.shard {
        Some((i, n)) => data.shard(i, n)?,
        None => data,
    })
}

/// Metrics of networks whose weights are given.
fn with_weights(args: &EvalArgs) -> anyhow::Result<Vec<Box<dyn Measure<RgbImage>>>> {
    let mut found: Vec<Box<dyn Measure<RgbImage>>> = Vec::new();
    if let Some([backbone, heads]) = args.lpips.as_deref() {
        found.push(Box::new(Lpips::load(backbone, heads)?));
    }
    if let Some([backbone, weights]) = args.dists.as_deref() {
        found.push(Box::new(Dists::load(backbone, weights)?));
    }
    Ok(found)
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    known
        .iter()
        .any(|known| known.eq_ignore_ascii_case(extension))
}

fn sounds(root: &Path) -> anyhow::Result<Dataset<Sound>> {
    let accept = |path: &Path| has_extension(path, codec::sound::FileFormat::READ);
    Ok(Dataset::open(root, accept, |path| {
        let sound =
            SoundReader::from_file(std::fs::File::open(path)?, &Limits::default())?.read_all()?;
        Ok(Sound {
            sample_rate: sound.rate,
            channels: sound.channels,
        })
    })?)
}

/// Pictures or sound: what there is more of.
fn kind(dataset: &Path) -> anyhow::Result<Kind> {
    if dataset.is_file() {
        let head =
            std::fs::read(dataset).with_context(|| format!("cannot read {}", dataset.display()))?;
        return Ok(if is_sound(&head) {
            Kind::Audio
        } else {
            Kind::Image
        });
    }
    let count = |known: &'static [&'static str]| -> anyhow::Result<usize> {
        let accept = |path: &Path| has_extension(path, known);
        let all: Dataset<()> = Dataset::open(dataset, accept, |_| Ok(()))?;
        Ok(all.items.len())
    };
    let (pictures, sounds) = (count(PICTURES)?, count(codec::sound::FileFormat::READ)?);
    match (pictures, sounds) {
        (0, 0) => bail!(
            "{}: there are no pictures and no sounds in it",
            dataset.display()
        ),
        _ if sounds > pictures => Ok(Kind::Audio),
        _ => Ok(Kind::Image),
    }
}

/// The models of the command line: the built-in one if none is named, none with `--no-model`.
fn models<T>(
    args: &EvalArgs,
    open: impl Fn(Option<&str>, Option<&[u8]>) -> Result<T, codec::Error>,
) -> anyhow::Result<Vec<T>> {
    if args.no_model {
        return Ok(Vec::new());
    }
    if args.model.len() > 1 && args.weights.is_some() {
        return Err(usage("--weights goes with one model".to_owned()));
    }
    let named: Vec<Option<&str>> = match args.model.is_empty() {
        true => vec![None],
        false => args.model.iter().map(|name| Some(name.as_str())).collect(),
    };
    named
        .into_iter()
        .map(|name| {
            let (model, weights) = model_and_weights(name, args.weights.as_deref())?;
            Ok(open(model, weights.as_deref())?)
        })
        .collect()
}

fn picture_models(args: &EvalArgs) -> anyhow::Result<Vec<Subject<RgbImage>>> {
    let device = args.device.open()?;
    let codecs = models(args, |model, weights| {
        codec::Codec::open(model, weights, &device)
    })?;
    let subject = |codec| -> anyhow::Result<Subject<RgbImage>> {
        let subject = Pictures::new(codec, device.name(), args.effort);
        let settings = match &args.quality {
            Settings::List(list) if subject.qualities().len() > 1 => {
                if let Some(wrong) = list.iter().find(|quality| **quality > 100.0) {
                    return Err(usage(format!(
                        "invalid value '{wrong}' for --quality (expected 0..100)"
                    )));
                }
                list.clone()
            }
            _ => subject.qualities(),
        };
        Ok((Box::new(subject), settings))
    };
    codecs.into_iter().map(subject).collect()
}

fn sound_models(args: &EvalArgs) -> anyhow::Result<Vec<Subject<Sound>>> {
    let device = args.device.open()?;
    let codecs = models(args, |model, weights| {
        codec::AudioCodec::open(model, weights, &device)
    })?;
    let subject = |codec| -> Subject<Sound> {
        let subject = Sounds::new(codec, device.name());
        let settings = match &args.quality {
            Settings::List(list) => subject.nearest(list),
            Settings::All => subject.qualities(),
        };
        (Box::new(subject), settings)
    };
    Ok(codecs.into_iter().map(subject).collect())
}

/// Keys of the metrics of the command line, each once.
fn keys(
    args: &EvalArgs,
    usual: &[&str],
    kind: Kind,
    is_there: fn(&str) -> bool,
) -> anyhow::Result<Vec<String>> {
    let known: Vec<&str> = codec_eval::Metric::known(kind)
        .filter(|key| is_there(key))
        .collect();
    let mut keys: Vec<String> = Vec::new();
    for name in &args.metrics {
        let these: &[&str] = match name.as_str() {
            "usual" => usual,
            "all" => &known,
            key if known.contains(&key) => &[key],
            key => {
                return Err(usage(format!(
                    "invalid value '{key}' for --metrics (expected usual, all or a list of {})",
                    known.join(", ")
                )));
            }
        };
        keys.extend(these.iter().map(|key| (*key).to_owned()));
    }
    let mut given = std::collections::BTreeSet::new();
    keys.retain(|key| given.insert(key.clone()));
    Ok(keys)
}

/// The named anchors with their settings; those whose tools are not there are told.
fn choose<M>(
    args: &EvalArgs,
    all: Vec<Box<dyn Codec<M>>>,
    missing: &mut Vec<String>,
) -> anyhow::Result<Vec<Subject<M>>> {
    let known: Vec<String> = all
        .iter()
        .map(|anchor| anchor.name().to_lowercase())
        .collect();
    let every = args.against.iter().any(|name| name == "all");
    let names = args.against.iter().filter(|name| *name != "all");
    for name in names.clone() {
        if !known.contains(&name.to_lowercase()) {
            return Err(usage(format!(
                "invalid value '{name}' for --against (expected all or a list of {})",
                known.join(", ")
            )));
        }
    }
    let wanted = |anchor: &dyn Codec<M>| {
        every
            || names
                .clone()
                .any(|name| anchor.name().eq_ignore_ascii_case(name))
    };
    let mut chosen: Vec<Subject<M>> = Vec::new();
    for anchor in all.into_iter().filter(|anchor| wanted(anchor.as_ref())) {
        match anchor.version() {
            Ok(_) => {
                let settings = match args.against_quality.is_empty() {
                    true => anchor.qualities(),
                    false => args.against_quality.clone(),
                };
                chosen.push((anchor, settings));
            }
            Err(error) => missing.push(format!("{} is missing: {error}", anchor.name())),
        }
    }
    Ok(chosen)
}

/// Measures, and writes what was found.
fn measure<M: Medium>(
    args: &EvalArgs,
    mut job: Job<M>,
    all: Vec<Box<dyn Codec<M>>>,
    console: &Console,
    shown: impl Fn(M) -> SampleMedia,
) -> anyhow::Result<Status> {
    job.subjects.extend(choose(args, all, &mut job.missing)?);
    if job.subjects.is_empty() {
        return Err(usage(
            "there is nothing to measure: no model, no anchor".to_owned(),
        ));
    }
    for missing in &job.missing {
        console.say(missing);
    }
    let journal = journal(args)?;
    let mut curves: Vec<RdCurve> = Vec::new();
    let command: Vec<String> = std::env::args().collect();
    let context = format!(
        "{:?} {:?} {:?}",
        args.task.options(),
        args.lpips,
        args.dists
    );
    for (codec, settings) in &job.subjects {
        let bar = Progress::new(console, job.data.items.len());
        let plan = Plan {
            measures: &job.measures,
            qualities: settings,
            journal: journal.as_ref(),
            context: &context,
            progress: &|name, done| {
                bar.start(done.saturating_sub(1), &format!("{}  {name}", codec.name()))
            },
        };
        let mut curve = codec_eval::run(codec.as_ref(), &job.data, &plan)?;
        drop(bar);
        curve
            .environment
            .insert("command".to_owned(), command.join(" "));
        for failure in &curve.failures {
            let setting = failure
                .quality
                .map_or_else(String::new, |quality| format!(" at {quality}"));
            console.error(
                Some(&format!("{}{setting} with {}", failure.file, curve.name)),
                &anyhow::anyhow!("{}", failure.reason),
            );
        }
        curves.push(curve);
    }
    let left_out = align(&mut curves);
    for path in &args.anchor {
        curves.extend(compare::read(path)?);
    }
    if args.published {
        curves.extend(published::kodak()?);
    }
    show(args, &curves)?;
    let notes = output::notes(&curves, &left_out, job.missing.clone());
    if let Some(path) = &args.output {
        output::write(path, report::list_to_json(&curves)?.as_bytes())?;
    }
    if let Some(path) = &args.plot {
        let key = job
            .measures
            .first()
            .and_then(|measure| measure.metrics().into_iter().next());
        output::plot(path, &curves, &key.unwrap_or_else(codec_eval::Metric::psnr))?;
    }
    if let Some(folder) = &args.report {
        let sets = samples(args, &job, &curves, &shown)?;
        output::report(folder, &title(args), &curves, sets, notes)?;
        console.say(&format!("{}", folder.join("report.html").display()));
    }
    let failed = curves.iter().any(|curve| !curve.failures.is_empty());
    Ok(if failed { Status::Failed } else { Status::Done })
}

/// The name of the data set.
fn title(args: &EvalArgs) -> String {
    let name = args
        .dataset
        .as_ref()
        .and_then(|dataset| dataset.file_name());
    name.map_or_else(
        || "codec eval".to_owned(),
        |name| format!("codec eval: {}", name.to_string_lossy()),
    )
}

/// Where rows are kept: in the report's folder, or beside the output.
fn journal(args: &EvalArgs) -> anyhow::Result<Option<Journal>> {
    let path = match (&args.report, &args.output) {
        (Some(folder), _) => {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
            folder.join("journal.jsonl")
        }
        (None, Some(output)) => output.with_extension("journal.jsonl"),
        (None, None) if args.resume => {
            return Err(usage(
                "--resume goes with -o or --report, beside which the journal is".to_owned(),
            ));
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(Journal::open(&path, args.resume)?))
}

/// Prints the curves and how they compare.
fn show(args: &EvalArgs, curves: &[RdCurve]) -> anyhow::Result<()> {
    match args.format {
        Format::Json => print(&format!("{}\n", report::list_to_json(curves)?))?,
        Format::Csv => print(&report::csv(curves))?,
        Format::Markdown => {
            for curve in curves {
                print(&format!(
                    "{}: {}\n\n{}\n",
                    curve.name,
                    curve.description,
                    report::markdown(curve)
                ))?;
            }
            print(&output::comparison_table(curves))?;
        }
    }
    if args.per_file {
        print(&report::csv_per_file(curves))?;
    }
    Ok(())
}

/// The first files of the data set as every codec gives them at about the same number of bytes.
fn samples<M: Medium>(
    args: &EvalArgs,
    job: &Job<M>,
    curves: &[RdCurve],
    shown: &impl Fn(M) -> SampleMedia,
) -> anyhow::Result<Vec<SampleSet>> {
    let mut sets = Vec::new();
    let Some(first) = curves.first() else {
        return Ok(sets);
    };
    let complete = first.complete_files();
    let items = job
        .data
        .items
        .iter()
        .filter(|item| complete.contains(item.name.as_str()));
    // Spread over the data set, not its beginning alone.
    let count = complete.len();
    let step = (count / args.samples.max(1)).max(1);
    for item in items.step_by(step).take(args.samples) {
        let original = job
            .data
            .load(item)
            .map_err(|error| anyhow::anyhow!("{}: {error}", item.name))?;
        let usual = match first.kind {
            Kind::Image => 0.25,
            Kind::Audio => 3.0,
        };
        let rate = args.samples_rate.unwrap_or(usual);
        let bytes = (rate / original.extent().rate(1)).round() as u64;
        let mut versions = Vec::new();
        for ((codec, settings), curve) in job.subjects.iter().zip(curves) {
            // What was measured may not reach as far.
            let mut reach = settings.clone();
            if settings.len() > 1 {
                reach.extend(codec.qualities());
            }
            let found = codec_eval::equal_bytes(codec.as_ref(), &original, &reach, bytes);
            let (quality, file) =
                found.map_err(|error| anyhow::anyhow!("{}: {error}", item.name))?;
            let decoded = codec
                .decode(&file)
                .map_err(|error| anyhow::anyhow!("{}: {error}", item.name))?;
            let mut values = BTreeMap::new();
            for measure in &job.measures {
                let outcome = measure
                    .reference(&item.name, &original)?
                    .measure(&decoded)?;
                values.extend(outcome.values);
            }
            versions.push(Version {
                codec: curve.name.clone(),
                setting: format!("{quality}"),
                bytes: Some(file.len() as u64),
                rate: Some(original.extent().rate(file.len() as u64)),
                values,
                media: shown(decoded),
            });
        }
        versions.insert(
            0,
            Version {
                codec: "original".to_owned(),
                setting: String::new(),
                bytes: None,
                rate: None,
                values: BTreeMap::new(),
                media: shown(original),
            },
        );
        sets.push(SampleSet {
            name: item.name.clone(),
            goal: format!("about {bytes} bytes ({rate} {})", first.kind.rate_key()),
            versions,
        });
    }
    Ok(sets)
}

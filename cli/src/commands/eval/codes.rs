//! `codec eval codes`: how a model uses its codebooks, and what its entropy model saves.

use std::path::{Path, PathBuf};

use clap::Args;
use codec::codebook::CodebookHealth;
use codec::{AudioCodec, Codec, Device, EncodeOptions, Limits, RateGoal, Tokens, io, sound};
use serde_json::json;

use crate::args::DeviceArgs;
use crate::commands::model_and_weights;
use crate::console::{Console, print, print_json};
use crate::exit::Status;
use crate::media::{self, Input};
use crate::plan::{MEDIA, Source};

/// Perplexity, utilization and dead codes of a model's codebooks, and bits saved.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  codec eval codes speech                  the built-in model of speech
  codec eval codes photos -m vqgan-f16
  codec eval codes photos -m vqgan-f16 --json")]
pub struct CodesArgs {
    /// Folder of pictures or sounds, or one of them
    #[arg(value_name = "DATASET")]
    pub dataset: PathBuf,
    /// Model with a codebook, by name, weights file or training run
    #[arg(short, long, value_name = "NAME")]
    pub model: Option<String>,
    /// Weights file, instead of the built-in weights
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Where to run.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// What was counted.
#[derive(Default)]
struct Count {
    model: String,
    /// By codebook, by code.
    codes: Vec<Vec<u64>>,
    /// Of whole files.
    file_bits: u64,
    files: usize,
    failed: usize,
}

impl Count {
    fn add(&mut self, tokens: &Tokens, sizes: &[u32], bytes: usize) -> anyhow::Result<()> {
        let codes = tokens.expect_codes()?;
        let books = tokens.codebooks().max(1);
        for (book, codes) in codes.chunks((codes.len() / books).max(1)).enumerate() {
            if self.codes.len() <= book {
                let size = sizes
                    .get(book)
                    .copied()
                    .unwrap_or_else(|| tokens.codebook_size());
                self.codes.push(vec![0; size as usize]);
            }
            for &code in codes {
                // An index beyond its codebook is refused where tokens are made.
                if let Some(count) = self.codes[book].get_mut(code as usize) {
                    *count += 1;
                }
            }
        }
        self.file_bits += 8 * bytes as u64;
        self.files += 1;
        Ok(())
    }
}

/// Runs the command.
///
/// # Errors
/// Models without codebooks, a failing device. Single files that fail are reported and lead to status 1.
pub fn run(args: &CodesArgs, console: &Console) -> anyhow::Result<Status> {
    let device = args.device.open()?;
    let (model, weights) = model_and_weights(args.model.as_deref(), args.weights.as_deref())?;
    let accept = |path: &Path| {
        let extension = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        MEDIA
            .iter()
            .any(|known| known.eq_ignore_ascii_case(extension))
    };
    let data: codec_eval::Dataset<()> =
        codec_eval::Dataset::open(&args.dataset, accept, |_| Ok(()))?;
    let mut models = Models {
        model,
        weights,
        device,
        pictures: None,
        sounds: None,
    };
    let mut count = Count::default();
    for item in &data.items {
        if let Err(error) = models.count(&item.path, &mut count) {
            console.error(Some(&item.name), &error);
            count.failed += 1;
        }
    }
    show(&count, args.json)?;
    Ok(if count.failed > 0 {
        Status::Failed
    } else {
        Status::Done
    })
}

struct Models<'a> {
    model: Option<&'a str>,
    weights: Option<Vec<u8>>,
    device: Device,
    pictures: Option<Codec>,
    sounds: Option<AudioCodec>,
}

impl Models<'_> {
    fn count(&mut self, path: &Path, count: &mut Count) -> anyhow::Result<()> {
        let limits = Limits::default();
        let weights = self.weights.as_deref();
        match media::open(&Source::File(path.to_path_buf()), &limits)? {
            Input::Picture(bytes) => {
                let picture = io::read(&bytes, &limits)?;
                let codec = match self.pictures.take() {
                    Some(codec) => codec,
                    None => Codec::open(self.model, weights, &self.device)?,
                };
                let codec = self.pictures.insert(codec);
                let tokens = codec.tokenize(&picture)?;
                let options = EncodeOptions::default();
                let file = codec.encode(&picture, RateGoal::Usual, &options, &mut |_, _| ())?;
                count.model.clone_from(&codec.id().name);
                count.add(&tokens, &[], file.bytes.len())
            }
            Input::Sound(reader) => {
                let sound = reader.read_all()?;
                let codec = match self.sounds.take() {
                    Some(codec) => codec,
                    None => AudioCodec::open(self.model, weights, &self.device)?,
                };
                let codec = self.sounds.insert(codec);
                let tokens = codec.tokenize(&sound, None)?;
                let options = sound::EncodeOptions::default();
                let file = codec.encode(&sound, &options, &mut |_, _| ())?;
                count.model.clone_from(&codec.id().name);
                let sizes = codec.format().codebooks.clone();
                count.add(&tokens, &sizes, file.bytes.len())
            }
        }
    }
}

fn show(count: &Count, as_json: bool) -> anyhow::Result<()> {
    let (mut raw, mut entropy, mut rows) = (0.0, 0.0, Vec::new());
    let mut text = String::from(
        "| codebook | codes | used | dead | utilization | perplexity | bits raw | bits by frequency |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (book, codes) in count.codes.iter().enumerate() {
        let health = CodebookHealth::of(codes);
        let total = codes.iter().sum::<u64>() as f64;
        let (most, least) = (
            (codes.len() as f64).log2(),
            health.perplexity.max(1.0).log2(),
        );
        raw += total * most;
        entropy += total * least;
        text += &format!(
            "| {book} | {} | {} | {} | {:.1}% | {:.1} | {most:.2} | {least:.2} |\n",
            codes.len(),
            codes.len() - health.dead,
            health.dead,
            100.0 * health.utilization,
            health.perplexity
        );
        rows.push(json!({
            "codes": codes.len(),
            "used": codes.len() - health.dead,
            "dead": health.dead,
            "utilization": health.utilization,
            "perplexity": health.perplexity,
        }));
    }
    let saved = |bits: f64| {
        if raw > 0.0 {
            100.0 * (1.0 - bits / raw)
        } else {
            0.0
        }
    };
    let written = count.file_bits as f64;
    if as_json {
        return print_json(&json!({
            "schema": "codec.eval.codes/1",
            "model": count.model,
            "files": count.files,
            "failed": count.failed,
            "codebooks": rows,
            "raw_bits": raw,
            "frequency_bits": entropy,
            "file_bits": count.file_bits,
            "saved_percent": saved(written),
        }));
    }
    print(&format!(
        "{}, {} files\n\n{text}\n{raw:.0} bits raw, {entropy:.0} by the frequencies of codes ({:.1}% saved), {written:.0} in whole files ({:.1}% saved)\n",
        count.model,
        count.files,
        saved(entropy),
        saved(written)
    ))
}

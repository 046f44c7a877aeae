//! Published models: their checkpoints load, and every tensor that the reference implementation produced comes out of ours.
//!
//! Walks the folder that `CODEC_FIXTURES` names (`../shared/fixtures` by default). Every sub-folder whose name begins with
//! that of a family is a case: `config.json`, checkpoints in the authors' layouts, and `io.safetensors` with inputs and
//! results.

use std::path::{Path, PathBuf};

use codec::internals::weights::{HostTensor, Tensors, Values};
use codec::internals::{AnyModel, audio_coder, trace};
use codec::models::{self, Imported};
use codec::sound::{Depth, Sound};
use codec::{AudioCodec, Codec, Device, EncodeOptions, ErrorKind, Limits, Profile, RateGoal};
use codec_tests::picture::{largest_difference, photo};
use codec_tests::{data, devices};

/// A family as fixtures call it.
struct Family {
    /// Beginning of the folders' names.
    folder: &'static str,
    /// Name on the command line.
    name: &'static str,
    /// Names of the tensors that go in, with at most one `*`.
    inputs: &'static [&'static str],
    /// Names of tensors that other tests compare.
    elsewhere: &'static [&'static str],
    /// What is coded.
    coded: Coded,
}

/// What a family codes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coded {
    /// A picture of the size of this tensor.
    Picture(&'static str),
    /// The samples of this tensor.
    Sound(&'static str),
    /// Nothing: a quantizer alone.
    Nothing,
}

const FAMILIES: &[Family] = &[
    Family {
        folder: "dac",
        name: "dac",
        inputs: &["audio", "*.audio", "nopad*.z"],
        elsewhere: &[],
        coded: Coded::Sound("audio"),
    },
    Family {
        folder: "encodec",
        name: "encodec",
        inputs: &["audio", "*.audio", "bandwidth_kbps", "*.bandwidth_kbps"],
        elsewhere: &[],
        coded: Coded::Sound("audio"),
    },
    Family {
        folder: "hificodec_quantizer",
        name: "hificodec_quantizer",
        inputs: &["x"],
        elsewhere: &[],
        coded: Coded::Nothing,
    },
    Family {
        folder: "hyperprior",
        name: "hyperprior",
        inputs: &["x", "x_orig"],
        elsewhere: &[],
        coded: Coded::Picture("x"),
    },
    Family {
        folder: "languagecodec_quantizer",
        name: "languagecodec_quantizer",
        inputs: &["x"],
        elsewhere: &[],
        coded: Coded::Nothing,
    },
    Family {
        folder: "mlicpp",
        name: "mlicpp",
        inputs: &["x", "x_orig"],
        elsewhere: &[],
        coded: Coded::Picture("x"),
    },
    Family {
        folder: "simvq",
        name: "simvq",
        inputs: &["z"],
        elsewhere: &[],
        coded: Coded::Nothing,
    },
    Family {
        folder: "vqgan",
        name: "vqgan",
        inputs: &["x"],
        elsewhere: &[],
        coded: Coded::Picture("x"),
    },
    Family {
        folder: "vqgan_lc",
        name: "vqgan_lc",
        inputs: &["h"],
        elsewhere: &[],
        coded: Coded::Nothing,
    },
    Family {
        folder: "walloc1d",
        name: "walloc1d",
        inputs: &["x_orig"],
        elsewhere: &[],
        coded: Coded::Sound("x_orig"),
    },
    Family {
        folder: "walloc2d",
        name: "walloc",
        inputs: &["x", "x_orig", "quirk_*_x"],
        elsewhere: &[],
        coded: Coded::Picture("x"),
    },
    Family {
        folder: "wavtokenizer",
        name: "wavtokenizer",
        inputs: &["audio", "*.audio", "bandwidth_id", "*.bandwidth_id"],
        // Losses belong to the training.
        elsewhere: &["mel_loss.*"],
        coded: Coded::Sound("audio"),
    },
];

/// Largest difference allowed, over the largest magnitude in the reference.
const TOLERANCE: f64 = 1e-4;
/// Tensors whose fixture says so have another one.
const LOOSER: &[(&str, f64)] = &[
    ("aux_loss", 1e-3),
    ("head.magnitude", 5e-4),
    ("head.real", 5e-4),
    ("head.imag", 5e-4),
];
/// What checkpoints are called.
const CHECKPOINTS: &[&str] = &["pth", "tar", "ckpt", "th", "pt", "safetensors"];

/// Folders of a family; none, with a printed reason, where there are no fixtures.
fn cases(family: &Family) -> Vec<PathBuf> {
    let Some(root) = data::fixtures() else {
        println!("skipped: no fixtures");
        return Vec::new();
    };
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&root)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir() && family_of(path).is_some_and(|f| f == family.folder))
        .collect();
    cases.sort();
    if cases.is_empty() {
        println!(
            "skipped: no folder {}* in {}",
            family.folder,
            root.display()
        );
    }
    cases
}

/// The family of a folder: the longest name that it begins with.
fn family_of(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    let folders = FAMILIES.iter().map(|family| family.folder);
    folders
        .filter(|folder| name.starts_with(folder))
        .max_by_key(|folder| folder.len())
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn config(case: &Path) -> serde_json::Value {
    serde_json::from_slice(&read(&case.join("config.json"))).expect("a configuration")
}

/// All checkpoints of a case, imported.
fn imports(case: &Path, family: &Family) -> Vec<(PathBuf, Imported)> {
    let config = config(case);
    let mut files: Vec<PathBuf> = std::fs::read_dir(case)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let extension = path
                .extension()
                .and_then(|e| e.to_str())
                .unwrap_or_default();
            CHECKPOINTS.contains(&extension) && !path.ends_with("io.safetensors")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{}: no checkpoint", case.display());
    let import = |path: PathBuf| {
        let imported = models::import(&path, Some(family.name), Some(&config), "test/case")
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let report = &imported.report;
        report
            .check()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, imported)
    };
    files.into_iter().map(import).collect()
}

fn largest<'a>(values: impl Iterator<Item = &'a f32>) -> f64 {
    values.fold(0.0, |most, &v| f64::from(v.abs()).max(most))
}

/// Compares one tensor; gives the relative difference of real numbers.
fn compare(name: &str, ours: &HostTensor, reference: &HostTensor) -> Result<f64, String> {
    if ours.shape() != reference.shape() {
        return Err(format!(
            "{name}: shape {:?}, expected {:?}",
            ours.shape(),
            reference.shape()
        ));
    }
    let tolerance = LOOSER
        .iter()
        .find(|(n, _)| name == *n || name.ends_with(&format!(".{n}")))
        .map_or(TOLERANCE, |(_, t)| *t);
    match (ours.values(), reference.values()) {
        (Values::Integers(ours), Values::Integers(reference)) => {
            let wrong = ours.iter().zip(reference).filter(|(a, b)| a != b).count();
            if wrong > 0 {
                return Err(format!("{name}: {wrong} of {} integers differ", ours.len()));
            }
            Ok(0.0)
        }
        (Values::Floats(ours), Values::Floats(reference)) => {
            let differences: Vec<f32> = ours.iter().zip(reference).map(|(a, b)| a - b).collect();
            if differences.iter().any(|d| !d.is_finite()) {
                return Err(format!("{name}: not finite"));
            }
            let relative = largest(differences.iter()) / largest(reference.iter()).max(1e-30);
            if relative > tolerance {
                return Err(format!("{name}: relative difference {relative:.2e}"));
            }
            Ok(relative)
        }
        _ => Err(format!("{name}: integers against real numbers")),
    }
}

fn reproduces(case: &Path, family: &Family, imported: &Imported, device: &Device) {
    let (all, _) = Tensors::from_safetensors(&read(&case.join("io.safetensors"))).expect("tensors");
    let is_input = |name: &str| family.inputs.iter().any(|input| matches(input, name));
    let mut inputs = all.clone();
    inputs.retain(is_input);
    // How many codebooks a case uses is seen in its codes alone.
    for (name, codes) in all.iter().filter(|(name, _)| name.ends_with("codes")) {
        if let &[_, count, _] = codes.shape() {
            let count = HostTensor::integers(&[1], vec![count as i64]).expect("a number");
            inputs.insert(name.replace("codes", "n_codebooks"), count);
        }
    }
    let bytes = imported.file.to_bytes().expect("a weights file");
    let model = AnyModel::from_bytes(&bytes).expect("a model");
    let ours = trace(&model, &inputs, device)
        .unwrap_or_else(|error| panic!("{} on {}: {error}", case.display(), device.name()));
    let (mut faults, mut worst, mut compared) = (Vec::new(), 0f64, 0);
    let is_elsewhere = |name: &str| family.elsewhere.iter().any(|other| matches(other, name));
    for (name, reference) in all.iter().filter(|(n, _)| !is_input(n) && !is_elsewhere(n)) {
        compared += 1;
        match ours.get(name).map(|ours| compare(name, ours, reference)) {
            Some(Ok(difference)) => worst = worst.max(difference),
            Some(Err(fault)) => faults.push(fault),
            None => faults.push(format!("{name}: not there")),
        }
    }
    // Tables that follow from the parameters, against those that the checkpoint holds.
    for (name, stored) in imported
        .file
        .tensors
        .iter()
        .filter(|(n, _)| n.ends_with("_quantized_cdf"))
    {
        if let Some(rebuilt) = ours.get(name) {
            compared += 1;
            faults.extend(compare(name, rebuilt, stored).err());
        }
    }
    assert!(
        faults.is_empty(),
        "{} on {}:\n{}",
        case.display(),
        device.name(),
        faults.join("\n")
    );
    println!(
        "{} on {}: {compared} tensors, largest relative difference {worst:.1e}",
        case.display(),
        device.name()
    );
}

/// Names match themselves, and patterns with one `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => {
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        }
    }
}

/// Checkpoints of one case hold the same model, whatever their layout, and survive export and import.
fn agree(case: &Path, family: &Family, imports: &[(PathBuf, Imported)]) {
    let (first, model) = &imports[0];
    for (path, other) in imports {
        assert!(
            other.file.tensors == model.file.tensors,
            "{} and {} differ",
            first.display(),
            path.display()
        );
    }
    let bytes = model.file.to_bytes().expect("a weights file");
    let folder = tempfile::tempdir().expect("a folder");
    let exported = folder.path().join("exported.safetensors");
    std::fs::write(&exported, models::export(&bytes).expect("exports")).expect("can be written");
    let again = models::import(
        &exported,
        Some(family.name),
        Some(&config(case)),
        "test/case",
    );
    let again = again.expect("an exported model imports").file;
    assert_eq!(
        again.digest().expect("a digest"),
        model.file.digest().expect("a digest")
    );
    let guessed = models::import(&exported, None, Some(&config(case)), "test/case");
    assert_eq!(guessed.expect("is recognized").file.family, family.name);
}

/// Real files: every device decodes its own to the same pixels each time. Those of another it decodes alike, or refuses if the
/// model is of the float profile.
fn exchange(case: &Path, family: &Family, imported: &Imported, devices: &[Device]) {
    let size = match family.coded {
        Coded::Picture(size) => size,
        Coded::Sound(name) => return exchange_sound(case, name, imported, devices),
        Coded::Nothing => return,
    };
    let (all, _) = Tensors::from_safetensors(&read(&case.join("io.safetensors"))).expect("tensors");
    let &[_, 3, height, width] = all.shape(size).expect("a picture") else {
        println!(
            "{}: no files: not a picture of three channels",
            case.display()
        );
        return;
    };
    // One pixel less on each side: padded to the fixture's size, so that no kernel is tuned for another one.
    let picture = photo(width as u32 - 1, height as u32 - 1);
    let weights = imported.file.to_bytes().expect("a weights file");
    let open = |device: &Device| Codec::open(None, Some(&weights), device).expect("a codec");
    let codecs: Vec<Codec> = devices.iter().map(open).collect();
    let decode = |codec: &Codec, file: &[u8]| {
        let decoded = codec.decode(file, &Limits::default(), &mut |_, _| ());
        decoded.map(|decoded| decoded.picture)
    };
    for (from, device) in codecs.iter().zip(devices) {
        let encode = || {
            let options = EncodeOptions::default();
            let file = from.encode(&picture, RateGoal::Usual, &options, &mut |_, _| ());
            file.expect("encodes").bytes
        };
        let file = encode();
        assert_eq!(encode(), file, "{}", device.name());
        let pixels = decode(from, &file).expect("its own device decodes a file");
        assert_eq!(
            (pixels.width, pixels.height),
            (picture.width, picture.height)
        );
        assert_eq!(decode(from, &file).expect("again").pixels, pixels.pixels);
        for (to, other) in codecs.iter().zip(devices) {
            match decode(to, &file) {
                Ok(other) => assert!(largest_difference(&other, &pixels) <= 1),
                Err(error) => {
                    let header = codec::header(&file).expect("a header");
                    assert_eq!(
                        header.profile,
                        Profile::Float,
                        "{}: {error}",
                        case.display()
                    );
                    assert_eq!(error.kind().exit_status(), 3, "{error}");
                    println!("from {} to {}: refused", device.name(), other.name());
                }
            }
        }
    }
}

/// Chunks of sound: every device decodes those of every other, since no float selects a probability table.
fn exchange_sound(case: &Path, name: &str, imported: &Imported, devices: &[Device]) {
    let (all, _) = Tensors::from_safetensors(&read(&case.join("io.safetensors"))).expect("tensors");
    let sound = all.get(name).expect("samples");
    let time = *sound.shape().last().expect("dimensions");
    let samples = sound.as_floats().expect("samples");
    let weights = imported.file.to_bytes().expect("a weights file");
    let model = AnyModel::from_bytes(&weights).expect("a model");
    let model = model.into_audio().expect("a model of sound");
    let open = |device: &Device| audio_coder(&model, device).expect("a coder");
    let coders: Vec<_> = devices.iter().map(open).collect();
    for (from, device) in coders.iter().zip(devices) {
        let format = from.format();
        let channels: Vec<&[f32]> = samples.chunks(time).take(format.channels.into()).collect();
        let frames = time.div_ceil(format.hop as usize);
        for step in 0..format.steps.len().max(1) {
            let encode = || from.encode_chunk(&channels, step).expect("encodes");
            let payload = encode();
            assert_eq!(encode(), payload, "{}", device.name());
            let decoded = from.decode_chunk(&payload, frames, step).expect("decodes");
            let again = from.decode_chunk(&payload, frames, step).expect("again");
            assert_eq!(decoded, again);
            for to in &coders {
                let other = to.decode_chunk(&payload, frames, step).expect("decodes");
                assert_eq!(other.len(), channels.len());
                for (other, own) in other.iter().zip(&decoded) {
                    assert_eq!(other.len(), frames * format.hop as usize);
                    let differences: Vec<f32> = other.iter().zip(own).map(|(a, b)| a - b).collect();
                    let most = largest(own.iter()).max(1e-3);
                    assert!(largest(differences.iter()) <= 1e-3 * most);
                }
            }
        }
    }
}

/// Tokens of recordings in a batch are those of each alone: all of them on the CPU, all but the closest decisions elsewhere.
fn batches(case: &Path, family: &Family, imported: &Imported, devices: &[Device]) {
    let Coded::Sound(name) = family.coded else {
        return;
    };
    let (all, _) = Tensors::from_safetensors(&read(&case.join("io.safetensors"))).expect("tensors");
    let sound = all.get(name).expect("samples");
    let time = *sound.shape().last().expect("dimensions");
    let samples = sound.as_floats().expect("samples");
    let weights = imported.file.to_bytes().expect("a weights file");
    for device in devices {
        let codec = AudioCodec::open(None, Some(&weights), device).expect("a codec");
        let (rate, channels) = (codec.format().rate, usize::from(codec.format().channels));
        let cut = |length: usize| {
            let channels = samples.chunks(time).take(channels);
            let channels = channels.map(|channel| channel[..length].to_vec()).collect();
            Sound::new(rate, channels, Depth::Int16).expect("a sound")
        };
        let sounds = [time, time / 2, 1, time - 1, 0, time / 3, time].map(cut);
        let found = codec.tokenize_batch(&sounds.each_ref(), None, 1e3);
        if let Err(error) = &found[0] {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            println!("{}: no tokens", case.display());
            return;
        }
        let (mut wrong, mut total) = (0, 0);
        for (sound, found) in sounds.iter().zip(found) {
            let (found, alone) = (
                found.expect("tokens"),
                codec.tokenize(sound, None).expect("tokens"),
            );
            assert_eq!(found.shape(), alone.shape());
            let back = codec
                .detokenize(&alone, &Limits::default())
                .expect("a sound");
            assert_eq!(back.samples(), sound.samples());
            let codes = found.codes().iter().zip(alone.codes());
            let latents = found.latents().iter().zip(alone.latents());
            wrong += codes.filter(|(a, b)| a != b).count();
            wrong += latents.filter(|(a, b)| a != b).count();
            total += found.shape().iter().product::<usize>();
        }
        println!(
            "{} on {}: {wrong} of {total} differ",
            case.display(),
            device.name()
        );
        let most = if device.name().contains("cpu") {
            0
        } else {
            total / 50
        };
        assert!(wrong <= most);
    }
}

fn family(folder: &str) {
    let family = FAMILIES
        .iter()
        .find(|f| f.folder == folder)
        .expect("listed");
    for case in cases(family) {
        let imports = imports(&case, family);
        agree(&case, family, &imports);
        let devices = devices::one_of_each();
        for device in &devices {
            reproduces(&case, family, &imports[0].1, device);
        }
        exchange(&case, family, &imports[0].1, &devices);
        batches(&case, family, &imports[0].1, &devices);
    }
}

#[test]
fn dac() {
    family("dac");
}

#[test]
fn encodec() {
    family("encodec");
}

#[test]
fn hificodec_quantizer() {
    family("hificodec_quantizer");
}

#[test]
fn languagecodec_quantizer() {
    family("languagecodec_quantizer");
}

#[test]
fn walloc1d() {
    family("walloc1d");
}

#[test]
fn wavtokenizer() {
    family("wavtokenizer");
}

#[test]
fn hyperprior() {
    family("hyperprior");
}

#[test]
fn mlicpp() {
    family("mlicpp");
}

#[test]
fn simvq() {
    family("simvq");
}

#[test]
fn vqgan() {
    family("vqgan");
}

#[test]
fn vqgan_lc() {
    family("vqgan_lc");
}

#[test]
fn walloc() {
    family("walloc2d");
}

#[test]
fn patterns_match_names() {
    assert!(matches("x", "x") && !matches("x", "x_orig"));
    assert!(matches("quirk_*_x", "quirk_10_x") && !matches("quirk_*_x", "quirk_0_X"));
}

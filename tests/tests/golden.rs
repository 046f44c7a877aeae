//! Files that were written once decode for ever.
//!
//! `golden/<model>/<case>-q<quality>/` holds `source.png`, `stream.ncx` and `decoded.png`, where the model's name has `-` for `/`.
//! Of a model of sound, `golden/<model>/<case>/` holds `source.wav`, `stream.ncx` and `decoded.wav`, in 16 bits, of which 2 of 65536
//! are allowed. To add a case, add a folder with its source and run once with `CODEC_BLESS=1`, which also rewrites all others: see
//! `CONTRIBUTING.md`.
//!
//! `decoded.png` holds the decoded pixels and not only a digest of them, since the float layers behind the symbols may differ in
//! their last bits between CPUs: 1 of 255 is allowed. That the symbols are right is checked exactly, by the coder's final
//! state.

use std::path::{Path, PathBuf};

use codec::io::{Format, read, write};
use codec::sound::{self, Depth, FileFormat, Sound};
use codec::{AudioCodec, Codec, EncodeOptions, Limits, Picture, Quality, RateGoal};
use codec_tests::picture::{largest_difference, psnr};
use codec_tests::{data, devices};

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn picture(path: &Path) -> Picture {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    read(&bytes, &Limits::default()).expect("a picture")
}

fn name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("a UTF-8 name")
}

fn quality(case: &Path) -> Quality {
    let (_, quality) = name(case)
        .rsplit_once("-q")
        .expect("a name that ends in -q and the quality");
    Quality::new(quality.parse().expect("a number")).expect("a quality")
}

fn bless(codec: &Codec, case: &Path) {
    let source = picture(&case.join("source.png"));
    let goal = RateGoal::Quality(quality(case));
    let file = codec
        .encode(&source, goal, &EncodeOptions::default(), &mut |_, _| ())
        .expect("encodes");
    let decoded = codec
        .decode(&file.bytes, &Limits::default(), &mut |_, _| ())
        .expect("decodes")
        .picture;
    std::fs::write(case.join("stream.ncx"), &file.bytes).expect("can be written");
    let png = write(&decoded, Format::Png).expect("can be written");
    std::fs::write(case.join("decoded.png"), png).expect("can be written");
    println!("{}: written, {} bytes", case.display(), file.bytes.len());
}

fn check(codec: &Codec, case: &Path) {
    let stream = std::fs::read(case.join("stream.ncx")).unwrap_or_else(|error| {
        panic!(
            "{}: stream.ncx: {error} (CODEC_BLESS=1 writes it)",
            case.display()
        )
    });
    let header = codec::header(&stream).expect("a header");
    assert_eq!(
        header.quality,
        quality(case).hundredths(),
        "{}",
        case.display()
    );
    let decoded = codec.decode(&stream, &Limits::default(), &mut |_, _| ());
    let decoded = decoded
        .unwrap_or_else(|error| panic!("{}: {error}", case.display()))
        .picture;
    let expected = picture(&case.join("decoded.png"));
    assert_eq!(decoded.alpha, expected.alpha, "{}", case.display());
    let difference = largest_difference(&decoded, &expected);
    assert!(
        difference <= 1,
        "{}: pixels differ by {difference} of 255",
        case.display()
    );
    let psnr = psnr(&picture(&case.join("source.png")), &decoded);
    println!(
        "{}: {} bytes, {psnr:.2} dB, largest difference {difference}",
        case.display(),
        stream.len()
    );
}

fn recording(path: &Path) -> Sound {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    sound::read(bytes, &Limits::default()).expect("a sound")
}

fn bless_sound(codec: &AudioCodec, case: &Path) {
    let source = recording(&case.join("source.wav"));
    let options = sound::EncodeOptions::default();
    let file = codec
        .encode(&source, &options, &mut |_, _| ())
        .expect("encodes");
    let decoded = codec
        .decode(&file.bytes, &Limits::default(), &mut |_, _| ())
        .expect("decodes");
    std::fs::write(case.join("stream.ncx"), &file.bytes).expect("can be written");
    let wav = sound::write(&decoded, FileFormat::Wav, Depth::Int16).expect("can be written");
    std::fs::write(case.join("decoded.wav"), wav).expect("can be written");
    println!("{}: written, {} bytes", case.display(), file.bytes.len());
}

fn check_sound(codec: &AudioCodec, case: &Path) {
    let stream = std::fs::read(case.join("stream.ncx")).unwrap_or_else(|error| {
        panic!(
            "{}: stream.ncx: {error} (CODEC_BLESS=1 writes it)",
            case.display()
        )
    });
    let decoded = codec.decode(&stream, &Limits::default(), &mut |_, _| ());
    let decoded = decoded.unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    let expected = recording(&case.join("decoded.wav"));
    assert_eq!(decoded.rate, expected.rate, "{}", case.display());
    assert_eq!(decoded.channels.len(), expected.channels.len());
    let mut largest = 0f32;
    for (channel, expected) in decoded.channels.iter().zip(&expected.channels) {
        assert_eq!(channel.len(), expected.len(), "{}", case.display());
        let pairs = channel.iter().zip(expected);
        largest = pairs.fold(largest, |most, (a, b)| most.max((a - b).abs()));
    }
    let steps = largest * 32768.0;
    assert!(
        steps <= 2.0,
        "{}: samples differ by {steps} of 65536",
        case.display()
    );
    println!("{}: {} bytes, {steps}", case.display(), stream.len());
}

#[test]
fn golden_streams_decode() {
    let root = data::repository().join("tests/tests/golden");
    let mut cases = 0;
    for folder in folders(&root) {
        let model = name(&folder).replacen('-', "/", 1);
        let cases_of = |file: &str| -> Vec<PathBuf> {
            let cases = folders(&folder).into_iter();
            cases.filter(|case| case.join(file).exists()).collect()
        };
        let (pictures, sounds) = (cases_of("source.png"), cases_of("source.wav"));
        assert_eq!(pictures.len() + sounds.len(), folders(&folder).len());
        if !sounds.is_empty() {
            let codec = AudioCodec::open(Some(&model), None, &devices::cpu())
                .expect("a golden model is built in");
            for case in &sounds {
                cases += 1;
                if data::bless() {
                    bless_sound(&codec, case);
                } else {
                    check_sound(&codec, case);
                }
            }
            continue;
        }
        let codec =
            Codec::open(Some(&model), None, &devices::cpu()).expect("a golden model is built in");
        for case in pictures {
            cases += 1;
            if data::bless() {
                bless(&codec, &case);
            } else {
                check(&codec, &case);
            }
        }
    }
    assert!(cases > 0, "no cases in {}", root.display());
}

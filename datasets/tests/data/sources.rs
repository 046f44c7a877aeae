//! Folders, shards, manifests and patterns.

use crate::media::{broken_png, flac, png, samples, tar, wav, write};
use codec_datasets::{
    DataLimits, Dataset, DatasetError, DatasetOptions, Info, Kind, Scan, SkipReason, Split,
    write_manifest,
};
use std::path::Path;

fn keys(dataset: &Dataset) -> Vec<&str> {
    dataset.entries().iter().map(|entry| entry.key()).collect()
}

fn open(path: impl AsRef<Path>) -> Result<Dataset, DatasetError> {
    Dataset::open(path, &DatasetOptions::default())
}

/// (name, what is wrong) of all skipped files.
fn skips(dataset: &Dataset) -> Vec<(String, String)> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    dataset
        .skipped()
        .iter()
        .map(|s| (name(&s.path), s.reason.to_string()))
        .collect()
}

#[test]
fn a_folder_is_searched_and_sidecars_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "b/two.png", png(30, 20, 1));
    write(dir.path(), "a.png", png(20, 20, 2));
    write(dir.path(), "a.json", "{}");
    write(dir.path(), "MANIFEST.jsonl", "{\"path\": \"a.png\"}\n");
    write(dir.path(), "fake.jpg", "no picture");
    write(dir.path(), "small.png", png(30, 15, 3));
    let scan = Scan::new(
        &[dir.path().to_path_buf()],
        &DatasetOptions::lazy(),
        &|_, _| (),
    )
    .unwrap();
    assert_eq!(scan.ignored(), 2);
    let dataset = open(dir.path()).unwrap();
    assert_eq!(
        (dataset.kind(), keys(&dataset)),
        (Kind::Image, vec!["a", "b/two"])
    );
    let skips = skips(&dataset);
    assert_eq!(skips.len(), 2, "{skips:?}");
    assert!(skips[0].1.contains("neither a picture nor a sound"));
    assert_eq!(skips[1].1, "too small: 30x15 (smallest side 16)");
    assert_eq!(dataset.picture(1).unwrap().unwrap().width(), 30);
    assert!(matches!(
        dataset.sound(1),
        Err(DatasetError::WrongKind { .. })
    ));
    assert!(matches!(
        dataset.load(2),
        Err(DatasetError::BadParameter { .. })
    ));
}

#[test]
fn sounds_are_decoded_exactly() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.wav", wav(24_000, 2, 500, 3));
    write(dir.path(), "b.flac", flac(24_000, 1920, 4, true));
    write(dir.path(), "c.flac", flac(16_000, 960, 5, false));
    let dataset = open(dir.path()).unwrap();
    assert_eq!(dataset.kind(), Kind::Audio);
    for (index, channels, frames, rate) in [
        (0, 2, 500, 24_000),
        (1, 1, 1920, 24_000),
        (2, 1, 960, 16_000),
    ] {
        let expected = Info::Audio {
            frames,
            rate,
            channels,
        };
        assert_eq!(dataset.entries()[index].info(), expected);
        let sound = dataset.sound(index).unwrap().unwrap();
        let seed = index as i32 + 3;
        assert_eq!(
            sound.channels(),
            samples(channels.into(), frames as usize, seed)
        );
    }
}

#[test]
fn damaged_sounds_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let good = flac(24_000, 1920, 4, true);
    let mut flipped = good.clone();
    flipped[1500] ^= 0x10;
    write(dir.path(), "cut.flac", &good[..good.len() - 700]);
    write(dir.path(), "flipped.flac", &flipped);
    write(dir.path(), "good.flac", &good);
    write(dir.path(), "old.mp3", "ID3 and so on");
    let dataset = open(dir.path()).unwrap();
    assert_eq!(dataset.len(), 3);
    let names: Vec<String> = skips(&dataset).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 3, "{:?}", skips(&dataset));
    for name in ["cut.flac", "flipped.flac", "old.mp3"] {
        assert!(names.iter().any(|n| n == name), "{names:?}");
    }
}

#[test]
fn no_damage_makes_a_decoder_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = codec_datasets::SplitMix64::new(11);
    let originals = [
        ("a.flac", flac(24_000, 960, 4, true)),
        ("b.flac", flac(24_000, 960, 4, false)),
        ("a.wav", wav(24_000, 2, 200, 3)),
    ];
    let options = DatasetOptions::default();
    for round in 0..100 {
        for (name, bytes) in &originals {
            let mut bytes = bytes.clone();
            for _ in 0..=rng.below(6) {
                // Half of the damage goes where the headers are.
                let reach = if rng.coin() { 64 } else { bytes.len() as u64 };
                let at = rng.below(reach) as usize;
                bytes[at] = rng.next_u64() as u8;
            }
            bytes.truncate(bytes.len() - rng.below(20) as usize);
            write(dir.path(), name, bytes);
        }
        let result = Dataset::open(dir.path(), &options);
        assert!(
            matches!(result, Ok(_) | Err(DatasetError::Empty { .. })),
            "round {round}: {result:?}"
        );
    }
}

#[test]
fn mixed_sets_name_both_kinds_unless_one_is_chosen() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "photo.png", png(20, 20, 1));
    write(dir.path(), "voice.wav", wav(8000, 1, 100, 1));
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(
        error,
        DatasetError::Mixed {
            pictures: 1,
            sounds: 1,
            ..
        }
    ));
    let message = error.to_string();
    assert!(
        message.contains("photo.png") && message.contains("voice.wav"),
        "{message}"
    );
    let options = DatasetOptions {
        kind: Some(Kind::Audio),
        ..DatasetOptions::default()
    };
    assert_eq!(
        keys(&Dataset::open(dir.path(), &options).unwrap()),
        ["voice"]
    );
}

#[test]
fn shards_group_members_by_key_and_patterns_order_them() {
    let dir = tempfile::tempdir().unwrap();
    for shard in 0..3 {
        let key = |n: u32| format!("d.1/{shard}{n}");
        let members: Vec<(String, Vec<u8>)> = (0..4)
            .flat_map(|n| {
                [
                    (format!("{}.json", key(n)), b"{}".to_vec()),
                    (format!("{}.target.png", key(n)), png(20 + n, 20, n)),
                ]
            })
            .collect();
        let members: Vec<(&str, Vec<u8>)> = members
            .iter()
            .map(|(n, b)| (n.as_str(), b.clone()))
            .collect();
        tar(&dir.path().join(format!("shard-{shard:06}.tar")), &members);
    }
    let all = open(dir.path()).unwrap();
    assert_eq!(all.len(), 12);
    assert_eq!(
        keys(&all)[..5],
        ["d.1/00", "d.1/01", "d.1/02", "d.1/03", "d.1/10"]
    );
    assert_eq!(all.entries()[6].extension(), "target.png");
    let braces = open(dir.path().join("shard-{000001..000002}.tar")).unwrap();
    assert_eq!(keys(&braces), keys(&all)[4..]);
    assert_eq!(
        keys(&open(dir.path().join("*-?????0.tar")).unwrap()),
        keys(&all)[..4]
    );
    assert!(matches!(
        open(dir.path().join("shard-{000001..000003}.tar")),
        Err(DatasetError::Io { .. })
    ));
    let (one, other) = (
        all.picture(6).unwrap().unwrap(),
        braces.picture(2).unwrap().unwrap(),
    );
    assert_eq!((one.width(), one.pixels()), (22, other.pixels()));
}

#[test]
fn damage_in_the_middle_of_a_shard_costs_one_member() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.tar");
    let members = [
        ("0.png", png(32, 32, 0)),
        ("1.png", broken_png(32, 32)),
        ("2.png", b"garbage".to_vec()),
        ("3.png", png(32, 32, 3)),
    ];
    tar(&path, &members);
    let dataset = open(&path).unwrap();
    assert_eq!(keys(&dataset), ["0", "1", "3"]);
    assert!(dataset.picture(1).unwrap().is_none());
    assert_eq!(skips(&dataset).len(), 2);
    assert!(dataset.skipped()[0].path.ends_with("s.tar/2.png"));

    // A damaged header hides what follows, and the report says so.
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(6).position(|w| w == b"3.png\0").unwrap();
    bytes[at] = b'9';
    std::fs::write(&path, &bytes).unwrap();
    let dataset = open(&path).unwrap();
    assert_eq!(keys(&dataset), ["0", "1"]);
    assert!(
        skips(&dataset)
            .iter()
            .any(|(_, r)| r.contains("damaged shard after 3 members"))
    );

    // So does a cut.
    std::fs::write(&path, &bytes[..600]).unwrap();
    let error = open(&path).unwrap_err();
    assert!(
        matches!(error, DatasetError::Empty { skipped: 1, .. }),
        "{error}"
    );
}

#[test]
fn manifests_name_files_and_members() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "media/a.png", png(20, 20, 1));
    write(dir.path(), "media/b.png", png(20, 20, 2));
    tar(
        &dir.path().join("media/s.tar"),
        &[("x/c.png", png(20, 20, 3))],
    );
    let lines = [
        r#"{"path": "../media/a.png", "caption": "ignored", "split": "val"}"#,
        "",
        r#"{"image": "../media/b.png", "key": "bee", "split": "test"}"#,
        r#"{"path": "../media/s.tar", "member": "x/c.png"}"#,
        r#"{"path": "../media/s.tar", "member": "x/none.png"}"#,
        r#"{"path": "../media/gone.png"}"#,
    ];
    let manifest = dir.path().join("lists/m.jsonl");
    write(dir.path(), "lists/m.jsonl", lines.join("\n"));
    let dataset = open(&manifest).unwrap();
    assert_eq!(keys(&dataset), ["media/a", "bee", "x/c"]);
    let reasons = dataset.skipped();
    assert!(matches!(reasons[0].reason, SkipReason::NoMember));
    assert!(matches!(reasons[1].reason, SkipReason::Io(_)));

    let side = |split| {
        let options = DatasetOptions {
            split: Some(split),
            validation_share: 0.0,
            ..DatasetOptions::default()
        };
        keys(&Dataset::open(&manifest, &options).unwrap()).join(" ")
    };
    assert_eq!(side(Split::Train), "x/c");
    assert_eq!(side(Split::Validation), "media/a");

    for (line, reason) in [
        (r#"{"key": "a"}"#, "exactly one of"),
        (r#"{"path": "a", "audio": "b"}"#, "exactly one of"),
        (r#"{"path": 3}"#, "string"),
        ("nonsense", "expected"),
    ] {
        write(
            dir.path(),
            "bad.jsonl",
            format!("{{\"path\": \"media/a.png\"}}\n{line}\n"),
        );
        let error = open(dir.path().join("bad.jsonl")).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.contains(reason),
            "{error}"
        );
    }
}

#[test]
fn a_written_manifest_opens_as_what_it_was_written_from() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "in/sub/a.png", png(20, 20, 1));
    tar(&dir.path().join("in/s.tar"), &[("c.png", png(20, 20, 3))]);
    let dataset = open(dir.path().join("in")).unwrap();
    std::fs::create_dir(dir.path().join("out")).unwrap();
    let mut text = Vec::new();
    write_manifest(
        &mut text,
        &dir.path().join("out"),
        Split::Validation,
        dataset.entries(),
    )
    .unwrap();
    write(dir.path(), "out/m.jsonl", &text);
    let again = open(dir.path().join("out/m.jsonl")).unwrap();
    assert_eq!(keys(&again), keys(&dataset));
    for index in 0..2 {
        assert_eq!(again.entries()[index].split(0.0), Some(Split::Validation));
        let pixels = |d: &Dataset| d.picture(index).unwrap().unwrap().pixels().to_vec();
        assert_eq!(pixels(&again), pixels(&dataset));
    }
    let first = String::from_utf8(text).unwrap();
    assert!(
        first.starts_with(
            r#"{"path":"../in/s.tar","member":"c.png","key":"c","split":"validation""#
        ),
        "{first}"
    );
}

#[test]
fn limits_hold_for_single_files_and_for_the_set() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.png", png(40, 40, 1));
    write(dir.path(), "b.png", png(41, 40, 1));
    let limited = |limits| DatasetOptions {
        limits,
        ..DatasetOptions::default()
    };
    let options = limited(DataLimits {
        max_pixels: 1600,
        ..DataLimits::default()
    });
    let dataset = Dataset::open(dir.path(), &options).unwrap();
    assert_eq!(skips(&dataset)[0].1, "too large: 41x40 (limit 1600 pixels)");
    let options = limited(DataLimits {
        max_entry_bytes: 10,
        ..DataLimits::default()
    });
    let error = Dataset::open(dir.path(), &options).unwrap_err();
    assert!(matches!(error, DatasetError::Empty { skipped: 2, .. }));
    let options = limited(DataLimits {
        max_items: 1,
        ..DataLimits::default()
    });
    let error = Dataset::open(dir.path(), &options).unwrap_err();
    assert!(matches!(
        error,
        DatasetError::Limit {
            actual: 2,
            limit: 1,
            ..
        }
    ));
}

#[test]
fn the_sides_of_a_split_are_those_of_the_shards_made_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("p{n}.png")).collect();
    let members: Vec<(&str, Vec<u8>)> =
        names.iter().map(|n| (n.as_str(), png(16, 16, 0))).collect();
    for (name, bytes) in &members {
        write(&dir.path().join("folder"), name, bytes);
    }
    tar(&dir.path().join("s.tar"), &members);
    let side = |source: &str, split| {
        let options = DatasetOptions {
            split: Some(split),
            validation_share: 0.3,
            ..DatasetOptions::default()
        };
        let dataset = Dataset::open(dir.path().join(source), &options).unwrap();
        let mut keys: Vec<String> = keys(&dataset).iter().map(|k| k.to_string()).collect();
        keys.sort();
        keys
    };
    let held = side("folder", Split::Validation);
    assert_eq!(held, side("s.tar", Split::Validation));
    assert!((4..20).contains(&held.len()), "{held:?}");
    let mut all = side("s.tar", Split::Train);
    all.extend(held);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 40);
}

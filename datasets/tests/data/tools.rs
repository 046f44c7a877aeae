//! Statistics, verification and shards.

use crate::media::{broken_png, flac, png, tar, wav, write};
use codec_datasets::{
    Checksums, DataLimits, Dataset, DatasetError, DatasetOptions, Scan, Stats, verify, write_shards,
};
use std::path::Path;
use std::sync::atomic::AtomicBool;

fn scan(path: &Path) -> Scan {
    Scan::new(&[path.to_path_buf()], &DatasetOptions::lazy(), &|_, _| ()).unwrap()
}

#[test]
fn statistics_count_both_kinds() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.png", png(100, 200, 1));
    write(dir.path(), "b.PNG", png(300, 70, 1));
    write(dir.path(), "c.wav", wav(8000, 2, 12_000, 1));
    write(dir.path(), "d.flac", flac(24_000, 1920, 1, true));
    write(dir.path(), "e.jpg", "nothing");
    write(dir.path(), "f.txt", "nothing");
    tar(&dir.path().join("s.tar"), &[("g.png", png(100, 100, 2))]);
    let stats = Stats::of(&scan(dir.path()));
    assert_eq!((stats.items, stats.shards, stats.ignored), (5, 1, 1));
    assert_eq!(stats.unreadable.len(), 1);
    assert!(stats.unreadable[0].path.ends_with("e.jpg"));
    assert_eq!(stats.extensions["png"], 3);
    let images = stats.images.unwrap();
    assert_eq!((images.items, images.megapixels), (3, 0.051));
    assert_eq!(
        (images.shorter_side, images.longer_side),
        ([70, 100], [100, 300])
    );
    assert_eq!(
        (
            images.sides.len(),
            images.sides[0].from,
            images.sides[0].items
        ),
        (1, 64.0, 3)
    );
    let audio = stats.audio.unwrap();
    assert_eq!((audio.items, audio.seconds), (2, [0.08, 1.5]));
    assert!((audio.hours * 3600.0 - 1.58).abs() < 1e-9);
    assert_eq!((audio.rates[&8000], audio.channels[&2]), (1, 1));
    assert_eq!(
        audio
            .lengths
            .iter()
            .map(|bin| bin.items)
            .collect::<Vec<_>>(),
        [1, 0, 1]
    );
}

/// SHA-256 of "abc", from FIPS 180-2.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn verification_decodes_and_compares() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    write(&data, "good.png", png(30, 30, 1));
    write(&data, "broken.png", broken_png(30, 30));
    write(&data, "label.txt", "abc");
    write(&data, "swapped.png", png(31, 31, 1));
    tar(
        &data.join("s.tar"),
        &[("x.png", png(30, 30, 2)), ("y.png", broken_png(32, 32))],
    );
    let plain = verify(&scan(&data), &DataLimits::default(), None, &|_, _| ());
    assert_eq!((plain.decoded, plain.matched, plain.unlisted), (3, 0, 0));
    let names: Vec<&str> = plain
        .bad
        .iter()
        .map(|p| p.path.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(names, ["broken.png", "y.png"]);

    let list = [
        format!("{ABC}  data/label.txt"),
        format!("{ABC}  data/swapped.png"),
        format!("{ABC}  data/gone.png"),
        format!("{ABC}  elsewhere/file"),
    ];
    write(dir.path(), "SHA256SUMS", list.join("\n"));
    let list = Checksums::read(&dir.path().join("SHA256SUMS")).unwrap();
    let found = verify(
        &scan(&data),
        &DataLimits::default(),
        Some(&list),
        &|_, _| (),
    );
    assert_eq!(
        (found.decoded, found.matched, found.unlisted, found.outside),
        (3, 1, 2, 1)
    );
    let reason = |name: &str| {
        let problem = found.bad.iter().find(|p| p.path.ends_with(name));
        problem.map(|p| p.reason.as_str()).unwrap_or_default()
    };
    assert!(reason("swapped.png").starts_with("sha256 "), "{found:?}");
    assert!(reason("gone.png").starts_with("cannot read"), "{found:?}");
    assert_eq!(found.bad.len(), 4);

    write(
        dir.path(),
        "M.csv",
        format!("path,sha256,bytes\ndata/label.txt,{ABC},4\n"),
    );
    let list = Checksums::read(&dir.path().join("M.csv")).unwrap();
    let found = verify(
        &scan(&data),
        &DataLimits::default(),
        Some(&list),
        &|_, _| (),
    );
    assert!(
        found.bad.iter().any(|p| p.reason == "3 bytes (expected 4)"),
        "{found:?}"
    );
}

fn shard(
    source: &Path,
    out: &Path,
    size: u64,
    overwrite: bool,
) -> Result<Vec<codec_datasets::Shard>, DatasetError> {
    std::fs::create_dir_all(out).unwrap();
    let stop = AtomicBool::new(false);
    write_shards(
        scan(source).entries(),
        out,
        size,
        overwrite,
        &stop,
        &|_, _| (),
    )
}

#[test]
fn shards_hold_the_same_items_in_the_same_bytes_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(120);
    for n in 0..10 {
        write(
            dir.path(),
            &format!("in/{long}/p{n}.v1.png"),
            png(20 + n, 20, n),
        );
    }
    let (input, out) = (dir.path().join("in"), dir.path().join("out"));
    let shards = shard(&input, &out, 9000, false).unwrap();
    assert!(shards.len() > 1, "{shards:?}");
    assert_eq!(shards.iter().map(|s| s.items).sum::<usize>(), 10);
    for (n, shard) in shards.iter().enumerate() {
        assert_eq!(shard.path, out.join(format!("shard-{n:06}.tar")));
        assert_eq!(std::fs::metadata(&shard.path).unwrap().len(), shard.bytes);
        assert!(shard.bytes <= 9000, "{shard:?}");
    }
    // Sums that another program would check.
    let sums: String = shards
        .iter()
        .map(|s| {
            format!(
                "{}  {}\n",
                s.sha256,
                s.path.file_name().unwrap().to_str().unwrap()
            )
        })
        .collect();
    write(&out, "SHA256SUMS", sums);
    let list = Checksums::read(&out.join("SHA256SUMS")).unwrap();
    let found = verify(&scan(&out), &DataLimits::default(), Some(&list), &|_, _| ());
    assert_eq!(
        (found.decoded, found.matched, found.bad.len()),
        (10, shards.len(), 0)
    );

    let options = DatasetOptions::default();
    let (before, after) = (
        Dataset::open(&input, &options).unwrap(),
        Dataset::open(&out, &options).unwrap(),
    );
    let keys = |d: &Dataset| {
        d.entries()
            .iter()
            .map(|e| e.key().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&before), keys(&after));
    for index in 0..10 {
        assert_eq!(
            before.entries()[index].read().unwrap(),
            after.entries()[index].read().unwrap()
        );
        assert_eq!(after.entries()[index].extension(), "v1.png");
    }

    // The same again, from the shards themselves and into another folder.
    let again = shard(&out, &dir.path().join("again"), 9000, false).unwrap();
    let sums = |shards: &[codec_datasets::Shard]| {
        shards.iter().map(|s| s.sha256.clone()).collect::<Vec<_>>()
    };
    assert_eq!(sums(&again), sums(&shards));

    // Nothing is overwritten by accident, and nothing stale stays behind.
    assert!(matches!(
        shard(&input, &out, 1 << 20, false),
        Err(DatasetError::Exists { .. })
    ));
    assert_eq!(shard(&input, &out, 1 << 20, true).unwrap().len(), 1);
    assert_eq!(Dataset::open(&out, &options).unwrap().len(), 10);
}

#[test]
fn names_that_shards_cannot_hold_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.png", png(20, 20, 1));
    let check = |rows: &[&str]| {
        write(dir.path(), "m.jsonl", rows.join("\n"));
        shard(
            &dir.path().join("m.jsonl"),
            &dir.path().join("out"),
            1000,
            false,
        )
        .unwrap_err()
        .to_string()
    };
    let twice = check(&[r#"{"path": "a.png"}"#, r#"{"path": "a.png"}"#]);
    assert!(twice.contains("two are named a.png"), "{twice}");
    for key in ["a.b", "../a", "/a", "a/./b", ""] {
        let error = check(&[&format!(r#"{{"path": "a.png", "key": "{key}"}}"#)]);
        assert!(error.contains("invalid key"), "{key}: {error}");
    }
    let stop = AtomicBool::new(true);
    let source = scan(&dir.path().join("a.png"));
    let out = dir.path().join("out");
    let result = write_shards(source.entries(), &out, 1000, false, &stop, &|_, _| ());
    assert!(matches!(result, Err(DatasetError::Interrupted)));
    assert_eq!(
        std::fs::read_dir(&out).unwrap().count(),
        0,
        "nothing half written stays"
    );
}

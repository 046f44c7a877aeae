//! Batches: what they hold, and that nothing but data, seed and step decides it.

use crate::media::{broken_png, png, samples, tar, wav, write};
use codec_datasets::{
    Augment, Batch, Dataset, DatasetError, DatasetOptions, Prefetcher, SampleConfig, Sampler, Sound,
};
use std::path::Path;
use std::sync::Arc;

fn options(cache: u64, preload: bool) -> DatasetOptions {
    DatasetOptions {
        cache,
        preload,
        ..DatasetOptions::default()
    }
}

fn config(augment: Augment) -> SampleConfig {
    SampleConfig {
        size: 16,
        batch: 3,
        seed: 42,
        augment,
        ..SampleConfig::default()
    }
}

fn batches(path: &Path, options: &DatasetOptions, workers: usize, count: usize) -> Vec<Batch> {
    let augment = Augment {
        rescale: Some((0.5, 1.0)),
        saturation: 0.4,
        ..Augment::default()
    };
    let dataset = Arc::new(Dataset::open(path, options).unwrap());
    let sampler = Arc::new(Sampler::new(dataset, config(augment)).unwrap());
    Prefetcher::spawn(sampler, 5, workers, 2 * workers)
        .unwrap()
        .take(count)
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn workers_caches_and_damage_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.tar");
    let members: Vec<(String, Vec<u8>)> = (0..9)
        .map(|n| {
            let bytes = if n % 3 == 1 {
                broken_png(40 + n, 50)
            } else {
                png(30 + n, 40, n)
            };
            (format!("{n}.png"), bytes)
        })
        .collect();
    let members: Vec<(&str, Vec<u8>)> = members
        .iter()
        .map(|(n, b)| (n.as_str(), b.clone()))
        .collect();
    tar(&path, &members);
    let expected = batches(&path, &options(1 << 30, true), 1, 30);
    assert!(expected.iter().flat_map(|b| &b.items).all(|i| i % 3 != 1));
    assert_eq!(expected[0].index, 5);
    assert_eq!(expected[0].shape, [3, 3, 16, 16]);
    for workers in [1, 2, 5] {
        for options in [
            options(1 << 30, false),
            options(5000, true),
            options(0, true),
        ] {
            assert_eq!(
                batches(&path, &options, workers, 30),
                expected,
                "{workers} workers"
            );
        }
    }
    // Resuming in the middle sees the same.
    let dataset = Arc::new(Dataset::open(&path, &options(0, false)).unwrap());
    let augment = Augment {
        rescale: Some((0.5, 1.0)),
        saturation: 0.4,
        ..Augment::default()
    };
    let sampler = Sampler::new(dataset.clone(), config(augment)).unwrap();
    assert!(dataset.skipped().is_empty());
    assert_eq!(sampler.batch(20).unwrap(), expected[15]);
    for k in 0..60 {
        sampler.batch(k).unwrap();
    }
    assert_eq!(
        dataset.skipped().len(),
        3,
        "each damaged member is reported once"
    );
    assert_eq!(dataset.cached_bytes(), 0);
}

#[test]
fn parts_join_to_the_batch() {
    let pictures = (0..3u8)
        .map(|n| codec_datasets::Picture::new(20, 20, vec![n; 1200]).unwrap())
        .collect();
    let dataset = Arc::new(Dataset::from_pictures(pictures));
    let sampler = Sampler::new(dataset, config(Augment::default())).unwrap();
    let (whole, first, second) = (
        sampler.batch(3).unwrap(),
        sampler.part(3, 0..1).unwrap(),
        sampler.part(3, 1..3).unwrap(),
    );
    assert_eq!([first.data, second.data].concat(), whole.data);
    assert_eq!(second.shape, [2, 3, 16, 16]);
    assert!(sampler.part(3, 1..4).is_err());
}

#[test]
fn a_set_of_nothing_but_damage_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.png", broken_png(40, 40));
    assert!(matches!(
        Dataset::open(dir.path(), &options(1 << 20, true)),
        Err(DatasetError::Empty { .. })
    ));
    let dataset = Arc::new(Dataset::open(dir.path(), &options(0, true)).unwrap());
    let sampler = Sampler::new(dataset.clone(), config(Augment::default())).unwrap();
    assert!(matches!(
        sampler.batch(0),
        Err(DatasetError::Unreadable { skipped: 1, .. })
    ));
    // A file that goes away is not a damaged one.
    write(dir.path(), "b.png", png(40, 40, 1));
    let dataset = Arc::new(Dataset::open(dir.path(), &options(0, true)).unwrap());
    let sampler = Sampler::new(dataset, config(Augment::default())).unwrap();
    std::fs::remove_file(dir.path().join("b.png")).unwrap();
    let error = (0..20).find_map(|k| sampler.batch(k).err()).unwrap();
    assert!(matches!(error, DatasetError::Io { .. }), "{error}");
}

#[test]
fn small_pictures_are_left_out_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "small.png", png(20, 40, 1));
    write(dir.path(), "large.png", png(40, 40, 1));
    let dataset = Arc::new(Dataset::open(dir.path(), &options(1 << 20, true)).unwrap());
    let sized = |size| SampleConfig {
        size,
        ..config(Augment::default())
    };
    for _ in 0..2 {
        assert_eq!(
            Sampler::new(dataset.clone(), sized(32)).unwrap().usable(),
            1
        );
    }
    let skipped = dataset.skipped();
    assert_eq!(skipped.len(), 1);
    assert_eq!(
        skipped[0].reason.to_string(),
        "too small: 20x40 (smallest side 32)"
    );
    assert!(matches!(
        Sampler::new(dataset, sized(64)),
        Err(DatasetError::PicturesTooSmall {
            size: 64,
            largest: 40
        })
    ));
}

/// Sounds of 300, 40 and 200 samples; the second is too short for segments of 64.
fn sounds(dir: &Path) -> Arc<Dataset> {
    for (n, frames) in [300, 40, 200].into_iter().enumerate() {
        write(dir, &format!("{n}.wav"), wav(8000, 2, frames, n as i32));
    }
    Arc::new(Dataset::open(dir, &options(1 << 20, true)).unwrap())
}

fn segments(augment: Augment, channels: Option<u16>) -> SampleConfig {
    SampleConfig {
        size: 64,
        channels,
        ..config(augment)
    }
}

#[test]
fn segments_hold_the_sounds_samples() {
    let dir = tempfile::tempdir().unwrap();
    let sampler = Sampler::new(sounds(dir.path()), segments(Augment::none(), None)).unwrap();
    assert_eq!(
        (sampler.usable(), sampler.dataset().skipped().len()),
        (2, 1)
    );
    let mono = Sampler::new(sounds(dir.path()), segments(Augment::none(), Some(1))).unwrap();
    let mut starts = std::collections::BTreeSet::new();
    for k in 0..50 {
        let (batch, mixed) = (sampler.batch(k).unwrap(), mono.batch(k).unwrap());
        assert_eq!(
            (batch.shape.as_slice(), mixed.shape.as_slice()),
            ([3, 2, 64].as_slice(), [3, 1, 64].as_slice())
        );
        for (place, &item) in batch.items.iter().enumerate() {
            let source = samples(2, [300, 40, 200][item], item as i32);
            let segment = &batch.data[place * 128..(place + 1) * 128];
            let start = source[0]
                .windows(64)
                .position(|w| w == &segment[..64])
                .unwrap();
            assert_eq!(segment[64..], source[1][start..start + 64]);
            starts.insert((item, start));
            for i in 0..64 {
                let mean = (source[0][start + i] + source[1][start + i]) / 2.0;
                assert!((mixed.data[place * 64 + i] - mean).abs() < 1e-6);
            }
        }
    }
    assert!(starts.len() > 100, "{}", starts.len());
}

#[test]
fn gain_and_polarity_stay_in_range() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Sampler::new(sounds(dir.path()), segments(Augment::none(), None)).unwrap();
    let augment = Augment {
        gain_db: Some((-12.0, 6.0)),
        polarity: true,
        ..Augment::none()
    };
    let changed = Sampler::new(sounds(dir.path()), segments(augment, None)).unwrap();
    let (mut negative, mut levels) = (0, std::collections::BTreeSet::new());
    for k in 0..40 {
        let (plain, changed) = (plain.batch(k).unwrap(), changed.batch(k).unwrap());
        assert_eq!(plain.items, changed.items);
        for (a, b) in plain.data.chunks(128).zip(changed.data.chunks(128)) {
            let at = (0..128)
                .max_by(|&i, &j| a[i].abs().total_cmp(&a[j].abs()))
                .unwrap();
            let gain = b[at] / a[at];
            assert!((0.2511..1.9954).contains(&gain.abs()), "{gain}");
            assert!(b.iter().all(|v| v.abs() <= 1.0001));
            assert!(a.iter().zip(b).all(|(x, y)| (x * gain - y).abs() < 1e-5));
            negative += usize::from(gain < 0.0);
            levels.insert((gain.abs() * 1000.0) as i32);
        }
    }
    assert!((35..85).contains(&negative), "{negative} of 120");
    assert!(levels.len() > 50);
}

#[test]
fn rates_and_channels_must_agree_or_be_chosen() {
    let sound = |rate, channels: usize| Sound::new(rate, vec![vec![0.1; 100]; channels]).unwrap();
    let dataset = || {
        Arc::new(Dataset::from_sounds(vec![
            sound(8000, 1),
            sound(8000, 2),
            sound(16_000, 2),
            sound(8000, 3),
        ]))
    };
    let with = |rate, channels| {
        let config = SampleConfig {
            rate,
            ..segments(Augment::none(), channels)
        };
        Sampler::new(dataset(), config)
    };
    let error = with(None, Some(1)).unwrap_err().to_string();
    assert!(
        error.contains("8000 Hz") && error.contains("16000 Hz"),
        "{error}"
    );
    assert!(matches!(
        with(Some(8000), None),
        Err(DatasetError::MixedChannels { .. })
    ));
    let stereo = with(Some(8000), Some(2)).unwrap();
    assert_eq!(stereo.usable(), 2, "three channels have no mix for two");
    assert_eq!(stereo.batch(0).unwrap().shape, [3, 2, 64]);
    assert_eq!(with(Some(8000), Some(1)).unwrap().usable(), 3);
    let error = with(Some(44_100), Some(1)).unwrap_err().to_string();
    assert!(
        error.contains("44100 Hz") && error.contains("4 at other"),
        "{error}"
    );
}

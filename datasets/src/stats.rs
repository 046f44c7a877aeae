//! What a data set consists of.

use crate::{Entry, Info, Location, Scan};
use serde::Serialize;
use std::collections::BTreeMap;

/// Counts and sizes of everything in a scan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// Items in all.
    pub items: usize,
    /// Bytes of their files or members.
    pub bytes: u64,
    /// Distinct tar shards among the sources.
    pub shards: usize,
    /// Items by extension, in lower case.
    pub extensions: BTreeMap<String, usize>,
    /// Pictures, if there are any.
    pub images: Option<ImageStats>,
    /// Sounds, if there are any.
    pub audio: Option<AudioStats>,
    /// Files and members that cannot be used.
    pub unreadable: Vec<Problem>,
    /// Files and members that are neither picture nor sound.
    pub ignored: usize,
}

/// A file or member and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, or the member behind its shard.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

/// About pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageStats {
    /// Number of pictures.
    pub items: usize,
    /// Bytes of their files.
    pub bytes: u64,
    /// Millions of pixels in all.
    pub megapixels: f64,
    /// Smallest and largest shorter side.
    pub shorter_side: [u32; 2],
    /// Smallest and largest longer side.
    pub longer_side: [u32; 2],
    /// Pictures by their shorter side.
    pub sides: Vec<Bin>,
}

/// About sounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AudioStats {
    /// Number of sounds.
    pub items: usize,
    /// Bytes of their files.
    pub bytes: u64,
    /// Hours in all.
    pub hours: f64,
    /// Shortest and longest in seconds.
    pub seconds: [f64; 2],
    /// Sounds by sample rate in Hz.
    pub rates: BTreeMap<u32, usize>,
    /// Sounds by number of channels.
    pub channels: BTreeMap<u16, usize>,
    /// Sounds by length in seconds.
    pub lengths: Vec<Bin>,
}

/// A bar of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Values from here.
    pub from: f64,
    /// Values below this; none for the last bar.
    pub below: Option<f64>,
    /// Items.
    pub items: usize,
}

/// Bars between `edges`; those without items at both ends are left out.
fn histogram(values: impl Iterator<Item = f64>, edges: &[f64]) -> Vec<Bin> {
    let mut bins: Vec<Bin> = edges
        .iter()
        .enumerate()
        .map(|(at, &from)| Bin {
            from,
            below: edges.get(at + 1).copied(),
            items: 0,
        })
        .collect();
    for value in values {
        let at = edges.partition_point(|&edge| edge <= value);
        if let Some(bin) = bins.get_mut(at.saturating_sub(1)) {
            bin.items += 1;
        }
    }
    let first = bins.iter().position(|bin| bin.items > 0).unwrap_or(0);
    let last = bins.iter().rposition(|bin| bin.items > 0);
    bins.truncate(last.map_or(0, |last| last + 1));
    bins.drain(..first.min(bins.len()));
    bins
}

impl Stats {
    /// Counts a scan. Only headers have been read, so damage behind them does not show; [`verify`](crate::verify())
    /// finds it.
    pub fn of(scan: &Scan) -> Self {
        let entries = scan.entries();
        let mut extensions = BTreeMap::new();
        let mut shards = std::collections::BTreeSet::new();
        for entry in entries {
            *extensions
                .entry(entry.extension().to_ascii_lowercase())
                .or_insert(0) += 1;
            if let Location::Member { shard, .. } = entry.location() {
                shards.insert(shard);
            }
        }
        Self {
            items: entries.len(),
            bytes: entries.iter().map(Entry::bytes).sum(),
            shards: shards.len(),
            extensions,
            images: image_stats(entries),
            audio: audio_stats(entries),
            unreadable: scan
                .skipped()
                .iter()
                .map(|skipped| Problem {
                    path: skipped.path.display().to_string(),
                    reason: skipped.reason.to_string(),
                })
                .collect(),
            ignored: scan.ignored(),
        }
    }
}

fn image_stats(entries: &[Entry]) -> Option<ImageStats> {
    let mut stats = ImageStats {
        items: 0,
        bytes: 0,
        megapixels: 0.0,
        shorter_side: [u32::MAX, 0],
        longer_side: [u32::MAX, 0],
        sides: Vec::new(),
    };
    let (mut shorter, mut pixels) = (Vec::new(), 0u64);
    for entry in entries {
        let Info::Image { width, height } = entry.info() else {
            continue;
        };
        stats.items += 1;
        stats.bytes += entry.bytes();
        pixels = pixels.saturating_add(entry.info().extent());
        let (short, long) = (width.min(height), width.max(height));
        stats.shorter_side = [
            stats.shorter_side[0].min(short),
            stats.shorter_side[1].max(short),
        ];
        stats.longer_side = [
            stats.longer_side[0].min(long),
            stats.longer_side[1].max(long),
        ];
        shorter.push(f64::from(short));
    }
    if stats.items == 0 {
        return None;
    }
    stats.megapixels = pixels as f64 / 1e6;
    let edges: Vec<f64> = [0.0]
        .into_iter()
        .chain((6..=14).map(|power| f64::from(1u32 << power)))
        .collect();
    stats.sides = histogram(shorter.into_iter(), &edges);
    Some(stats)
}

fn audio_stats(entries: &[Entry]) -> Option<AudioStats> {
    let mut stats = AudioStats {
        items: 0,
        bytes: 0,
        hours: 0.0,
        seconds: [f64::INFINITY, 0.0],
        rates: BTreeMap::new(),
        channels: BTreeMap::new(),
        lengths: Vec::new(),
    };
    let mut lengths = Vec::new();
    for entry in entries {
        let Info::Audio { rate, channels, .. } = entry.info() else {
            continue;
        };
        let seconds = entry.info().seconds();
        stats.items += 1;
        stats.bytes += entry.bytes();
        stats.hours += seconds / 3600.0;
        stats.seconds = [stats.seconds[0].min(seconds), stats.seconds[1].max(seconds)];
        *stats.rates.entry(rate).or_insert(0) += 1;
        *stats.channels.entry(channels).or_insert(0) += 1;
        lengths.push(seconds);
    }
    let edges = [0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0, 3600.0];
    stats.lengths = histogram(lengths.into_iter(), &edges);
    (stats.items > 0).then_some(stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_count_every_value_once() {
        let bins = histogram(
            [0.5, 1.0, 1.5, 9.0].into_iter(),
            &[0.0, 0.4, 1.0, 2.0, 5.0, 8.0],
        );
        let counts: Vec<_> = bins.iter().map(|b| (b.from, b.below, b.items)).collect();
        assert_eq!(
            counts,
            [
                (0.4, Some(1.0), 1),
                (1.0, Some(2.0), 2),
                (2.0, Some(5.0), 0),
                (5.0, Some(8.0), 0),
                (8.0, None, 1)
            ]
        );
        assert!(histogram(std::iter::empty(), &[0.0, 1.0]).is_empty());
    }
}

//! A small coder whose codes depend on their neighbours, for tests without a model.

use std::cell::Cell;

use codec_core::Depth;

use crate::coder::{AudioTokenizer, Codes, Format, Reach};
use crate::io::Sound;

pub(crate) const HOP: usize = 4;
pub(crate) const REACH: usize = 5;

/// Codes are the mean of a frame and what is within [`REACH`] samples of it; a sample is the mean of the values of the frame
/// before, its own and the one after. A second codebook refines.
pub(crate) struct Toy {
    pub format: Format,
    reach: Reach,
    /// Most samples of one pass.
    pub longest: Cell<usize>,
}

impl Toy {
    pub fn new(channels: u16, whole: bool) -> Self {
        let limited = Reach::Limited {
            before: REACH as u32,
            after: REACH as u32,
            frames_before: 1,
            frames_after: 1,
        };
        Self {
            format: Format {
                rate: 16_000,
                channels,
                hop: HOP as u32,
                codebooks: vec![256, 256],
                steps: vec![1, 2],
            },
            reach: if whole { Reach::Whole } else { limited },
            longest: Cell::new(0),
        }
    }
}

impl AudioTokenizer for Toy {
    fn format(&self) -> &Format {
        &self.format
    }

    fn reach(&self) -> Reach {
        self.reach
    }

    fn tokenize(&self, channels: &[&[f32]], codebooks: usize) -> Result<Codes, codec_core::Error> {
        assert_eq!(channels.len(), usize::from(self.format.channels));
        let samples = channels[0].len();
        assert!(samples > 0 && channels.iter().all(|c| c.len() == samples));
        self.longest.set(self.longest.get().max(samples));
        let mut rows = vec![Vec::new(); 2];
        for start in (0..samples).step_by(HOP) {
            let range = start.saturating_sub(REACH)..samples.min(start + HOP + REACH);
            let window = channels.iter().flat_map(|c| &c[range.clone()]);
            let count = range.len() * channels.len();
            // In integers, so that sums do not depend on where a pass begins.
            let sum: i64 = window.map(|&v| (v * 32_768.0).round() as i64).sum();
            let mean = (sum / count as i64 + 32_768).clamp(0, 65_535) as u32;
            rows[0].push(mean >> 8);
            rows[1].push(mean & 255);
        }
        let values = rows.into_iter().take(codebooks).flatten().collect();
        Ok(Codes { values, codebooks })
    }

    fn detokenize(&self, codes: &Codes) -> Result<Vec<Vec<f32>>, codec_core::Error> {
        let frames = codes.frames();
        let value = |frame: usize| {
            let code = |book: usize| {
                let there = book < codes.codebooks;
                if there {
                    codes.values[book * frames + frame]
                } else {
                    0
                }
            };
            ((code(0) << 8) + code(1)) as f32 / 32_768.0 - 1.0
        };
        let smooth = |frame: usize| {
            let near = frame.saturating_sub(1)..frames.min(frame + 2);
            near.clone().map(value).sum::<f32>() / near.len() as f32
        };
        let samples: Vec<f32> = (0..frames * HOP).map(|i| smooth(i / HOP)).collect();
        Ok(vec![samples; self.format.channels.into()])
    }
}

/// A sum of tones that differs between channels.
pub(crate) fn sound(rate: u32, channels: usize, samples: usize) -> Sound {
    let value = |c: usize, i: usize| {
        let t = i as f32 / rate as f32;
        0.4 * (t * (700.0 + 90.0 * c as f32)).sin() + 0.2 * (t * 123.0).cos()
    };
    let channels = (0..channels)
        .map(|c| (0..samples).map(|i| value(c, i)).collect())
        .collect();
    Sound::new(rate, channels, Depth::Int16).unwrap()
}

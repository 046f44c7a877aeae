//! Are the sources in a mixture still found?

use super::network::Network;
use super::onnx::Tensor;
use super::{TaskError, TaskOptions, higher};
use crate::metrics::{Measure, Metric, Outcome, Reference};
use crate::{EvalError, Sound};

const SDR: &str = "task.sdr";
/// Signal-to-distortion ratio of stems without distortion, in dB.
const BEST: f64 = 100.0;

/// Signal-to-distortion ratio of stems, those of the original being the signal.
pub(super) struct Separation {
    network: Network,
}

/// The samples of each stem in each window.
type Stems = Vec<Vec<Vec<f32>>>;

impl Separation {
    pub(super) fn open(options: &TaskOptions) -> Result<Self, TaskError> {
        let network = Network::open("separation", options)?;
        Ok(Self { network })
    }

    fn stems(&self, sound: &Sound) -> Result<Stems, TaskError> {
        let cut = |output: Tensor| match output.shape.as_slice() {
            [stems, _] | [1, stems, _] | [1, stems, _, _]
                if *stems > 0 && !output.data.is_empty() =>
            {
                let each = output.data.len() / stems;
                Ok(output
                    .data
                    .chunks_exact(each)
                    .map(<[f32]>::to_vec)
                    .collect())
            }
            _ => {
                let expected = "[1, stems, samples] or [1, stems, channels, samples]";
                Err(output.unexpected(expected))
            }
        };
        self.network.one(sound)?.into_iter().map(cut).collect()
    }
}

/// Power of the signal over that of the difference in dB; `None` for silence.
fn ratio<'a>(pairs: impl Iterator<Item = (&'a f32, &'a f32)>) -> Option<f64> {
    let (mut signal, mut distortion) = (0.0, 0.0);
    for (&wanted, &found) in pairs {
        signal += f64::from(wanted).powi(2);
        distortion += (f64::from(wanted) - f64::from(found)).powi(2);
    }
    (signal > 0.0).then(|| (10.0 * (signal / distortion).log10()).min(BEST))
}

struct Seen<'a> {
    task: &'a Separation,
    stems: Stems,
    sound: &'a Sound,
}

impl Measure<Sound> for Separation {
    fn metrics(&self) -> Vec<Metric> {
        vec![higher(SDR, "SDR of stems (dB)")]
    }

    fn reference<'a>(
        &'a self,
        _: &str,
        original: &'a Sound,
    ) -> Result<Box<dyn Reference<Sound> + 'a>, EvalError> {
        Ok(Box::new(Seen {
            task: self,
            stems: self.stems(original)?,
            sound: original,
        }))
    }
}

impl Reference<Sound> for Seen<'_> {
    fn measure(&self, decoded: &Sound) -> Result<Outcome, EvalError> {
        let text = |sound: &Sound| {
            let (rate, channels) = (sound.sample_rate, sound.channels.len());
            format!(
                "{rate} Hz, {channels} channels, {} samples",
                sound.samples()
            )
        };
        let differ = || EvalError::SoundMismatch {
            first: text(self.sound),
            second: text(decoded),
        };
        if text(self.sound) != text(decoded) {
            return Err(differ());
        }
        let stems = self.task.stems(decoded)?;
        let sizes = |stems: &Stems| -> Vec<Vec<usize>> {
            let lengths = |window: &Vec<Vec<f32>>| window.iter().map(Vec::len).collect();
            stems.iter().map(lengths).collect()
        };
        let (first, second) = (sizes(&self.stems), sizes(&stems));
        let count = first.first().map_or(0, Vec::len);
        if first != second || first.iter().any(|window| window.len() != count) {
            return Err(differ());
        }
        let stem = |i: usize| {
            let windows = self.stems.iter().zip(&stems);
            let parts = windows.filter_map(|(a, b)| Some((a.get(i)?, b.get(i)?)));
            ratio(parts.flat_map(|(a, b)| a.iter().zip(b)))
        };
        let ratios: Vec<f64> = (0..count).filter_map(stem).collect();
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        Ok(Outcome::optional(SDR, (!ratios.is_empty()).then_some(mean)))
    }
}

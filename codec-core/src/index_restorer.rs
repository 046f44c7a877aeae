//! A transformer that restores lost indexes of a vector quantizer.
//!
//! A place is seen as the row of the codebook that its index stands for, with the rows of the eight places around; a lost one
//! is seen as zeros and a learned vector. A window of places goes through blocks of attention, and every place gets a logit for
//! every code (Mao et al. 2023, "Extreme image compression using fine-tuned VQGANs", arXiv 2307.08265, section III; the masked
//! prediction of Chang et al. 2022, MaskGIT, arXiv 2202.04200). Larger pictures are restored window by window.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::ops::PadMode;
use burn::tensor::{Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::backend::CodecBackend;
use crate::layers::{LayerNorm, Linear};
use crate::weights::Loader;

const EPSILON: f64 = 1e-5;
/// Most units of a layer, most codes, most places along a side, most blocks and heads.
const LIMITS: [usize; 5] = [1 << 12, 1 << 16, 64, 64, 64];
/// Units between the two layers of a block, over its width.
const EXPANSION: usize = 4;
/// Places along a side of what a place sees before the blocks. Attention alone takes long to learn what lies beside what.
const NEAR: usize = 3;

/// Sizes of a [`Restorer`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorerConfig {
    /// Codes.
    pub codes: usize,
    /// Width of the codebook's rows.
    pub row: usize,
    /// Places along a side of a window.
    pub side: usize,
    /// Width of the blocks.
    pub width: usize,
    /// Heads of the attention; they divide the width.
    pub heads: usize,
    /// Blocks.
    pub blocks: usize,
}

impl RestorerConfig {
    /// Checks sizes before anything is allocated.
    ///
    /// # Errors
    /// [`Error::BadParameter`].
    pub fn check(&self) -> Result<(), Error> {
        let [width, codes, side, blocks, heads] = LIMITS;
        let sizes = [
            (self.row, width),
            (self.width, width),
            (self.codes, codes),
            (self.side, side),
            (self.blocks, blocks),
            (self.heads, heads),
        ];
        let fits = sizes.iter().all(|(size, most)| (1..=*most).contains(size));
        if fits && self.width.is_multiple_of(self.heads) {
            return Ok(());
        }
        Err(Error::bad_parameter(format!(
            "restorer {self:?} (expected sizes of 1..={LIMITS:?} and heads that divide the width)"
        )))
    }

    /// Multiply-accumulates for a place.
    pub fn macs(&self) -> usize {
        let attention = 4 * self.width * self.width + 2 * self.width * self.side * self.side;
        let block = attention + 2 * EXPANSION * self.width * self.width;
        self.blocks * block + self.width * (NEAR * NEAR * self.row + self.codes)
    }
}

/// One block: attention, then two layers, each added to what comes in.
#[derive(Module, Debug)]
struct Block<B: Backend> {
    attention_norm: LayerNorm<B>,
    q: Linear<B>,
    k: Linear<B>,
    v: Linear<B>,
    out: Linear<B>,
    norm: LayerNorm<B>,
    wide: Linear<B>,
    narrow: Linear<B>,
}

impl<B: CodecBackend> Block<B> {
    fn load(width: usize, loader: &Loader<'_, B>) -> Self {
        let norm = |name: &str| LayerNorm::load(width, EPSILON, &loader.at(name));
        let linear = |name: &str, shape| Linear::load(shape, &loader.at(name));
        Self {
            attention_norm: norm("attention_norm"),
            q: linear("q", [width; 2]),
            k: linear("k", [width; 2]),
            v: linear("v", [width; 2]),
            out: linear("out", [width; 2]),
            norm: norm("norm"),
            wide: linear("wide", [width, EXPANSION * width]),
            narrow: linear("narrow", [EXPANSION * width, width]),
        }
    }

    /// `[n, places, width]` to the same.
    fn forward(&self, x: Tensor<B, 3>, heads: usize) -> Tensor<B, 3> {
        let [n, places, width] = x.dims();
        let head = width / heads;
        let flat = |x: Tensor<B, 3>| x.reshape([n * places, width]);
        let normed = flat(self.attention_norm.forward(x.clone()));
        let project = |layer: &Linear<B>| {
            layer
                .forward(normed.clone())
                .reshape([n, places, heads, head])
                .swap_dims(1, 2)
                .reshape([n * heads, places, head])
        };
        let scale = 1.0 / (head as f64).sqrt();
        let seen = B::attend(project(&self.q), project(&self.k), project(&self.v), scale)
            .reshape([n, heads, places, head])
            .swap_dims(1, 2)
            .reshape([n * places, width]);
        let x = x + self.out.forward(seen).reshape([n, places, width]);
        let h = self.wide.forward(flat(self.norm.forward(x.clone())));
        let [rows, wide] = h.dims();
        let h = B::gelu_exact(h.reshape([1, 1, rows, wide])).reshape([rows, wide]);
        x + self.narrow.forward(h).reshape([n, places, width])
    }
}

/// The transformer.
#[derive(Module, Debug)]
pub struct Restorer<B: Backend> {
    input: Linear<B>,
    /// What stands for a lost index, `[1, width]`.
    lost: Param<Tensor<B, 2>>,
    /// What stands for a place, `[side^2, width]`.
    places: Param<Tensor<B, 2>>,
    blocks: Vec<Block<B>>,
    norm: LayerNorm<B>,
    output: Linear<B>,
    side: usize,
    heads: usize,
}

impl<B: CodecBackend> Restorer<B> {
    /// The transformer of a weights file.
    pub fn load(config: &RestorerConfig, loader: &Loader<'_, B>) -> Self {
        let (width, places) = (config.width, config.side * config.side);
        let blocks = (0..config.blocks)
            .map(|index| Block::load(width, &loader.at(format!("blocks.{index}"))));
        Self {
            input: Linear::load([NEAR * NEAR * config.row, width], &loader.at("input")),
            lost: loader.param("lost", [1, width]),
            places: loader.param("places", [places, width]),
            blocks: blocks.collect(),
            norm: LayerNorm::load(width, EPSILON, &loader.at("norm")),
            output: Linear::load([width, config.codes], &loader.at("output")),
            side: config.side,
            heads: config.heads,
        }
    }

    /// Logits of all codes at every place of windows.
    ///
    /// # Shapes
    /// rows of the indexes `[n side^2, row]`, anything where they are lost; `lost` `[n side^2]`, 1 where they are and 0
    /// elsewhere; to `[n side^2, codes]`
    pub fn forward(&self, rows: Tensor<B, 2>, lost: Tensor<B, 1>) -> Tensor<B, 2> {
        let (count, places) = (rows.dims()[0], self.side * self.side);
        let n = count / places.max(1);
        let width = self.lost.dims()[1];
        let lost = lost.reshape([count, 1]);
        let there = lost.clone().neg().add_scalar(1.0);
        let x = self.input.forward(self.near(rows * there)) + self.lost.val() * lost;
        let mut x = x.reshape([n, places, width]) + self.places.val().unsqueeze::<3>();
        for block in &self.blocks {
            x = block.forward(x, self.heads);
        }
        let x = self.norm.forward(x).reshape([count, width]);
        self.output.forward(x)
    }

    /// Rows `[n side^2, row]` with those around them, zeros outside of the window: `[n side^2, NEAR^2 row]`.
    fn near(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        let ([count, row], side) = (rows.dims(), self.side);
        let n = count / (side * side).max(1);
        let reach = NEAR / 2;
        let padded = rows.reshape([n, side, side, row]).pad(
            [(reach, reach), (reach, reach), (0, 0)],
            PadMode::Constant(0.0),
        );
        let parts = (0..NEAR * NEAR).map(|part| {
            let down = padded.clone().narrow(1, part / NEAR, side);
            down.narrow(2, part % NEAR, side)
        });
        Tensor::cat(parts.collect(), 3).reshape([count, NEAR * NEAR * row])
    }

    /// Fills in the lost indexes of a picture of `height x width` indexes with the most likely codes. `codebook` has the
    /// rows, `[codes, row]`; places outside of the picture count as lost.
    ///
    /// # Errors
    /// [`Error::BadParameter`] for slices of other lengths or codes that there are not, [`Error::Device`].
    pub fn restore(
        &self,
        codes: &[u32],
        lost: &[bool],
        [height, width]: [usize; 2],
        codebook: Tensor<B, 2>,
    ) -> Result<Vec<u32>, Error> {
        let size = codebook.dims()[0];
        let count = height.checked_mul(width);
        let known = codes.iter().all(|&code| (code as usize) < size);
        if count != Some(codes.len()) || lost.len() != codes.len() || !known {
            return Err(Error::bad_parameter(format!(
                "{} indexes, {} of them lost or not, for {width}x{height} of {size} codes",
                codes.len(),
                lost.len()
            )));
        }
        let mut restored = codes.to_vec();
        for top in starts(height, self.side) {
            for left in starts(width, self.side) {
                let places: Vec<Option<usize>> = (0..self.side * self.side)
                    .map(|place| {
                        let (row, column) = (top + place / self.side, left + place % self.side);
                        (row < height && column < width).then_some(row * width + column)
                    })
                    .collect();
                let missing = |place: &Option<usize>| {
                    place.is_none_or(|place| lost.get(place).copied().unwrap_or(true))
                };
                if !places.iter().any(|place| place.is_some() && missing(place)) {
                    continue;
                }
                let at = |place: &Option<usize>| place.and_then(|place| codes.get(place));
                let window: Vec<i64> = places
                    .iter()
                    .map(|place| at(place).map_or(0, |&code| code.into()))
                    .collect();
                let mask: Vec<f32> = places
                    .iter()
                    .map(|p| f32::from(u8::from(missing(p))))
                    .collect();
                for (place, code) in places.iter().zip(self.likely(window, mask, &codebook)?) {
                    if let Some(slot) = place.and_then(|place| restored.get_mut(place))
                        && missing(place)
                    {
                        *slot = code;
                    }
                }
            }
        }
        Ok(restored)
    }

    /// The most likely code at every place of a window.
    fn likely(
        &self,
        codes: Vec<i64>,
        lost: Vec<f32>,
        codebook: &Tensor<B, 2>,
    ) -> Result<Vec<u32>, Error> {
        let device = codebook.device();
        let count = codes.len();
        let codes = Tensor::<B, 1, Int>::from_data(TensorData::new(codes, [count]), &device);
        let lost = Tensor::<B, 1>::from_data(TensorData::new(lost, [count]), &device);
        let logits = self.forward(codebook.clone().select(0, codes), lost);
        let best: Vec<u32> = logits
            .argmax(1)
            .into_data()
            .iter::<i64>()
            .map(|code| code as u32)
            .collect();
        if best.len() == count {
            return Ok(best);
        }
        Err(Error::Device {
            device: std::any::type_name::<B>().into(),
            reason: "no result".into(),
        })
    }
}

/// First places of windows that cover a side; the last one ends with it.
fn starts(length: usize, side: usize) -> Vec<usize> {
    let last = length.saturating_sub(side);
    let mut starts: Vec<usize> = (0..last).step_by(side.max(1)).collect();
    starts.push(last);
    starts
}

#[cfg(test)]
mod tests {
    use burn::backend::Autodiff;
    use burn::module::AutodiffModule;
    use burn::optim::{AdamConfig, GradientsParams, Optimizer};
    use burn::tensor::activation::log_softmax;
    use burn_flex::Flex;

    use super::*;
    use crate::weights::Start;

    type Learning = Autodiff<Flex>;

    fn config() -> RestorerConfig {
        RestorerConfig {
            codes: 8,
            row: 3,
            side: 4,
            width: 16,
            heads: 2,
            blocks: 1,
        }
    }

    /// Stripes: all codes of a column are the same.
    fn stripes(height: usize, width: usize, shift: usize) -> Vec<u32> {
        (0..height * width)
            .map(|place| ((place % width) * 3 + shift) as u32 % 8)
            .collect()
    }

    #[test]
    fn stripes_are_restored() {
        let config = config();
        let device = Default::default();
        let start = Start::new(3, |loader| Restorer::<Flex>::load(&config, loader)).unwrap();
        let mut network =
            Restorer::<Learning>::load(&config, &Loader::new(start.tensors(), &device));
        let rows: Vec<f32> = (0..24).map(|i| ((i * 7 % 11) as f32 - 5.0) / 3.0).collect();
        let codebook = Tensor::<Learning, 2>::from_data(TensorData::new(rows, [8, 3]), &device);
        let mut optimizer = AdamConfig::new().init();
        let mask = |step: usize| -> Vec<bool> {
            (0..16)
                .map(|place| (place * 5 + step * 3) % 7 < 2)
                .collect()
        };
        for step in 0..200 {
            let codes: Vec<i64> = (0..8)
                .flat_map(|shift| stripes(4, 4, shift))
                .map(i64::from)
                .collect();
            let lost: Vec<f32> = (0..8)
                .flat_map(|window| mask(step + window))
                .map(|lost| f32::from(u8::from(lost)))
                .collect();
            let codes =
                Tensor::<Learning, 1, Int>::from_data(TensorData::new(codes, [128]), &device);
            let lost = Tensor::<Learning, 1>::from_data(TensorData::new(lost, [128]), &device);
            let logits = network.forward(codebook.clone().select(0, codes.clone()), lost.clone());
            let log = log_softmax(logits, 1).gather(1, codes.reshape([128, 1]));
            let loss = (log.reshape([128]) * lost).sum().neg();
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(0.005, network, gradients);
        }
        let network = network.valid();
        let codebook = codebook.inner();
        // Larger than a window, and smaller.
        for [height, width] in [[4, 4], [9, 6], [3, 2]] {
            let codes = stripes(height, width, 0);
            let lost: Vec<bool> = (0..codes.len()).map(|place| place % 5 == 1).collect();
            let damaged: Vec<u32> = codes
                .iter()
                .zip(&lost)
                .map(|(&c, &l)| if l { 0 } else { c })
                .collect();
            let restored = network
                .restore(&damaged, &lost, [height, width], codebook.clone())
                .unwrap();
            let kept = restored
                .iter()
                .zip(&codes)
                .zip(&lost)
                .all(|((r, c), l)| *l || r == c);
            assert!(kept);
            if [height, width] == [4, 4] {
                assert_eq!(restored, codes);
            }
        }
        let collected = start.collect(&network).unwrap();
        let again = Restorer::<Flex>::load(&config, &Loader::new(&collected, &device));
        assert_eq!(collected, start.collect(&again).unwrap());
        assert!(
            network
                .restore(&[0; 3], &[true; 3], [2, 2], codebook.clone())
                .is_err()
        );
        assert!(
            network
                .restore(&[8; 4], &[true; 4], [2, 2], codebook)
                .is_err()
        );
    }

    #[test]
    fn windows_cover_a_side() {
        assert_eq!(starts(3, 4), [0]);
        assert_eq!(starts(4, 4), [0]);
        assert_eq!(starts(9, 4), [0, 4, 5]);
        assert!(config().check().is_ok());
        assert!(
            RestorerConfig {
                heads: 3,
                ..config()
            }
            .check()
            .is_err()
        );
        assert!(
            RestorerConfig {
                codes: 1 << 17,
                ..config()
            }
            .check()
            .is_err()
        );
    }
}

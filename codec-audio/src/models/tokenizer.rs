//! Networks with codebooks as an [`AudioTokenizer`]: checks of sizes, between slices and tensors.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use codec_core::Error;
use codec_core::backend::CodecBackend;
use rayon::prelude::*;

use super::ragged::Ragged;
use crate::coder::{AudioTokenizer, Codes, Format, Reach};

/// What a family's networks do.
pub(crate) trait TokenNetwork<B: Backend>: Send + Sync {
    /// Codes of the first `codebooks` codebooks of signals `[n, channels, t]` of at least a sample each, zeros behind the ends
    /// of the shorter ones: `[n l]` each, l the frames of the longest. Those of a signal's own frames are as if it were alone.
    fn codes(&self, x: Ragged<B>, codebooks: usize) -> Result<Vec<Tensor<B, 1, Int>>, Error>;

    /// A signal `[1, channels, about hop l]` of codes, `[l]` each.
    fn samples(&self, codes: &[Tensor<B, 1, Int>]) -> Result<Tensor<B, 3>, Error>;
}

/// Networks of a model on a device.
pub(crate) struct Tokenizer<B: Backend, N> {
    pub network: N,
    pub format: Format,
    pub reach: Reach,
    pub device: B::Device,
    /// Whether the signal is extended by zeros to whole frames. Networks that mirror a signal's end see it as it is.
    pub whole_frames: bool,
}

impl<B: CodecBackend, N: TokenNetwork<B>> Tokenizer<B, N> {
    /// Codes of recordings of which none is empty, in one pass of the network.
    fn pass(&self, batch: &[&[&[f32]]], codebooks: usize) -> Result<Vec<Codes>, Error> {
        let hop = self.format.hop as usize;
        let (mut items, mut frames) = (Vec::with_capacity(batch.len()), Vec::new());
        for channels in batch {
            let samples = samples_of(channels, &self.format)?;
            let own = samples.div_ceil(hop);
            let length = if self.whole_frames {
                own * hop
            } else {
                samples
            };
            items.push(to_device::<B>(channels, length, &self.device));
            frames.push(own);
        }
        let longest = frames.iter().copied().max().unwrap_or(0);
        let mut all = vec![Vec::new(); batch.len()];
        for codes in self.network.codes(Ragged::of(items), codebooks)? {
            let codes = codes.into_data();
            let codes: Vec<u32> = codes.iter::<i64>().map(|code| code as u32).collect();
            let rows = codes.chunks(longest.max(1)).zip(&frames);
            for (values, (row, &own)) in all.iter_mut().zip(rows) {
                values.extend(row.iter().take(own));
            }
        }
        let check = |(values, own): (Vec<u32>, usize)| {
            if values.len() == codebooks * own {
                return Ok(Codes { values, codebooks });
            }
            Err(Error::Device {
                device: std::any::type_name::<B>().into(),
                reason: format!("{} codes for {own} frames", values.len()),
            })
        };
        all.into_iter().zip(frames).map(check).collect()
    }

    fn check_codebooks(&self, codebooks: usize) -> Result<(), Error> {
        let there = self.format.codebooks.len();
        if (1..=there).contains(&codebooks) {
            return Ok(());
        }
        Err(Error::bad_parameter(format!(
            "{codebooks} codebooks of a model with {there}"
        )))
    }
}

impl<B: CodecBackend, N: TokenNetwork<B>> AudioTokenizer for Tokenizer<B, N> {
    fn format(&self) -> &Format {
        &self.format
    }

    fn reach(&self) -> Reach {
        self.reach
    }

    fn tokenize(&self, channels: &[&[f32]], codebooks: usize) -> Result<Codes, Error> {
        self.check_codebooks(codebooks)?;
        if samples_of(channels, &self.format)? == 0 {
            return Ok(Codes {
                values: Vec::new(),
                codebooks,
            });
        }
        let codes = self.pass(&[channels], codebooks)?;
        Ok(codes.into_iter().next().unwrap_or_default())
    }

    fn tokenize_batch(&self, batch: &[Vec<&[f32]>], codebooks: usize) -> Result<Vec<Codes>, Error> {
        if B::SIDE_BY_SIDE {
            let each = batch.par_iter();
            return each
                .map(|channels| self.tokenize(channels, codebooks))
                .collect();
        }
        self.check_codebooks(codebooks)?;
        let mut there = Vec::with_capacity(batch.len());
        for channels in batch {
            if samples_of(channels, &self.format)? > 0 {
                there.push(channels.as_slice());
            }
        }
        let none = Codes {
            values: Vec::new(),
            codebooks,
        };
        if there.is_empty() {
            return Ok(vec![none; batch.len()]);
        }
        let mut found = self.pass(&there, codebooks)?.into_iter();
        let empty = |channels: &Vec<&[f32]>| channels.iter().all(|channel| channel.is_empty());
        let all = batch.iter().map(|channels| match empty(channels) {
            true => none.clone(),
            false => found.next().unwrap_or_default(),
        });
        Ok(all.collect())
    }

    fn detokenize(&self, codes: &Codes) -> Result<Vec<Vec<f32>>, Error> {
        let frames = codes.frames();
        let sizes = self.format.codebooks.get(..codes.codebooks);
        let Some(sizes) = sizes.filter(|_| codes.values.len() == codes.codebooks * frames) else {
            return Err(Error::malformed(format!(
                "{} codes of {} codebooks for a model with {}",
                codes.values.len(),
                codes.codebooks,
                self.format.codebooks.len()
            )));
        };
        if frames == 0 {
            return Ok(vec![Vec::new(); self.format.channels.into()]);
        }
        let mut books = Vec::with_capacity(sizes.len());
        for (codes, &size) in codes.values.chunks(frames).zip(sizes) {
            if let Some(code) = codes.iter().find(|&&code| code >= size) {
                return Err(Error::malformed(format!(
                    "code {code} (expected below {size})"
                )));
            }
            let codes: Vec<i32> = codes.iter().map(|&code| code as i32).collect();
            let data = TensorData::new(codes, [frames]);
            books.push(Tensor::from_data(data, &self.device));
        }
        let samples = self.network.samples(&books)?;
        to_host(samples, frames * self.format.hop as usize)
    }
}

/// Samples of a channel of a recording that fits a model.
///
/// # Errors
/// [`Error::BadParameter`] for another number of channels, or channels of different lengths.
pub(crate) fn samples_of(channels: &[&[f32]], format: &Format) -> Result<usize, Error> {
    let samples = channels.first().map_or(0, |channel| channel.len());
    if channels.len() != usize::from(format.channels)
        || channels.iter().any(|channel| channel.len() != samples)
    {
        return Err(Error::bad_parameter(format!(
            "{} channels of {:?} samples for a model with {}",
            channels.len(),
            channels.iter().map(|c| c.len()).collect::<Vec<_>>(),
            format.channels
        )));
    }
    Ok(samples)
}

/// A recording as `[1, channels, length]`, with zeros at its end.
pub(crate) fn to_device<B: Backend>(
    channels: &[&[f32]],
    length: usize,
    device: &B::Device,
) -> Tensor<B, 3> {
    let mut values = Vec::with_capacity(channels.len() * length);
    for (number, channel) in (1..).zip(channels) {
        values.extend(channel.iter().take(length));
        values.resize(number * length, 0.0);
    }
    Tensor::from_data(TensorData::new(values, [1, channels.len(), length]), device)
}

/// `length` samples of every channel of `[1, channels, t]`, zeros where there are fewer.
///
/// # Errors
/// [`Error::Device`] if the device gives no result.
pub(crate) fn to_host<B: Backend>(x: Tensor<B, 3>, length: usize) -> Result<Vec<Vec<f32>>, Error> {
    let [_, _, time] = x.dims();
    let values: Vec<f32> =
        x.into_data()
            .convert::<f32>()
            .into_vec()
            .map_err(|e| Error::Device {
                device: std::any::type_name::<B>().into(),
                reason: format!("no result: {e:?}"),
            })?;
    let channels = values.chunks(time.max(1)).map(|channel| {
        let mut channel: Vec<f32> = channel.iter().take(length).copied().collect();
        channel.resize(length, 0.0);
        channel
    });
    Ok(channels.collect())
}

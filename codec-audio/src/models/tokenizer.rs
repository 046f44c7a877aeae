//! Networks with codebooks as an [`AudioTokenizer`]: checks of sizes, between slices and tensors.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use codec_core::Error;

use crate::coder::{AudioTokenizer, Codes, Format, Reach};

/// What a family's networks do.
pub(crate) trait TokenNetwork<B: Backend>: Send {
    /// Codes of the first `codebooks` codebooks, `[l]` each, of a signal `[1, channels, t]` with t a positive multiple of the
    /// hop.
    fn codes(&self, x: Tensor<B, 3>, codebooks: usize) -> Result<Vec<Tensor<B, 1, Int>>, Error>;

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

impl<B: Backend, N: TokenNetwork<B>> AudioTokenizer for Tokenizer<B, N> {
    fn format(&self) -> &Format {
        &self.format
    }

    fn reach(&self) -> Reach {
        self.reach
    }

    fn tokenize(&self, channels: &[&[f32]], codebooks: usize) -> Result<Codes, Error> {
        let there = self.format.codebooks.len();
        if !(1..=there).contains(&codebooks) {
            return Err(Error::bad_parameter(format!(
                "{codebooks} codebooks of a model with {there}"
            )));
        }
        let samples = samples_of(channels, &self.format)?;
        if samples == 0 {
            return Ok(Codes {
                values: Vec::new(),
                codebooks,
            });
        }
        let hop = self.format.hop as usize;
        let frames = samples.div_ceil(hop);
        let length = if self.whole_frames {
            frames * hop
        } else {
            samples
        };
        let x = to_device::<B>(channels, length, &self.device);
        let mut values = Vec::with_capacity(codebooks * frames);
        for codes in self.network.codes(x, codebooks)? {
            values.extend(codes.into_data().iter::<i64>().map(|code| code as u32));
        }
        if values.len() != codebooks * frames {
            return Err(Error::Device {
                device: std::any::type_name::<B>().into(),
                reason: format!("{} codes for {frames} frames", values.len()),
            });
        }
        Ok(Codes { values, codebooks })
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

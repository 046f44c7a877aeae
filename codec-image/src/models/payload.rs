//! Payloads of the float profile's tiles: a check value ([`Check`]), then one stream of symbols, first those with a table a
//! channel, then those whose tables scales select.

use codec_core::Error;
use codec_core::layers::{EntropyBottleneck, GaussianConditional};
use codec_entropy::{Decoder, Encoder};

use super::check::Check;

/// Writes a payload.
#[derive(Default)]
pub(crate) struct Writer {
    encoder: Encoder,
    check: Check,
}

impl Writer {
    /// Symbols `[channels, area]` with a table a channel.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the tables do not fit.
    pub fn channels(
        &mut self,
        symbols: &[i32],
        area: usize,
        bottleneck: &EntropyBottleneck,
    ) -> Result<(), Error> {
        self.check.symbols(symbols);
        self.encoder
            .push(symbols, &bottleneck.indexes(area), bottleneck.tables())
            .map_err(Check::drift)
    }

    /// Symbols with the tables of their scales, which a decoder comes to group by group.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the tables do not fit.
    pub fn scaled(
        &mut self,
        symbols: &[i32],
        scales: &[f32],
        group: usize,
        gaussian: &GaussianConditional,
    ) -> Result<(), Error> {
        let indexes = indexes(scales, gaussian);
        let group = group.max(1);
        for (symbols, indexes) in symbols.chunks(group).zip(indexes.chunks(group)) {
            self.check.tables(indexes);
            self.check.symbols(symbols);
        }
        self.encoder
            .push(symbols, &indexes, gaussian.tables())
            .map_err(Check::drift)
    }

    /// The payload.
    ///
    /// # Errors
    /// Those of the encoder.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        let stream = self.encoder.finish().map_err(Check::drift)?;
        Ok(self.check.seal(&stream))
    }
}

/// Reads a payload.
pub(crate) struct Reader<'a> {
    decoder: Decoder<'a>,
    check: Check,
    expected: u32,
}

impl<'a> Reader<'a> {
    /// Starts with a payload.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Malformed`].
    pub fn new(payload: &'a [u8]) -> Result<Self, Error> {
        let (expected, stream) = Check::open(payload)?;
        Ok(Self {
            decoder: Decoder::new(stream).map_err(Check::drift)?,
            check: Check::new(),
            expected,
        })
    }

    /// The inverse of [`Writer::channels`].
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn channels(
        &mut self,
        area: usize,
        bottleneck: &EntropyBottleneck,
    ) -> Result<Vec<i32>, Error> {
        let indexes = bottleneck.indexes(area);
        let mut symbols = vec![0; indexes.len()];
        self.decoder
            .decode(&indexes, bottleneck.tables(), &mut symbols)
            .map_err(Check::drift)?;
        self.check.symbols(&symbols);
        Ok(symbols)
    }

    /// As many symbols as there are scales, and the tables that these select. Both are for [`Reader::checked`] once their group
    /// is whole.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn scaled(
        &mut self,
        scales: &[f32],
        symbols: &mut [i32],
        gaussian: &GaussianConditional,
    ) -> Result<Vec<u8>, Error> {
        let indexes = indexes(scales, gaussian);
        self.decoder
            .decode(&indexes, gaussian.tables(), symbols)
            .map_err(Check::drift)?;
        Ok(indexes)
    }

    /// Adds a group of [`Writer::scaled`] to the check value.
    pub fn checked(&mut self, indexes: &[u8], symbols: &[i32]) {
        self.check.tables(indexes);
        self.check.symbols(symbols);
    }

    /// The end of the payload.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not where the stream ends, [`Error::CheckFailed`].
    pub fn finish(self) -> Result<(), Error> {
        self.decoder.finish().map_err(Check::drift)?;
        self.check.verify(self.expected)
    }
}

/// Tables of scales in our files.
fn indexes(scales: &[f32], gaussian: &GaussianConditional) -> Vec<u8> {
    scales
        .iter()
        .map(|&scale| gaussian.nearest(scale))
        .collect()
}

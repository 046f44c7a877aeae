//! Integer probability tables and entropy coding for learned codecs.
//!
//! Networks hand over integers, this crate turns them into bytes and back. Every symbol comes with the index of the
//! probability table that prices it; the tables are integers of 16 bit, built once when a model is exported
//! ([`gaussian_tables`], [`TableSet::from_pmfs`]) and stored with its weights ([`TableSet::to_bytes`]). No float takes
//! part in coding, so a stream means the same on every machine. The arithmetic of the coder is that of [`constriction`].
//!
//! # Which model for what
//! | Symbols | Use |
//! | --- | --- |
//! | latents whose spread a hyperprior or context model predicts | [`gaussian_tables`] with [`Encoder`] and [`Decoder`]; the network yields an index 0..64 |
//! | hyper-latents with a learned factorized prior | [`TableSet::from_pmfs`], one table a channel, index = channel |
//! | vector-quantizer indexes, statistics known when the model is made | [`static_table`] (from counts) |
//! | symbols of an alphabet, statistics unknown | [`encode_adaptive`], [`decode_adaptive`] |
//! | symbols whose weights a context model makes one at a time | [`WeightedEncoder`], [`WeightedDecoder`] |
//! | vector-quantizer indexes of any number of codes, statistics unknown | [`encode_indexes`], [`decode_indexes`] |
//!
//! [`encode_compressai`] and [`decode_compressai`] exchange strings with CompressAI, [`compressai_cdf`] rounds tables as it
//! does.
//!
//! Any `i32` can be coded with any table: values outside a table's support take its escape, at a price
//! ([`TableSet::bits`]). [`Encoder`] collects segments that may use different tables; [`Decoder`] returns them one by one
//! in the same order, so a network can run between two segments.
//!
//! # Example
//! ```
//! use codec_entropy::{Decoder, Encoder, Pmf, TableSet};
//!
//! let tables = TableSet::from_pmfs(&[
//!     Pmf { offset: -1, mass: &[0.25, 0.5, 0.125] },
//!     Pmf { offset: 0, mass: &[0.75, 0.125] },
//! ])?;
//!
//! let symbols = [0, -1, 1, 0, 1000, 0];
//! let indexes = [0u8, 0, 0, 1, 1, 1];
//! let mut encoder = Encoder::new();
//! encoder.push(&symbols, &indexes, &tables)?;
//! let bytes = encoder.finish()?;
//! assert_eq!(bytes, [1, 64, 67, 158, 212, 42, 142, 227]);
//!
//! let mut decoder = Decoder::new(&bytes)?;
//! let mut decoded = [0; 6];
//! decoder.decode(&indexes, &tables, &mut decoded)?;
//! decoder.finish()?;
//! assert_eq!(decoded, symbols);
//! # Ok::<(), codec_entropy::Error>(())
//! ```
//!
//! # The stream
//! One byte tells the number of lanes (0 for no symbols at all, 1 or 4). Then come the coder states, lane by lane, as
//! `u64` (a single one without its leading zero bytes: 5 to 8 of them, so that whole words follow), and the `u32` words
//! in the order in which a decoder takes them; all of it little-endian. The k-th symbol of a stream belongs to lane
//! `k % lanes`, whatever the segments, and all lanes take words from the one sequence. Decoding a symbol of interval
//! `[start, start + width)` of 65536 from state x:
//!
//! ```text
//! q = x mod 2^16;  start <= q < start + width;  x = floor(x / 2^16) * width + q - start
//! if x < 2^32:  x = x * 2^32 + next word
//! ```
//!
//! A value outside a table's support is its escape symbol and then, in the same lane, uniform bits: with `p` the value
//! minus the table's offset and `n` the number of ordinary symbols, `raw = -2p - 1` below the support and `2(p - n)`
//! above. Let m be `raw + 1` and b the position of its highest bit. Four bits carry `min(b, 15)`, five more `b - 15` if
//! that was 15, then b bits the rest of m, low ones first, in groups of at most 16.
//!
//! Every lane starts encoding at state 2^32 and must be back there after the last symbol, with no word left:
//! [`Decoder::finish`] checks both.
#![deny(missing_docs)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod adaptive;
mod bytes;
mod categorical;
mod compressai;
mod decoder;
mod encoder;
mod error;
mod escape;
mod fenwick;
mod frame;
mod gaussian;
mod indexes;
mod interval;
mod planes;
mod pmf;
mod table;
mod weighted;

pub use adaptive::{MAX_ALPHABET, decode_adaptive, encode_adaptive};
pub use categorical::static_table;
pub use compressai::{
    CompressAiDecoder, compressai_cdf, compressai_gaussian_tables, compressai_scales,
    decode_compressai, encode_compressai,
};
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use error::{Error, ErrorKind, Result};
pub use gaussian::{SCALE_MAX, SCALE_MIN, SCALES, gaussian_tables, scale_of};
pub use indexes::{MAX_CODES, decode_indexes, encode_indexes};
pub use planes::{decode_planes, encode_planes};
pub use pmf::Pmf;
pub use table::{Cdf, MAX_ENTRIES, MAX_TABLES, PRECISION, TableSet};
pub use weighted::{WEIGHTS_MAX, WeightedDecoder, WeightedEncoder};

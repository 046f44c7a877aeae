//! What can go wrong, and whose fault it is.

use thiserror::Error;

/// Result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault an [`enum@Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are not a stream (or not a set of tables) that this crate writes.
    Malformed,
    /// A size is above what this crate accepts.
    Limit,
    /// The caller passed something that does not fit.
    Parameter,
}

/// Everything that building tables, encoding and decoding can report.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream ends before the last symbol.
    #[error("entropy-coded stream ends early")]
    Truncated,
    /// The first byte does not name a known layout.
    #[error("invalid number of coder lanes {found} (expected 0, 1 or 4)")]
    InvalidLanes {
        /// The byte found.
        found: u8,
    },
    /// A coder state at the start of the stream is out of range.
    #[error("invalid initial coder state {found:#x} in lane {lane} (expected at least 2^32)")]
    InvalidState {
        /// Lane of the state.
        lane: usize,
        /// The state found.
        found: u64,
    },
    /// After the last symbol a lane is not in the state from which encoding starts: the stream is damaged, or was
    /// decoded with other tables or indexes than it was encoded with.
    #[error(
        "final coder state {found:#x} in lane {lane} (expected 0x100000000): damaged stream or wrong tables"
    )]
    FinalState {
        /// Lane of the state.
        lane: usize,
        /// The state found.
        found: u64,
    },
    /// The same of a string of CompressAI.
    #[error("final coder state {found:#x} (expected 0x80000000): damaged string or wrong tables")]
    CompressAiState {
        /// The state found.
        found: u64,
    },
    /// Bytes are left after the last symbol.
    #[error("{bytes} bytes left after the last symbol")]
    TrailingData {
        /// How many.
        bytes: usize,
    },
    /// An escaped value does not fit an `i32`.
    #[error("escaped value is outside of the range of i32")]
    InvalidEscape,
    /// The learning rate of an adaptive stream is unknown.
    #[error("invalid adaptation code {found} (expected 0..={max})")]
    InvalidAdaptation {
        /// The byte found.
        found: u8,
        /// Largest code.
        max: u8,
    },
    /// The form of a stream of indexes is unknown, or not that of so many codes.
    #[error("invalid form {found} of a stream of indexes")]
    InvalidForm {
        /// The byte found.
        found: u8,
    },
    /// A decoded index is beyond the last code.
    #[error("index {index} at position {position} (expected below {codes})")]
    InvalidIndex {
        /// Position of the index.
        position: usize,
        /// The index.
        index: u32,
        /// Number of codes.
        codes: usize,
    },

    /// Serialized tables do not begin as they must.
    #[error("not a set of probability tables: wrong signature")]
    TableSignature,
    /// Serialized tables have the wrong length.
    #[error("serialized tables have {actual} bytes (expected {expected})")]
    TableLength {
        /// Bytes that the counts ask for (up to where they could be read).
        expected: usize,
        /// Bytes there.
        actual: usize,
    },
    /// A cumulative distribution is not strictly increasing from 0 to 65536.
    #[error(
        "table {table}: cumulative distribution is not strictly increasing from 0 to 65536 at entry {entry}"
    )]
    InvalidCdf {
        /// Table.
        table: usize,
        /// Offending entry of the distribution.
        entry: usize,
    },
    /// A table has too few or too many symbols.
    #[error("table {table} has {symbols} symbols with the escape (expected 2..=65536)")]
    TableSize {
        /// Table.
        table: usize,
        /// Its number of symbols, escape included.
        symbols: usize,
    },
    /// The last symbol of a table exceeds `i32`.
    #[error("table {table}: {symbols} symbols from {offset} exceed the range of i32")]
    TableOffset {
        /// Table.
        table: usize,
        /// First symbol.
        offset: i32,
        /// Number of symbols, escape included.
        symbols: usize,
    },
    /// Too many tables, or none.
    #[error("{tables} probability tables (expected 1..={max})")]
    TableCount {
        /// Number of tables.
        tables: usize,
        /// Largest number.
        max: usize,
    },
    /// All tables together are too large.
    #[error("probability tables have {entries} symbols in all (expected at most {max})")]
    TooManyEntries {
        /// Symbols of all tables.
        entries: usize,
        /// Largest number.
        max: usize,
    },

    /// A probability mass is negative or not finite.
    #[error(
        "table {table}: probability mass {mass} of symbol {symbol} is not a finite number >= 0"
    )]
    InvalidMass {
        /// Table.
        table: usize,
        /// Position of the symbol in the table.
        symbol: usize,
        /// The mass.
        mass: f64,
    },
    /// A table has no probability mass at all.
    #[error("table {table} has no probability mass")]
    NoMass {
        /// Table.
        table: usize,
    },
    /// A symbol names a table that is not there.
    #[error("table index {index} of symbol {position} (expected below {tables})")]
    UnknownTable {
        /// Position in the segment.
        position: usize,
        /// Index found.
        index: usize,
        /// Number of tables.
        tables: usize,
    },
    /// Symbols and table indexes differ in number.
    #[error("{symbols} symbols with {indexes} table indexes")]
    LengthMismatch {
        /// Number of symbols.
        symbols: usize,
        /// Number of indexes.
        indexes: usize,
    },
    /// An alphabet is empty or too large.
    #[error("alphabet of {size} symbols (expected 1..={max})")]
    AlphabetSize {
        /// Size of the alphabet.
        size: usize,
        /// Largest size.
        max: usize,
    },
    /// A symbol is not in the alphabet.
    #[error("symbol {symbol} at position {position} (expected below {alphabet})")]
    OutsideAlphabet {
        /// Position of the symbol.
        position: usize,
        /// The symbol.
        symbol: u32,
        /// Size of the alphabet.
        alphabet: usize,
    },
    /// The limit of planes is out of range.
    #[error("invalid limit {limit} of planes (expected 1..={max})")]
    PlaneLimit {
        /// The limit.
        limit: i32,
        /// Largest limit.
        max: i32,
    },
    /// A value of a plane is beyond the limit.
    #[error("value {value} at position {position} (expected -{limit}..={limit})")]
    OutsidePlaneLimit {
        /// Position of the value.
        position: usize,
        /// The value.
        value: i32,
        /// The limit.
        limit: i32,
    },
    /// A stream of planes holds a value beyond their limit.
    #[error("decoded value at position {position} is beyond the limit of {limit}")]
    InvalidPlaneValue {
        /// Position of the value.
        position: usize,
        /// The limit.
        limit: i32,
    },
    /// More symbols are asked for than the caller's limit allows.
    #[error("{count} symbols (limit {limit})")]
    TooManySymbols {
        /// Number of symbols.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Memory for the result is not to be had.
    #[error("cannot allocate memory for {count} symbols")]
    OutOfMemory {
        /// Number of symbols.
        count: usize,
    },
    /// A model gave a symbol no probability. Tables are validated, so this is a bug.
    #[error("a symbol has probability zero")]
    ZeroProbability,
}

impl Error {
    /// True if more bytes might mend the stream.
    pub fn is_truncated(&self) -> bool {
        matches!(self, Self::Truncated)
    }

    /// Whose fault this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Truncated
            | Self::InvalidLanes { .. }
            | Self::InvalidState { .. }
            | Self::FinalState { .. }
            | Self::CompressAiState { .. }
            | Self::TrailingData { .. }
            | Self::InvalidEscape
            | Self::InvalidAdaptation { .. }
            | Self::InvalidForm { .. }
            | Self::InvalidIndex { .. }
            | Self::TableSignature
            | Self::TableLength { .. }
            | Self::InvalidCdf { .. }
            | Self::TableSize { .. }
            | Self::InvalidPlaneValue { .. }
            | Self::TableOffset { .. } => ErrorKind::Malformed,
            Self::TableCount { .. }
            | Self::TooManyEntries { .. }
            | Self::TooManySymbols { .. }
            | Self::OutOfMemory { .. } => ErrorKind::Limit,
            Self::InvalidMass { .. }
            | Self::NoMass { .. }
            | Self::UnknownTable { .. }
            | Self::LengthMismatch { .. }
            | Self::AlphabetSize { .. }
            | Self::OutsideAlphabet { .. }
            | Self::PlaneLimit { .. }
            | Self::OutsidePlaneLimit { .. }
            | Self::ZeroProbability => ErrorKind::Parameter,
        }
    }
}

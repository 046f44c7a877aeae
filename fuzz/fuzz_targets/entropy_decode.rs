//! Entropy decoding of arbitrary bytes: a value or a typed error, never a panic.
//!
//! The first byte says what the others are. `cargo +nightly fuzz run entropy_decode`.
#![no_main]

use std::sync::LazyLock;

use codec_entropy::{Decoder, Encoder, TableSet, decode_adaptive, gaussian_tables};
use libfuzzer_sys::fuzz_target;

static TABLES: LazyLock<TableSet> =
    LazyLock::new(|| gaussian_tables().expect("built from constants"));

fuzz_target!(|data: &[u8]| {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    match mode % 4 {
        // Any stream with the Gaussian tables; the indexes come from the same bytes, in two segments.
        0 => decode(rest, &TABLES),
        // Any tables, and a stream decoded with them.
        1 => {
            let Some((length, rest)) = rest.split_first_chunk() else {
                return;
            };
            let (tables, stream) =
                rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
            if let Ok(tables) = TableSet::from_bytes(tables) {
                assert_eq!(
                    TableSet::from_bytes(&tables.to_bytes()).as_ref(),
                    Ok(&tables)
                );
                decode(stream, &tables);
            }
        }
        2 => {
            let Some((alphabet, rest)) = rest.split_first_chunk() else {
                return;
            };
            let _ = decode_adaptive(
                rest,
                usize::from(u16::from_le_bytes(*alphabet)),
                10 * rest.len(),
                1 << 16,
            );
        }
        // Any symbols must return.
        _ => {
            let (symbols, indexes): (Vec<i32>, Vec<u8>) = rest
                .as_chunks()
                .0
                .iter()
                .map(|&[a, b, c, d, i]| (i32::from_le_bytes([a, b, c, d]), i % 64))
                .unzip();
            let mut encoder = Encoder::new();
            encoder
                .push(&symbols, &indexes, &TABLES)
                .expect("indexes are valid");
            let bytes = encoder.finish().expect("tables are valid");
            let mut out = vec![0; symbols.len()];
            let mut decoder = Decoder::new(&bytes).expect("own stream");
            decoder
                .decode(&indexes, &TABLES, &mut out)
                .expect("own stream");
            decoder.finish().expect("own stream");
            assert_eq!(out, symbols);
        }
    }
});

fn decode(stream: &[u8], tables: &TableSet) {
    let Ok(mut decoder) = Decoder::new(stream) else {
        return;
    };
    let indexes: Vec<usize> = stream
        .iter()
        .map(|&b| usize::from(b) % tables.len())
        .collect();
    let (first, second) = indexes.split_at(indexes.len() / 3);
    for indexes in [first, second] {
        let mut out = vec![0; indexes.len()];
        if decoder.decode(indexes, tables, &mut out).is_err() {
            return;
        }
    }
    let _ = decoder.finish();
}

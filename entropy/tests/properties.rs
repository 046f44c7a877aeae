//! Inverses, overhead, and arbitrary bytes.

use codec_entropy::{
    Decoder, Encoder, Error, Pmf, TableSet, decode_adaptive, encode_adaptive, gaussian_tables,
    static_table,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    // A fixed seed; proptest prints failing cases, and nothing is written to disk.
    ProptestConfig {
        cases: 200,
        failure_persistence: None,
        rng_seed: prop::test_runner::RngSeed::Fixed(20_240_611),
        ..ProptestConfig::default()
    }
}

fn tables() -> impl Strategy<Value = TableSet> {
    let mass = vec(prop_oneof![0.0..1.0, Just(0.0), 0.0..1e-6], 1..40);
    let offset = prop_oneof![-20i32..20, Just(i32::MIN), Just(i32::MAX - 40)];
    vec((offset, mass), 1..6).prop_filter_map("no mass", |tables| {
        let pmfs: Vec<Pmf<'_>> = tables
            .iter()
            .map(|(offset, mass)| Pmf {
                offset: *offset,
                mass,
            })
            .collect();
        TableSet::from_pmfs(&pmfs).ok()
    })
}

fn symbols(max: usize) -> impl Strategy<Value = Vec<(i32, u16)>> {
    let symbol = prop_oneof![
        8 => -25i32..25, 1 => any::<i32>(), 1 => -100_000i32..100_000,
        1 => prop_oneof![Just(i32::MIN), Just(i32::MAX), Just(i32::MIN + 1), Just(i32::MAX - 1)]
    ];
    vec((symbol, any::<u16>()), 0..max)
}

/// Encodes segments with alternating sets of tables.
fn encode(segments: &[Vec<(i32, u16)>], sets: &[TableSet]) -> (Vec<u8>, f64) {
    let mut encoder = Encoder::new();
    let mut bits = 0.0;
    for (segment, set) in segments.iter().zip(sets.iter().cycle()) {
        let (symbols, indexes): (Vec<i32>, Vec<u16>) = segment
            .iter()
            .map(|&(s, i)| (s, i % set.len() as u16))
            .unzip();
        encoder.push(&symbols, &indexes, set).unwrap();
        bits += symbols
            .iter()
            .zip(&indexes)
            .map(|(&s, &i)| f64::from(set.bits(i.into(), s)))
            .sum::<f64>();
    }
    (encoder.finish().unwrap(), bits)
}

fn decode(
    bytes: &[u8],
    segments: &[Vec<(i32, u16)>],
    sets: &[TableSet],
) -> Result<Vec<Vec<i32>>, Error> {
    let mut decoder = Decoder::new(bytes)?;
    let mut all = Vec::new();
    for (segment, set) in segments.iter().zip(sets.iter().cycle()) {
        let indexes: Vec<u16> = segment.iter().map(|&(_, i)| i % set.len() as u16).collect();
        let mut out = vec![0; indexes.len()];
        decoder.decode(&indexes, set, &mut out)?;
        all.push(out);
    }
    decoder.finish()?;
    Ok(all)
}

fn values(segments: &[Vec<(i32, u16)>]) -> Vec<Vec<i32>> {
    segments
        .iter()
        .map(|segment| segment.iter().map(|&(s, _)| s).collect())
        .collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn small_streams_return_and_cost_what_they_say(
        segments in vec(symbols(60), 0..5), sets in vec(tables(), 1..3)
    ) {
        let (bytes, bits) = encode(&segments, &sets);
        prop_assert_eq!(decode(&bytes, &segments, &sets).unwrap(), values(&segments));
        prop_assert!(bytes.len() as f64 <= bits / 8.0 * 1.0001 + 8.0, "{} bytes for {} bits", bytes.len(), bits);
    }

    #[test]
    fn truncated_streams_are_errors(segments in vec(symbols(60), 1..3), sets in vec(tables(), 1..3)) {
        let (bytes, _) = encode(&segments, &sets);
        for end in 0..bytes.len() {
            // Cutting whole words leaves the state readable: the symbols may be wrong, but the end cannot be right.
            prop_assert!(decode(&bytes[..end], &segments, &sets).is_err());
        }
    }

    #[test]
    fn damaged_streams_end(
        segments in vec(symbols(60), 1..3), sets in vec(tables(), 1..3), at in any::<prop::sample::Index>(), with in 1u8..
    ) {
        let (mut bytes, _) = encode(&segments, &sets);
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        // Coding is one-to-one: what decodes without an error is the stream of other symbols, if there are any.
        if let Ok(other) = decode(&bytes, &segments, &sets) {
            prop_assert_ne!(&other, &values(&segments));
            let other: Vec<Vec<(i32, u16)>> = other
                .iter()
                .zip(&segments)
                .map(|(new, old)| new.iter().zip(old).map(|(&s, &(_, i))| (s, i)).collect())
                .collect();
            prop_assert_eq!(encode(&other, &sets).0, bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_end(
        lanes in prop_oneof![Just(1u8), Just(4), any::<u8>()], rest in vec(any::<u8>(), 0..400),
        segments in vec(symbols(300), 1..3), sets in vec(tables(), 1..3)
    ) {
        let bytes: Vec<u8> = std::iter::once(lanes).chain(rest).collect();
        let _ = decode(&bytes, &segments, &sets);
        let _ = TableSet::from_bytes(&bytes);
        let _ = decode_adaptive(&bytes, 100, 1000, 1000);
    }

    #[test]
    fn tables_return_from_bytes(set in tables()) {
        prop_assert_eq!(TableSet::from_bytes(&set.to_bytes()).unwrap(), set);
    }

    #[test]
    fn adaptive_streams_return(
        (alphabet, symbols) in (1usize..3000).prop_flat_map(|a| (Just(a), vec(0..a as u32, 0..500)))
    ) {
        let bytes = encode_adaptive(&symbols, alphabet).unwrap();
        prop_assert_eq!(decode_adaptive(&bytes, alphabet, symbols.len(), 500).unwrap(), symbols.clone());
        prop_assert!(bytes.len() as f64 <= (alphabet as f64).log2() * symbols.len() as f64 / 8.0 + 8.0);
        for end in 0..bytes.len() {
            prop_assert!(decode_adaptive(&bytes[..end], alphabet, symbols.len(), 500).is_err() || symbols.is_empty());
        }
    }
}

/// Deterministic numbers, uniform in 0..2^32.
fn random(count: usize) -> impl Iterator<Item = u32> {
    let mut x = 0x9E37_79B9_7F4A_7C15u64;
    (0..count).map(move |_| {
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (x >> 32) as u32
    })
}

#[test]
fn lanes_hold_across_segments_with_escapes() {
    let tables = gaussian_tables().unwrap();
    // Large enough for four lanes; segment lengths of all residues; a hundredth of all symbols escape.
    let segments: Vec<Vec<(i32, u16)>> = (0..400)
        .map(|n| {
            random(200 + n)
                .map(|r| {
                    (
                        if r % 100 == 0 {
                            r as i32
                        } else {
                            (r >> 8) as i32 % 9 - 4
                        },
                        40,
                    )
                })
                .collect()
        })
        .collect();
    let sets = [tables];
    let (bytes, bits) = encode(&segments, &sets);
    assert_eq!(bytes[0], 4);
    assert!((bytes.len() as f64) < bits / 8.0 * 1.001);
    assert_eq!(decode(&bytes, &segments, &sets).unwrap(), values(&segments));

    // Truncation anywhere is found; damage gives an error or other symbols.
    for at in (0..bytes.len()).step_by(bytes.len() / 50) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert_ne!(
            decode(&damaged, &segments, &sets).ok(),
            Some(values(&segments)),
            "{at}"
        );
        assert!(decode(&bytes[..at], &segments, &sets).is_err(), "{at}");
    }
}

#[test]
fn overhead_is_below_a_thousandth_on_a_million_symbols() {
    let tables = gaussian_tables().unwrap();
    for scales in [8, 24, 64] {
        let mut encoder = Encoder::new();
        let (symbols, indexes): (Vec<i32>, Vec<u8>) = random(1_000_000)
            .map(|r| {
                let index = r % scales;
                // Inverse of the distribution, so that symbols follow it.
                let cdf = tables.support(index as usize).unwrap();
                (cdf, index as u8, r >> 8 & 0xffff)
            })
            .map(|(support, index, quantile)| {
                let symbol =
                    CDFS.with(|cdfs| cdfs[usize::from(index)].partition_point(|&c| c <= quantile));
                (support.start() + symbol as i32 - 1, index)
            })
            .unzip();
        encoder.push(&symbols, &indexes, &tables).unwrap();
        let bytes = encoder.finish().unwrap();
        let bits: f64 = symbols
            .iter()
            .zip(&indexes)
            .map(|(&s, &i)| f64::from(tables.bits(i.into(), s)))
            .sum();
        let overhead = bytes.len() as f64 / (bits / 8.0) - 1.0;
        assert!(overhead < 0.001, "{scales} scales: {overhead}");
    }
}

thread_local! {
    static CDFS: Vec<Vec<u32>> = {
        let tables = gaussian_tables().unwrap();
        (0..tables.len()).map(|i| tables.cdf(i).unwrap()).collect()
    };
}

#[test]
fn tiny_streams_are_tiny() {
    let tables = gaussian_tables().unwrap();
    assert_eq!(Encoder::new().finish().unwrap().len(), 1);
    for count in 1..300 {
        let mut encoder = Encoder::new();
        encoder
            .push(&vec![0; count], &vec![0u8; count], &tables)
            .unwrap();
        assert_eq!(encoder.finish().unwrap().len(), 6);
    }
}

#[test]
fn misuse_is_reported() {
    let tables = static_table(&[1, 1]).unwrap();
    let mut encoder = Encoder::new();
    let mismatch = Error::LengthMismatch {
        symbols: 2,
        indexes: 1,
    };
    assert_eq!(
        encoder.push(&[0, 1], &[0u8], &tables).unwrap_err(),
        mismatch
    );
    let unknown = Error::UnknownTable {
        position: 1,
        index: 9,
        tables: 1,
    };
    assert_eq!(
        encoder.push(&[77, 1], &[0u8, 9], &tables).unwrap_err(),
        unknown
    );
    assert!(encoder.is_empty());
    encoder.push(&[0, 1, 1], &[0u8; 3], &tables).unwrap();
    let bytes = encoder.finish().unwrap();

    let mut decoder = Decoder::new(&bytes).unwrap();
    assert_eq!(
        decoder.decode(&[0u8], &tables, &mut [0; 2]).unwrap_err(),
        mismatch
    );
    assert_eq!(
        decoder.decode(&[0u8, 9], &tables, &mut [0; 2]).unwrap_err(),
        unknown
    );
    assert_eq!(
        decoder.decode(&[0u8], &tables, &mut [0]).unwrap_err(),
        Error::Truncated
    );
    assert!(decoder.finish().is_err());

    // Fewer or more symbols than were encoded.
    let decoder = Decoder::new(&bytes).unwrap();
    assert!(matches!(
        decoder.finish(),
        Err(Error::FinalState { lane: 0, .. })
    ));
    let mut decoder = Decoder::new(&bytes).unwrap();
    assert_eq!(
        decoder
            .decode(&[0u8; 40], &tables, &mut [0; 40])
            .unwrap_err(),
        Error::Truncated
    );
    let mut decoder = Decoder::new(&[0]).unwrap();
    assert_eq!(
        decoder.decode(&[0u8], &tables, &mut [0]).unwrap_err(),
        Error::Truncated
    );
    assert!(Decoder::new(&[0]).unwrap().finish().is_ok());
}

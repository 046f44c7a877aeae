//! The stream against a second, plain implementation of its description, and against words written down once.

use codec_entropy::{
    Cdf, Decoder, Encoder, TableSet, decode_indexes, decode_planes, encode_adaptive,
    encode_indexes, encode_planes, gaussian_tables,
};

/// rANS with 64-bit states, 32-bit words and 16-bit probabilities, written from the description alone: no escapes.
fn reference(symbols: &[i32], indexes: &[u8], tables: &TableSet, lanes: usize) -> Vec<u8> {
    let mut states = vec![1u64 << 32; lanes];
    let mut words = Vec::new();
    for (k, (&symbol, &index)) in symbols.iter().zip(indexes).enumerate().rev() {
        let cdf = tables.cdf(index.into()).unwrap();
        let at = (symbol - tables.support(index.into()).unwrap().start()) as usize;
        let (start, width) = (u64::from(cdf[at]), u64::from(cdf[at + 1] - cdf[at]));
        let x = &mut states[k % lanes];
        if *x >= width << 48 {
            words.push(*x as u32);
            *x >>= 32;
        }
        *x = ((*x / width) << 16) + *x % width + start;
    }
    let mut bytes = vec![lanes as u8];
    for x in &states {
        let used = if lanes == 1 {
            8 - x.leading_zeros() as usize / 8
        } else {
            8
        };
        bytes.extend(&x.to_le_bytes()[..used]);
    }
    bytes.extend(words.iter().rev().flat_map(|w: &u32| w.to_le_bytes()));
    bytes
}

fn encode(symbols: &[i32], indexes: &[u8], tables: &TableSet) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.push(symbols, indexes, tables).unwrap();
    encoder.finish().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// FNV-1a.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Symbols within the support of their tables.
fn data(count: usize) -> (Vec<i32>, Vec<u8>) {
    let mut x = 1u32;
    (0..count)
        .map(|_| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let index = (x >> 26) as u8;
            ((x >> 8) as i32 % 3 - 1, index)
        })
        .unzip()
}

#[test]
fn one_and_four_lanes_agree_with_the_reference() {
    let tables = gaussian_tables().unwrap();
    for (count, lanes) in [
        (1, 1),
        (2, 1),
        (3, 1),
        (100, 1),
        (16_383, 1),
        (100_001, 4),
        (100_002, 4),
        (100_003, 4),
    ] {
        let (symbols, indexes) = data(count);
        assert_eq!(
            encode(&symbols, &indexes, &tables),
            reference(&symbols, &indexes, &tables, lanes),
            "{count}"
        );
    }
}

#[test]
fn golden_streams() {
    let cdf = [0, 0x2000, 0x8000, 0xFFF0, 0x10000];
    let tables = TableSet::from_cdfs(&[Cdf {
        offset: -1,
        cdf: &cdf,
    }])
    .unwrap();
    let stream = |symbols: &[i32]| encode(symbols, &vec![0; symbols.len()], &tables);
    assert_eq!(hex(&stream(&[])), "00");
    assert_eq!(hex(&stream(&[0])), "010060aaaa02");
    assert_eq!(
        hex(&stream(&[0, 1, -1, 1, 0, 0, 1, -1, 0, 1])),
        "01b07604f7aaca"
    );
    assert_eq!(
        hex(&stream(&[-1; 40])),
        "010000000000000001000000000000000000000000"
    );
    assert_eq!(
        hex(&stream(&[0, 2, -2, 70_000, i32::MIN, i32::MAX])),
        "01fd7f7f82555501ffffff71dd12e4fffef7f8fdf0ff008ffbfffeff"
    );
    assert_eq!(
        hex(&encode_adaptive(&[3, 1, 3, 3, 3, 0, 3], 5).unwrap()),
        "010153b1abae2b36"
    );
}

#[test]
fn golden_gaussian_tables() {
    let tables = gaussian_tables().unwrap();
    assert_eq!(tables.cdf(0).unwrap(), [0, 1, 65534, 65535, 65536]);
    assert_eq!(
        tables.cdf(20).unwrap(),
        [
            0, 1, 16, 217, 1718, 8013, 22875, 42661, 57523, 63817, 65318, 65519, 65534, 65535,
            65536
        ]
    );
    assert_eq!(
        digest(&tables.to_bytes()),
        16_860_940_929_709_455_627,
        "tables have changed: {} bytes",
        tables.to_bytes().len()
    );
}

#[test]
fn golden_stream_of_four_lanes() {
    let tables = gaussian_tables().unwrap();
    let (symbols, indexes) = data(100_003);
    let bytes = encode(&symbols, &indexes, &tables);
    assert_eq!(
        (bytes.len(), digest(&bytes)),
        (63_081, 4_520_864_044_545_264_453)
    );
    let mut decoder = Decoder::new(&bytes).unwrap();
    let mut out = vec![0; symbols.len()];
    decoder.decode(&indexes, &tables, &mut out).unwrap();
    decoder.finish().unwrap();
    assert_eq!(out, symbols);
}

/// Planes that resemble their neighbours and each other: slopes in rows and columns with some noise, from integers alone.
fn planes([count, height, width]: [usize; 3], limit: i32) -> Vec<i32> {
    let mut x = 1u32;
    let mut values = Vec::new();
    for plane in 0..count as i32 {
        for row in 0..height as i32 {
            for column in 0..width as i32 {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (x >> 24) as i32 % (limit / 4 + 2);
                let slope = (row * (plane + 2) + column * 3) % (2 * limit + 1) - limit;
                values.push((slope + noise).clamp(-limit, limit));
            }
        }
    }
    values
}

/// Every constant of the model of planes takes part: prediction, contexts, counters, escapes of large values.
#[test]
fn golden_planes() {
    let small = planes([2, 4, 6], 7);
    let bytes = encode_planes(&small, [2, 4, 6], 7).unwrap();
    assert_eq!(
        hex(&bytes),
        "01cb67403ef716f4b34fa49958ac661c4b567d480fe1a52ed41e4164d8f997"
    );
    assert_eq!(decode_planes(&bytes, [2, 4, 6], 7).unwrap(), small);
    assert_eq!(hex(&encode_planes(&[], [0, 4, 6], 7).unwrap()), "00");
    for (shape, limit, expected) in [
        ([3, 40, 50], 1, (715, 4_877_699_299_955_181_738)),
        ([6, 40, 50], 127, (8_531, 3_866_520_650_307_596_422)),
        ([2, 30, 20], 32_767, (1_419, 10_541_971_492_107_746_246)),
    ] {
        let values = planes(shape, limit);
        let bytes = encode_planes(&values, shape, limit).unwrap();
        assert_eq!((bytes.len(), digest(&bytes)), expected, "{shape:?} {limit}");
        assert_eq!(decode_planes(&bytes, shape, limit).unwrap(), values);
    }
}

/// Indexes in each of their forms.
#[test]
fn golden_indexes() {
    let indexes = |count: u32, codes: u32, used: u32| -> Vec<u32> {
        let mut x = 1u32;
        (0..count)
            .map(|_| {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // The square of a number below 1: small indexes are more frequent.
                let unit = u64::from(x >> 16);
                ((unit * unit * u64::from(used)) >> 32) as u32 + codes - used
            })
            .collect()
    };
    let stream = |indexes: &[u32], codes: u32| {
        let bytes = encode_indexes(indexes, codes as usize).unwrap();
        let count = indexes.len();
        let decoded = decode_indexes(&bytes, codes as usize, count, count).unwrap();
        assert_eq!(decoded, indexes);
        bytes
    };
    assert_eq!(hex(&stream(&[], 1024)), "00");
    assert_eq!(hex(&stream(&[7, 1023, 0, 512], 1024)), "0007fc0f0080");
    assert_eq!(
        hex(&stream(&indexes(40, 64, 3), 64)),
        "010301455ff4f6e6551ac170a79857d36400"
    );
    for (count, codes, used, form, expected) in [
        (2_000, 1_024, 300, 1, (2_118, 6_931_758_348_052_323_963)),
        (5_000, 100_000, 20_000, 2, (9_192, 943_125_078_357_156_921)),
        (300, 16_384, 16_384, 0, (526, 8_483_380_669_307_858_529)),
    ] {
        let bytes = stream(&indexes(count, codes, used), codes);
        assert_eq!(bytes[0], form, "{codes}");
        assert_eq!((bytes.len(), digest(&bytes)), expected, "{codes}");
    }
}

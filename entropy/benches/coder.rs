//! Throughput of the coder on one core, and its overhead over the tables' own cost.
//!
//! Two distributions of 2M symbols: table indexes uniform over the 64 Gaussian scales, and a low-rate mix with half of
//! the symbols at the 8 smallest. Symbols are Gaussian of the scale that their index says. Run with
//! `cargo bench -p codec-entropy`.

use std::hint::black_box;

use codec_entropy::{Decoder, Encoder, SCALES, TableSet, gaussian_tables, scale_of};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SYMBOLS: usize = 2_000_000;

/// xorshift64*: enough for test data.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 32) as usize * n) >> 32
    }

    /// Uniform in (0, 1).
    fn unit(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// Standard normal (Box-Muller).
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

fn data(low_rate: bool) -> (Vec<i32>, Vec<u8>) {
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    (0..SYMBOLS)
        .map(|_| {
            let scales = if low_rate && random.below(2) == 0 {
                8
            } else {
                SCALES
            };
            let index = random.below(scales);
            (
                (random.normal() * scale_of(index)).round() as i32,
                index as u8,
            )
        })
        .unzip()
}

fn encode(symbols: &[i32], indexes: &[u8], tables: &TableSet) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.push(symbols, indexes, tables).unwrap();
    encoder.finish().unwrap()
}

fn coder(c: &mut Criterion) {
    let tables = gaussian_tables().unwrap();
    for (name, low_rate) in [("uniform", false), ("low-rate", true)] {
        let (symbols, indexes) = data(low_rate);
        let bytes = encode(&symbols, &indexes, &tables);
        let cost: f64 = symbols
            .iter()
            .zip(&indexes)
            .map(|(&s, &i)| f64::from(tables.bits(i.into(), s)))
            .sum();
        println!(
            "{name}: {:.4} bits/symbol, {} bytes, {:+.1} bytes ({:+.5}%) over the tables' cost",
            cost / SYMBOLS as f64,
            bytes.len(),
            bytes.len() as f64 - cost / 8.0,
            (bytes.len() as f64 / (cost / 8.0) - 1.0) * 100.0
        );

        let mut out = vec![0; SYMBOLS];
        let mut decode = || {
            let mut decoder = Decoder::new(&bytes).unwrap();
            decoder.decode(&indexes, &tables, &mut out).unwrap();
            decoder.finish().unwrap();
            black_box(&out);
        };
        decode();
        let mut group = c.benchmark_group(name);
        group
            .throughput(Throughput::Elements(SYMBOLS as u64))
            .sample_size(30);
        group.bench_function("encode", |b| b.iter(|| encode(&symbols, &indexes, &tables)));
        group.bench_function("decode", |b| b.iter(&mut decode));
        group.finish();
        assert_eq!(out, symbols);
    }
}

criterion_group!(benches, coder);
criterion_main!(benches);

//! "Entropy stream" and "Tables" of the document.

use std::collections::VecDeque;

/// One table: first value, and the ends of all intervals, the escape's last.
pub struct Table {
    offset: i64,
    ends: Vec<u64>,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

/// Reads a set of tables.
pub fn tables(bytes: &[u8]) -> Vec<Table> {
    assert_eq!(&bytes[..4], b"CDF1");
    let count = u32_at(bytes, 4) as usize;
    let mut starts = bytes[8 + 8 * count..].chunks_exact(2);
    let read = |index: usize| {
        let offset = u32_at(bytes, 8 + 8 * index) as i32;
        let intervals = u32_at(bytes, 12 + 8 * index) as usize;
        let inner = starts.by_ref().take(intervals - 1);
        let ends = inner.map(|b| u64::from(u16::from_le_bytes([b[0], b[1]])));
        Table {
            offset: offset.into(),
            ends: ends.chain([65536]).collect(),
        }
    };
    let tables = (0..count).map(read).collect();
    assert_eq!(starts.next(), None);
    tables
}

/// A stream that is being decoded.
pub struct Stream {
    states: Vec<u64>,
    words: VecDeque<u64>,
    symbols: usize,
}

impl Stream {
    pub fn new(bytes: &[u8]) -> Self {
        let lanes = usize::from(bytes[0]);
        let rest = &bytes[1..];
        let state_bytes = if lanes == 4 {
            8
        } else {
            5 + (rest.len() - 5) % 4
        };
        let (states, words) = rest.split_at(lanes * state_bytes);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b));
        Self {
            states: states.chunks_exact(state_bytes).map(number).collect(),
            words: words.chunks_exact(4).map(number).collect(),
            symbols: 0,
        }
    }

    fn step(&mut self, lane: usize, start: u64, end: u64) {
        let x = &mut self.states[lane];
        *x = (*x >> 16) * (end - start) + (*x & 0xffff) - start;
        if *x < 1 << 32 {
            *x = *x << 32 | self.words.pop_front().expect("a word");
        }
    }

    fn uniform(&mut self, lane: usize, bits: u32) -> u64 {
        let width = 1 << (16 - bits);
        let value = (self.states[lane] & 0xffff) / width;
        self.step(lane, value * width, (value + 1) * width);
        value
    }

    pub fn symbol(&mut self, table: &Table) -> i64 {
        let lane = self.symbols % self.states.len();
        self.symbols += 1;
        let q = self.states[lane] & 0xffff;
        let interval = table.ends.iter().position(|&end| q < end).expect("covered");
        let start = if interval == 0 {
            0
        } else {
            table.ends[interval - 1]
        };
        self.step(lane, start, table.ends[interval]);
        let count = table.ends.len() as i64 - 1;
        if (interval as i64) < count {
            return table.offset + interval as i64;
        }
        let mut b = self.uniform(lane, 4);
        if b == 15 {
            b += self.uniform(lane, 5);
        }
        let mut v = 0;
        let mut done = 0;
        while done < b {
            let group = (b - done).min(16);
            v |= self.uniform(lane, group as u32) << done;
            done += group;
        }
        let raw = ((1u64 << b) + v - 1) as i64;
        if raw % 2 == 1 {
            table.offset - (raw + 1) / 2
        } else {
            table.offset + count + raw / 2
        }
    }

    /// Checks that this is the end.
    pub fn finish(self) {
        assert!(self.words.is_empty(), "words are left");
        assert!(
            self.states.iter().all(|&x| x == 1 << 32),
            "{:x?}",
            self.states
        );
    }
}

//! Sounds for tests from integer formulas, so that the reference values can be computed elsewhere.
//! `data/reference_sound.py` makes the same ones.

use crate::Sound;

/// Three "syllables" of a sawtooth with some noise and a pause, over and over, and the same with more noise of strength
/// `amplitude`. One channel.
pub(crate) fn pair(sample_rate: u32, samples: usize, amplitude: i64) -> (Sound, Sound) {
    let syllable = i64::from(sample_rate) / 4;
    let noise = |i: i64, seed: i64| {
        let n = (i * 7919 + seed * 15_485_863) % 65_521;
        (n * n % 65_521) % 1024 - 512
    };
    let value = |i: i64| {
        let (number, at) = (i / syllable, i % syllable);
        let envelope = if number % 4 == 3 {
            0
        } else {
            4000 * at.min(syllable - at) / syllable
        };
        let period = syllable * (20 + number * 7 % 11) / 1000;
        let saw = 8000 * (i % period) / period - 4000;
        let a = saw * envelope / 1000 + noise(i, 1).div_euclid(16);
        let b = a + (noise(i, 2) * amplitude).div_euclid(16);
        (a, b)
    };
    let sound = |of: &dyn Fn((i64, i64)) -> i64| Sound {
        sample_rate,
        channels: vec![
            (0..samples as i64)
                .map(|i| of(value(i)) as f32 / 32_768.0)
                .collect(),
        ],
    };
    (sound(&|(a, _)| a), sound(&|(_, b)| b))
}

/// What `data/reference_sound.py` says of a pair.
pub(crate) struct Case {
    pub(crate) rate: u32,
    pub(crate) samples: usize,
    pub(crate) amplitude: i64,
    pub(crate) si_sdr: f64,
    pub(crate) stft: f64,
    pub(crate) mel: f64,
    pub(crate) stoi: f64,
    pub(crate) estoi: f64,
    pub(crate) pesq_wb: f64,
    pub(crate) pesq_nb: f64,
}

/// Values by `data/reference_sound.py` (numpy 2.4.6, scipy 1.17.1, pystoi 0.4.1, pesq 0.0.4).
pub(crate) const REFERENCE: [Case; 4] = [
    Case {
        rate: 16_000,
        samples: 48_000,
        amplitude: 4,
        si_sdr: 29.85974149436657,
        stft: 0.8930089728233036,
        mel: 0.4547467462064935,
        stoi: 0.9996498097817486,
        estoi: 0.9920801478138778,
        pesq_wb: 4.030552387237549,
        pesq_nb: 4.209538459777832,
    },
    Case {
        rate: 24_000,
        samples: 60_001,
        amplitude: 16,
        si_sdr: 18.10452169908903,
        stft: 1.6191305898370547,
        mel: 0.8459609544421658,
        stoi: 0.9959940205851024,
        estoi: 0.9376405142138761,
        pesq_wb: 2.594843626022339,
        pesq_nb: 3.569288492202759,
    },
    Case {
        rate: 44_100,
        samples: 110_250,
        amplitude: 40,
        si_sdr: 10.144741385463362,
        stft: 2.174605225301726,
        mel: 1.357411760539404,
        stoi: 0.9854952546077281,
        estoi: 0.8374245486442234,
        pesq_wb: 1.8445504903793335,
        pesq_nb: 2.916325569152832,
    },
    Case {
        rate: 8_000,
        samples: 20_000,
        amplitude: 10,
        si_sdr: 22.17688329116179,
        stft: 1.5498958012404096,
        mel: 0.8773243194870884,
        stoi: 0.9961970635818564,
        estoi: 0.9407772027300053,
        pesq_wb: 3.041153907775879,
        pesq_nb: 3.60526180267334,
    },
];

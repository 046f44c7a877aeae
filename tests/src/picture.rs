//! Generated pictures: smooth parts, edges, texture and noise, the same in every run.

use codec::{Color, Picture};

/// What a picture is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Colour channels.
    pub color: Color,
    /// Whether there is an alpha plane.
    pub alpha: bool,
}

impl Kind {
    /// Gray, gray with alpha, RGB, RGB with alpha.
    pub const ALL: [Self; 4] = [
        Self {
            color: Color::Gray,
            alpha: false,
        },
        Self {
            color: Color::Gray,
            alpha: true,
        },
        Self {
            color: Color::Rgb,
            alpha: false,
        },
        Self {
            color: Color::Rgb,
            alpha: true,
        },
    ];
}

/// A small generator of random numbers (xorshift), so that pictures never change.
#[derive(Debug, Clone)]
pub struct Noise(u64);

impl Noise {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next number in `-1..1`.
    pub fn signed(&mut self) -> f32 {
        (self.draw() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// A value at a place: a slope, waves, a few discs with sharp edges and a stripe pattern.
fn scene(x: f32, y: f32, channel: usize) -> f32 {
    let c = channel as f32;
    let mut v = 90.0 + 0.35 * x - 0.2 * y + 12.0 * c;
    v += 22.0 * (0.061 * x + 0.043 * y + c).sin();
    for (index, radius) in [31.0f32, 17.0, 46.0].into_iter().enumerate() {
        let i = index as f32;
        let (dx, dy) = (x - 40.0 - 57.0 * i, y - 30.0 - 41.0 * i);
        if dx * dx + dy * dy < radius * radius {
            v += if (index + channel).is_multiple_of(2) {
                55.0
            } else {
                -45.0
            };
        }
    }
    if y > 70.0 && x < 90.0 {
        v += 18.0 * ((0.9 * x).sin() * (0.7 * y).cos());
    }
    v
}

/// A picture of any size.
pub fn picture(width: u32, height: u32, kind: Kind) -> Picture {
    let mut noise = Noise::new(u64::from(width) << 32 | u64::from(height));
    let channels = kind.color.channels();
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for channel in 0..channels {
                let v = scene(x as f32, y as f32, channel) + 2.5 * noise.signed();
                pixels.push(v.round().clamp(0.0, 255.0) as u8);
            }
        }
    }
    let picture = Picture::new(width, height, kind.color, pixels).expect("sizes fit");
    if !kind.alpha {
        return picture;
    }
    let alpha = (0..height).flat_map(|y| (0..width).map(move |x| (7 * x + 3 * y) as u8));
    picture.with_alpha(alpha.collect()).expect("sizes fit")
}

/// An RGB picture of any size.
pub fn photo(width: u32, height: u32) -> Picture {
    picture(width, height, Kind::ALL[2])
}

/// Largest difference of two pictures' samples.
pub fn largest_difference(a: &Picture, b: &Picture) -> u8 {
    assert_eq!((a.width, a.height, a.color), (b.width, b.height, b.color));
    let pairs = a.pixels.iter().zip(&b.pixels);
    pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

/// Peak signal-to-noise ratio of two pictures' samples in dB; infinite for equal ones.
pub fn psnr(a: &Picture, b: &Picture) -> f64 {
    assert_eq!((a.width, a.height, a.color), (b.width, b.height, b.color));
    let pairs = a.pixels.iter().zip(&b.pixels);
    let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    10.0 * (255.0 * 255.0 * a.pixels.len() as f64 / sum as f64).log10()
}

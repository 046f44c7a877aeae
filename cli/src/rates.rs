//! The options that decide the size of a file, shared by the commands that encode.

use clap::Args;
use codec::sound::{Chunk, PASS_SECONDS, Rate, Stereo};
use codec::{EncodeOptions, Keep, Quality, RateGoal, TILE_SIZES, Tile};

use crate::args::parse_size;
use crate::exit::usage;

/// At most one of the four.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub struct RateArgs {
    /// Quality, 0 to 100 in steps of 0.01; higher is better [default: 50]
    #[arg(short, long, value_name = "0..100", value_parser = parse_quality, allow_negative_numbers = true)]
    pub quality: Option<Quality>,
    /// Thousand bits a second of sound, to the model's nearest step
    #[arg(short, long, alias = "kbps", value_name = "KBPS", value_parser = parse_bpp, allow_negative_numbers = true)]
    pub bitrate: Option<f64>,
    /// Bits per pixel of the whole file
    #[arg(long, value_name = "BITS", value_parser = parse_bpp, allow_negative_numbers = true)]
    pub bpp: Option<f64>,
    /// Bytes of the whole file, such as 20000, 20k or 1.5M
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub target_size: Option<u64>,
}

impl RateArgs {
    /// The rate of sounds, the highest if nothing is given.
    ///
    /// # Errors
    /// A usage error for what only pictures have.
    pub fn sound(&self) -> anyhow::Result<Rate> {
        match (self.quality, self.bitrate) {
            _ if self.bpp.is_some() => Err(usage("--bpp is for pictures (use --bitrate)")),
            _ if self.target_size.is_some() => {
                Err(usage("--target-size is for pictures (use --bitrate)"))
            }
            (Some(quality), _) => Ok(Rate::Quality(quality.value())),
            (_, Some(rate)) => Ok(Rate::Kilobits(rate)),
            _ => Ok(Rate::Highest),
        }
    }

    /// The goal of pictures.
    ///
    /// # Errors
    /// A usage error for what only sounds have.
    pub fn picture(&self) -> anyhow::Result<RateGoal> {
        if self.bitrate.is_some() {
            return Err(usage("--bitrate is for sounds (use --bpp)"));
        }
        Ok(self.goal())
    }

    /// The goal of pictures, the usual one if nothing is given.
    pub fn goal(&self) -> RateGoal {
        match (self.quality, self.bpp, self.target_size) {
            (Some(quality), _, _) => RateGoal::Quality(quality),
            (_, Some(rate), _) => RateGoal::BitsPerPixel(rate),
            (_, _, Some(bytes)) => RateGoal::TargetBytes(bytes),
            _ => RateGoal::Usual,
        }
    }
}

/// How hard to try, and how to cut.
#[derive(Debug, Clone, Args)]
pub struct EffortArgs {
    /// Effort, 1 to 10; higher is slower and smaller
    #[arg(short, long, value_name = "1..10", default_value_t = EncodeOptions::DEFAULT_EFFORT)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=10))]
    pub effort: u8,
    /// Side of the tiles in pixels, or auto: as large as the model likes
    #[arg(long, value_name = "auto|N", default_value = "auto", value_parser = parse_tile)]
    pub tile: Tile,
}

/// How sound is cut and coded.
#[derive(Debug, Clone, Copy, Args)]
pub struct SoundArgs {
    /// Seconds of sound in a chunk, or auto: as the model likes
    #[arg(long, value_name = "auto|SECONDS", default_value = "auto", value_parser = parse_chunk)]
    pub chunk: Chunk,
    /// Two channels with a model of one: separate or mid-side
    #[arg(long, value_name = "HOW", default_value = "separate", value_parser = parse_stereo)]
    pub stereo: Stereo,
}

fn parse_chunk(text: &str) -> Result<Chunk, String> {
    if text == "auto" {
        return Ok(Chunk::Auto);
    }
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= PASS_SECONDS as f64 => {
            Ok(Chunk::Seconds(seconds))
        }
        _ => Err(format!(
            "expected auto or a number above 0, up to {PASS_SECONDS}"
        )),
    }
}

fn parse_stereo(text: &str) -> Result<Stereo, String> {
    match text {
        "separate" => Ok(Stereo::Separate),
        "mid-side" => Ok(Stereo::MidSide),
        _ => Err("expected separate or mid-side".to_owned()),
    }
}

fn parse_quality(text: &str) -> Result<Quality, String> {
    let expected = || "expected a number from 0 to 100".to_owned();
    let value: f32 = text.parse().map_err(|_| expected())?;
    Quality::new(value).map_err(|_| expected())
}

fn parse_bpp(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("expected a number above 0".to_owned()),
    }
}

fn parse_tile(text: &str) -> Result<Tile, String> {
    if text == "auto" {
        return Ok(Tile::Auto);
    }
    match text.parse() {
        Ok(side) if TILE_SIZES.contains(&side) => Ok(Tile::Size(side)),
        _ => Err(format!(
            "expected auto or a number from {} to {}",
            TILE_SIZES.start(),
            TILE_SIZES.end()
        )),
    }
}

/// Which metadata are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Those of pictures.
    pub picture: Keep,
    /// Tags of sounds.
    pub tags: bool,
}

/// Reads `all`, `none` or a list of `icc`, `exif`, `xmp`, `tags`.
///
/// # Errors
/// A message for clap.
pub fn parse_keep(text: &str) -> Result<Kept, String> {
    let mut kept = Kept {
        picture: Keep::NONE,
        tags: false,
    };
    for name in text.split(',') {
        match name {
            "all" if text == "all" => {
                (kept.picture, kept.tags) = (Keep::ALL, true);
            }
            "none" if text == "none" => {}
            "icc" => kept.picture.icc = true,
            "exif" => kept.picture.exif = true,
            "xmp" => kept.picture.xmp = true,
            "tags" => kept.tags = true,
            _ => return Err("expected all, none or a list of icc, exif, xmp, tags".to_owned()),
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_refused() {
        for text in ["-1", "100.01", "x", "nan", ""] {
            assert!(parse_quality(text).is_err(), "{text}");
        }
        assert_eq!(parse_quality("43.1").unwrap().hundredths(), 4310);
        for text in ["0", "-1", "inf", "x"] {
            assert!(parse_bpp(text).is_err(), "{text}");
        }
        for text in ["63", "4097", "0", "x"] {
            assert!(parse_tile(text).is_err(), "{text}");
        }
        assert_eq!(parse_tile("512"), Ok(Tile::Size(512)));
    }

    #[test]
    fn keep_takes_words_and_lists() {
        let kept = |text: &str| parse_keep(text).map(|kept| (kept.picture, kept.tags));
        assert_eq!(kept("all"), Ok((Keep::ALL, true)));
        assert_eq!(kept("none"), Ok((Keep::NONE, false)));
        let two = Keep {
            icc: true,
            exif: true,
            xmp: false,
        };
        assert_eq!(kept("exif,icc"), Ok((two, false)));
        assert_eq!(kept("tags,exif,icc"), Ok((two, true)));
        assert!(parse_keep("icc,all").is_err() && parse_keep("").is_err());
    }
}

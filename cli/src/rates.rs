//! The options that decide the size of a file, shared by the commands that encode.

use clap::Args;
use codec::{EncodeOptions, Keep, Quality, RateGoal, TILE_SIZES, Tile};

use crate::args::parse_size;

/// At most one of the three.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub struct RateArgs {
    /// Quality, 0 to 100 in steps of 0.01; higher is better [default: 50]
    #[arg(short, long, value_name = "0..100", value_parser = parse_quality, allow_negative_numbers = true)]
    pub quality: Option<Quality>,
    /// Bits per pixel of the whole file
    #[arg(long, value_name = "BITS", value_parser = parse_bpp, allow_negative_numbers = true)]
    pub bpp: Option<f64>,
    /// Bytes of the whole file, such as 20000, 20k or 1.5M
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub target_size: Option<u64>,
}

impl RateArgs {
    /// The goal, the usual one if nothing is given.
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

/// Reads `all`, `none` or a list of `icc`, `exif`, `xmp`.
///
/// # Errors
/// A message for clap.
pub fn parse_keep(text: &str) -> Result<Keep, String> {
    match text {
        "all" => return Ok(Keep::ALL),
        "none" => return Ok(Keep::NONE),
        _ => {}
    }
    let mut keep = Keep::NONE;
    for name in text.split(',') {
        match name {
            "icc" => keep.icc = true,
            "exif" => keep.exif = true,
            "xmp" => keep.xmp = true,
            _ => return Err("expected all, none or a list of icc, exif, xmp".to_owned()),
        }
    }
    Ok(keep)
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
        assert_eq!(parse_keep("all"), Ok(Keep::ALL));
        assert_eq!(parse_keep("none"), Ok(Keep::NONE));
        assert_eq!(
            parse_keep("exif,icc"),
            Ok(Keep {
                icc: true,
                exif: true,
                xmp: false
            })
        );
        assert!(parse_keep("icc,tags").is_err() && parse_keep("").is_err());
    }
}

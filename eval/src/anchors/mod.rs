//! The codecs of today, run through their own command-line tools, as anchors for curves.
//!
//! Tools keep this crate free of C libraries, and their versions are recorded with the figures. A tool that is not
//! installed is [`EvalError::MissingTool`], which names the package.

pub mod image;
pub mod sound;
mod tool;

use crate::EvalError;
use crate::codec::Codec;

/// Which anchors can run here.
pub struct Availability<M> {
    /// Anchors whose tools are installed.
    pub found: Vec<Box<dyn Codec<M>>>,
    /// Names of the others, each with the error that says what is missing.
    pub missing: Vec<(String, EvalError)>,
}

/// Looks for the tools of these anchors.
pub fn available<M>(anchors: Vec<Box<dyn Codec<M>>>) -> Availability<M> {
    let mut availability = Availability {
        found: Vec::new(),
        missing: Vec::new(),
    };
    for anchor in anchors {
        match anchor.version() {
            Ok(_) => availability.found.push(anchor),
            Err(error) => availability
                .missing
                .push((anchor.name().to_string(), error)),
        }
    }
    availability
}

/// `quality` as a whole number in `min..=max`.
fn whole(codec: &'static str, quality: f64, min: u32, max: u32) -> Result<u32, EvalError> {
    if quality.fract() == 0.0 && (f64::from(min)..=f64::from(max)).contains(&quality) {
        Ok(quality as u32)
    } else {
        Err(EvalError::BadQuality {
            codec,
            quality,
            min,
            max,
        })
    }
}

//! Weights that are built into the library, by model name.
//!
//! Each has a model card beside it in `pretrained/`: data, licence, recipe, command and figures.

use codec_core::pretrained::Pretrained;

/// Name of the model that encoders use unless told otherwise.
pub const DEFAULT: &str = "srvq/speech-v2";

/// Name of the model of music.
pub const MUSIC: &str = "walloc/music-v1";

/// All built-in models.
const MODELS: &[Pretrained] = &[
    Pretrained {
        name: DEFAULT,
        weights: include_bytes!("../pretrained/srvq-speech-v2.safetensors"),
    },
    Pretrained {
        name: "srvq/speech-v1",
        weights: include_bytes!("../pretrained/srvq-speech-v1.safetensors"),
    },
    Pretrained {
        name: MUSIC,
        weights: include_bytes!("../pretrained/walloc-music-v1.safetensors"),
    },
];

/// Weights file of a model.
pub fn get(name: &str) -> Option<&'static [u8]> {
    codec_core::pretrained::get(MODELS, name)
}

/// Names of the built-in models.
pub fn names() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|model| model.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::AudioModel;

    #[test]
    fn every_model_loads_under_its_name_within_its_budget() {
        for name in names() {
            let bytes = get(name).expect("listed");
            assert!(bytes.len() <= 15_000_000, "{name}: {} bytes", bytes.len());
            let model = AudioModel::from_bytes(bytes).expect("valid weights");
            assert_eq!(model.name(), name);
            model.check().expect("whole");
        }
    }
}

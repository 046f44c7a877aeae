//! A model of the family `wpmr` with tiny networks and random weights.
//!
//! The linear parts of the transforms start as what they should be, so even this model codes pictures sensibly; only its
//! predictions are of no use. Tests that are about files and programs, and not about compression, use it.

use std::sync::OnceLock;

use burn::backend::Flex;
use burn::tensor::backend::Backend;
use codec_image::models::wpmr::{WpmrConfig, export};

/// Name of the model.
pub const TINY: &str = "wpmr/tiny";

fn make(seed: u64) -> Vec<u8> {
    let device = Default::default();
    <Flex as Backend>::seed(&device, seed);
    let config = WpmrConfig {
        analysis_width: 8,
        synthesis_width: 8,
        synthesis_blocks: 1,
        hyper_analysis_width: 8,
        hyper_latents: 4,
        hyper_width: 8,
        entry_width: 8,
        context_width: 16,
        ..WpmrConfig::new()
    };
    let model = config.init::<Flex>(&device);
    export(&model, &config, TINY, "").expect("initial parameters can be exported")
}

/// The weights file.
pub fn tiny() -> &'static [u8] {
    static WEIGHTS: OnceLock<Vec<u8>> = OnceLock::new();
    WEIGHTS.get_or_init(|| make(1))
}

/// Another weights file of the same name.
pub fn other() -> &'static [u8] {
    static WEIGHTS: OnceLock<Vec<u8>> = OnceLock::new();
    WEIGHTS.get_or_init(|| {
        tiny();
        make(2)
    })
}

//! A model of the family `wpmr` with tiny networks and random weights.
//!
//! The linear parts of the transforms start as what they should be, so even this model codes pictures sensibly; only its
//! predictions are of no use. Tests that are about files and programs, and not about compression, use it.

use std::sync::OnceLock;

use burn::backend::Flex;
use burn::tensor::backend::Backend;
use codec_image::models::wpmr::{WpmrConfig, export};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use crate::picture::Noise;

/// Name of the model.
pub const TINY: &str = "wpmr/tiny";

fn make(seed: u64) -> Vec<u8> {
    let device = Default::default();
    <Flex as Backend>::seed(&device, seed);
    let config = WpmrConfig {
        analysis_width: 8,
        analysis_refine_width: 8,
        synthesis_width: 8,
        synthesis_refine_width: 8,
        analysis_refine_blocks: 1,
        synthesis_refine_blocks: 1,
        synthesis_blocks: 1,
        hyper_analysis_width: 8,
        hyper_latents: 4,
        hyper_width: 8,
        entry_width: 8,
        context_width: 16,
        ..WpmrConfig::new()
    };
    let model = config.init::<Flex>(&device);
    let mut file = export(&model, &config, TINY, "").expect("initial parameters can be exported");
    let mut noise = Noise::new(seed);
    for name in [
        "synthesis.output.weight",
        "synthesis.refine.output.weight",
        "synthesis.refine.blocks.0.mix.weight",
    ] {
        scatter(&mut file, name, &mut noise);
    }
    file
}

/// Layers that start as zero would hide what stands before them: sets their weights to 1/128 with random signs.
fn scatter(file: &mut [u8], name: &str, noise: &mut Noise) {
    let parsed = SafeTensors::deserialize(file).expect("a weights file");
    let tensor = parsed.tensor(name).expect("a layer");
    assert_eq!(tensor.dtype(), Dtype::F16);
    let (from, length) = (
        tensor.data().as_ptr().addr() - file.as_ptr().addr(),
        tensor.data().len(),
    );
    for value in file[from..from + length].chunks_exact_mut(2) {
        let sign = (noise.draw() >> 63 << 15) as u16;
        value.copy_from_slice(&(0x2000 | sign).to_le_bytes());
    }
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

//! Models with weights that were trained: those that are built in, and those of the parity fixtures.

use std::path::Path;

use burn::backend::Autodiff;
use burn_flex::Flex;
use codec_core::weights::Checkpoint;

use super::AudioModel;
use super::testing::same_batches;
use crate::pretrained;

/// Hops that recordings of a batch are long.
const HOPS: [f64; 7] = [40.0, 1.0, 0.1, 12.5, 0.0, 39.99, 3.0];

/// Padded in one tensor as on a GPU, and side by side as on the CPU.
fn batches(model: &AudioModel) {
    let device = Default::default();
    let alone = model.coder::<Flex>(&device).expect("a coder");
    let padded = model.coder::<Autodiff<Flex>>(&device).expect("a coder");
    let hop = f64::from(alone.format().hop);
    let lengths = HOPS.map(|hops| (hops * hop) as usize);
    same_batches(alone.as_ref(), padded.as_ref(), &lengths);
}

#[test]
fn batches_of_built_in_models() {
    // That of music has latents in place of codes.
    for name in pretrained::names().filter(|name| *name != pretrained::MUSIC) {
        let model = AudioModel::from_bytes(pretrained::get(name).expect("listed"));
        batches(&model.expect("valid weights"));
    }
}

#[test]
fn batches_of_fixtures() {
    let root = std::env::var_os("CODEC_FIXTURES").unwrap_or("../../shared/fixtures".into());
    for (family, file) in [
        ("dac", "weights.pth"),
        ("encodec", "encodec.th"),
        ("wavtokenizer", "checkpoint.ckpt"),
    ] {
        let folder = Path::new(&root).join(family);
        if !folder.is_dir() {
            println!("skipped: no {}", folder.display());
            continue;
        }
        let config = std::fs::read(folder.join("config.json")).expect("a configuration");
        let config = serde_json::from_slice(&config).expect("JSON");
        let checkpoint = Checkpoint::read(&folder.join(file)).expect("a checkpoint");
        let tensors = checkpoint.tensors.fold_weight_norm().expect("tensors");
        let imported = AudioModel::import(family, tensors, Some(&config), "test/case", file);
        let bytes = imported.expect("imports").file.to_bytes().expect("weights");
        batches(&AudioModel::from_bytes(&bytes).expect("a model"));
    }
}

//! The periodic wavelet transform against tensors of WaLLoC's reference.
//!
//! Walks the folder named by `CODEC_FIXTURES` (default: `../shared/fixtures` beside the workspace).

use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use codec_core::backend::wavelet::{Boundary, WaveletOps};
use safetensors::SafeTensors;
use std::path::PathBuf;

fn folder() -> PathBuf {
    match std::env::var_os("CODEC_FIXTURES") {
        Some(path) => path.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures"),
    }
}

fn load(file: &SafeTensors, name: &str) -> Tensor<Flex, 4> {
    let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    let values: Vec<f32> = view
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    Tensor::from_data(
        TensorData::new(values, view.shape().to_vec()),
        &Default::default(),
    )
}

/// Repeats the last sample of odd sides.
fn even(x: Tensor<Flex, 4>) -> Tensor<Flex, 4> {
    [2, 3].into_iter().fold(x, |x, dim| match x.dims()[dim] {
        n if n % 2 == 1 => Tensor::cat(vec![x.clone(), x.narrow(dim, n - 1, 1)], dim),
        _ => x,
    })
}

#[track_caller]
fn close(got: Tensor<Flex, 4>, want: Tensor<Flex, 4>, what: &str) {
    assert_eq!(got.dims(), want.dims(), "{what}");
    let scale = want.clone().abs().max().into_scalar();
    let error = (got - want).abs().max().into_scalar() / scale;
    // Tolerance of the fixture: 1e-4 of the largest value; lifting and filtering differ by rounding only.
    assert!(error < 1e-5, "{what}: relative error {error}");
}

#[test]
fn walloc2d() {
    let folder = folder();
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: no fixtures in {}", folder.display());
        return;
    };
    let mut found = 0;
    for entry in entries
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with("walloc2d"))
    {
        let path = entry.path();
        let config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap();
        let levels = config["J"].as_u64().unwrap() as usize;
        let bytes = std::fs::read(path.join("io.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let run = |x, levels| Flex::wavelet_analysis(x, levels, Boundary::Periodic).unwrap();
        let back = |y, levels| Flex::wavelet_synthesis(y, levels, Boundary::Periodic).unwrap();
        close(run(load(&file, "x"), levels), load(&file, "X"), "analysis");
        close(
            back(load(&file, "X_hat"), levels),
            load(&file, "x_rec"),
            "synthesis",
        );
        close(
            back(load(&file, "X"), levels),
            load(&file, "x_wpt_inverse"),
            "inverse",
        );
        for name in file
            .names()
            .into_iter()
            .filter(|n| n.starts_with("quirk_") && n.ends_with("_x"))
        {
            let stem = name.trim_end_matches("_x");
            let (bands, image) = (format!("{stem}_X"), format!("{stem}_y"));
            close(run(even(load(&file, name)), 1), load(&file, &bands), &bands);
            close(back(load(&file, &bands), 1), load(&file, &image), &image);
        }
        found += 1;
    }
    if found == 0 {
        println!("skipped: no walloc2d* in {}", folder.display());
    }
}

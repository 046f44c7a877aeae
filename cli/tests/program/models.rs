//! Published checkpoints on the command line: import, use, show, verify, export.

use std::collections::BTreeMap;

use codec_core::weights::{HostTensor, Tensors};
use codec_tests::picture::photo;
use codec_tests::program::Sandbox;
use codec_tests::published;

/// A folder with a checkpoint, and the user's models in it.
fn with_checkpoint() -> Sandbox {
    let sandbox = crate::sandbox();
    sandbox.put("author.safetensors", &published::hyperprior());
    sandbox.put_picture("a.png", &photo(70, 41));
    sandbox
}

#[test]
fn from_a_checkpoint_to_a_file_and_back() {
    let sandbox = with_checkpoint();
    let run = sandbox
        .run("models import author.safetensors --name mine/one --json")
        .ends_in(0);
    let report = &run.json()[0];
    assert_eq!(report["family"], "hyperprior");
    assert_eq!(report["config"]["architecture"], "mbt2018-mean");
    assert!(report["missing"].as_object().unwrap().is_empty());

    sandbox.run("encode a.png -m mine/one --verify").ends_in(0);
    sandbox.run("decode a.ncx -o b.png").ends_in(0);
    let info = sandbox.run("info a.ncx --json").ends_in(0);
    assert_eq!(info.json()[0]["model"], "mine/one");
    assert!(sandbox.has("b.png"));
    // It has one rate.
    for option in ["-q 50", "--bpp 1", "--target-size 3k"] {
        let line = format!("encode a.png -m mine/one -o c.ncx {option}");
        let run = sandbox.run(&line).ends_in(2);
        assert!(run.stderr.contains("one rate"), "{}", run.stderr);
    }

    let list = sandbox.run("models list --json").ends_in(0).json();
    assert!(list.iter().any(|model| model["name"] == "mine/one"));
    sandbox.run("models verify").ends_in(0);
    let shown = sandbox.run("models show mine/one --json").ends_in(0);
    assert_eq!(shown.json()[0]["digest"], report["digest"]);

    // The name is taken; what was exported comes back as the same model.
    sandbox
        .run("models import author.safetensors --name mine/one")
        .ends_in(2);
    sandbox
        .run("models export mine/one -o back.safetensors")
        .ends_in(0);
    sandbox
        .run("models import back.safetensors --name mine/one -f")
        .ends_in(0);
    sandbox.run("decode a.ncx -o c.png").ends_in(0);
    assert_eq!(sandbox.get("b.png"), sandbox.get("c.png"));
}

#[test]
fn weight_normalization_is_folded() {
    let sandbox = with_checkpoint();
    let (mut tensors, _) = Tensors::from_safetensors(&sandbox.get("author.safetensors")).unwrap();
    let weight = tensors.remove("g_a.2.weight").unwrap();
    let (shape, values) = (weight.shape(), weight.as_floats().unwrap());
    let rows = values.chunks(values.len() / shape[0]);
    let norms = rows.map(|row| row.iter().map(|v| v * v).sum::<f32>().sqrt());
    let norms = HostTensor::floats(&[shape[0], 1, 1, 1], norms.collect()).unwrap();
    let doubled = values.iter().map(|v| 2.0 * v).collect();
    tensors.insert("g_a.2.weight_g", norms);
    tensors.insert(
        "g_a.2.weight_v",
        HostTensor::floats(shape, doubled).unwrap(),
    );
    sandbox.put(
        "normed.safetensors",
        &tensors.to_safetensors(&BTreeMap::new()).unwrap(),
    );
    sandbox
        .run("models import normed.safetensors --name normed")
        .ends_in(0);
    sandbox
        .run("models export normed -o folded.safetensors")
        .ends_in(0);
    let (folded, _) = Tensors::from_safetensors(&sandbox.get("folded.safetensors")).unwrap();
    let folded = folded
        .get("g_a.2.weight")
        .and_then(HostTensor::as_floats)
        .unwrap();
    let pairs = folded.iter().zip(values);
    assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn what_is_no_model_is_refused() {
    let sandbox = with_checkpoint();
    let whole = sandbox.get("author.safetensors");
    sandbox.put("cut.safetensors", &whole[..whole.len() - 5]);
    sandbox.put(
        "noise.pth",
        &[0x80, 2, b'(', b'X', 255, 255, 255, 255, b'.'],
    );
    sandbox
        .run("models import cut.safetensors --name x")
        .ends_in(3);
    sandbox.run("models import noise.pth --name x").ends_in(3);
    sandbox.run("models import missing.pth --name x").ends_in(1);
    sandbox
        .run("models import author.safetensors --name ../x")
        .ends_in(2);
    sandbox
        .run("models import author.safetensors --name x --family vqgan")
        .ends_in(3);
    sandbox.run("models show nothing").ends_in(4);
    sandbox.run("encode a.png -m nothing").ends_in(4);
    assert!(!sandbox.has("models/x.safetensors"));
    // Nothing is written by a dry run.
    sandbox
        .run("models import author.safetensors --name x --dry-run")
        .ends_in(0);
    assert!(!sandbox.has("models/x.safetensors"));
}

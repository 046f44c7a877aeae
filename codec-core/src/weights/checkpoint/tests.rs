use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::weights::HostTensor;

/// A pickle written by hand.
#[derive(Default)]
struct Pickle(Vec<u8>);

impl Pickle {
    fn code(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        let len = (text.len() as u32).to_le_bytes();
        self.code(b"X").code(&len).code(text.as_bytes())
    }

    fn class(self, module: &str, name: &str) -> Self {
        self.code(format!("c{module}\n{name}\n").as_bytes())
    }

    fn tuple(mut self, values: &[u8]) -> Self {
        self = self.code(b"(");
        for value in values {
            self = self.code(&[b'K', *value]);
        }
        self.code(b"t")
    }

    /// A key of a dictionary and a tensor for it.
    fn tensor(
        self,
        name: &str,
        class: &str,
        key: &str,
        elements: u8,
        shape: &[u8],
        stride: &[u8],
    ) -> Self {
        self.text(name)
            .class("torch._utils", "_rebuild_tensor_v2")
            .code(b"((")
            .text("storage")
            .class("torch", class)
            .text(key)
            .text("cpu")
            .code(&[b'K', elements])
            .code(b"tQK\0")
            .tuple(shape)
            .tuple(stride)
            .code(b"\x89")
            .class("collections", "OrderedDict")
            .code(b")RtR")
    }
}

const FLOATS: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

/// `{"config": Config(depth=3), "optimizer": {}, "state_dict": OrderedDict(...)}`.
fn structure() -> Vec<u8> {
    Pickle::default()
        .code(b"\x80\x02}(")
        .text("config")
        .class("__main__", "Config")
        .code(b")\x81}")
        .text("depth")
        .code(b"K\x03sb")
        .text("optimizer")
        .code(b"}")
        .text("state_dict")
        .class("collections", "OrderedDict")
        .code(b")R(")
        .tensor("module.a.weight", "FloatStorage", "0", 6, &[3, 2], &[1, 3])
        .tensor("module.b", "LongStorage", "1", 1, &[], &[])
        .code(b"uu.")
        .0
}

fn storages() -> [(&'static str, Vec<u8>); 2] {
    let floats = FLOATS.iter().flat_map(|v| v.to_le_bytes()).collect();
    [("0", floats), ("1", (-7i64).to_le_bytes().to_vec())]
}

fn archive(pickle: &[u8], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    let mut add = |name: &str, data: &[u8]| {
        writer
            .start_file(format!("archive/{name}"), options)
            .unwrap();
        writer.write_all(data).unwrap();
    };
    add("data.pkl", pickle);
    add("byteorder", b"little");
    for (key, data) in storages() {
        add(&format!("data/{key}"), &data);
    }
    writer.finish().unwrap().into_inner()
}

fn legacy(pickle: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\x0a".to_vec();
    bytes.extend([0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]);
    bytes.extend(b".\x80\x02M\xe9\x03.\x80\x02}X\x0d\0\0\0little_endian\x88s.");
    bytes.extend(pickle);
    bytes.extend(b"\x80\x02](X\x01\0\0\x000X\x01\0\0\x001e.");
    for ((_, data), unit) in storages().into_iter().zip([4, 8]) {
        bytes.extend((data.len() as u64 / unit).to_le_bytes());
        bytes.extend(data);
    }
    bytes
}

fn expected() -> Checkpoint {
    let mut tensors = Tensors::new();
    let weight = HostTensor::floats(&[3, 2], vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    tensors.insert("a.weight", weight.unwrap());
    tensors.insert("b", HostTensor::integers(&[], vec![-7]).unwrap());
    let entries = json!({"config": {"depth": 3}}).as_object().unwrap().clone();
    Checkpoint { tensors, entries }
}

#[test]
fn every_container_gives_the_same() {
    let want = expected();
    assert_eq!(want.config(), Some(&json!({"depth": 3})));
    for bytes in [
        archive(&structure(), CompressionMethod::Stored),
        archive(&structure(), CompressionMethod::Deflated),
        legacy(&structure()),
    ] {
        assert_eq!(Checkpoint::from_bytes(&bytes).unwrap(), want);
    }
    let metadata = [("config".to_owned(), r#"{"depth":3}"#.to_owned())];
    let file = want.tensors.iter().map(|(name, tensor)| {
        let bytes: Vec<u8> = match tensor.values() {
            crate::weights::Values::Floats(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            crate::weights::Values::Integers(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        let kind = match tensor.values() {
            crate::weights::Values::Floats(_) => safetensors::Dtype::F32,
            crate::weights::Values::Integers(_) => safetensors::Dtype::I64,
        };
        (name.to_owned(), kind, tensor.shape().to_vec(), bytes)
    });
    let file: Vec<_> = file.collect();
    let views = file.iter().map(|(name, kind, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(*kind, shape.clone(), bytes);
        (name.clone(), view.unwrap())
    });
    let bytes = safetensors::serialize(views, Some(metadata.into())).unwrap();
    assert_eq!(Checkpoint::from_bytes(&bytes).unwrap(), want);
}

/// The names of the tensors in a checkpoint with this pickle.
fn names(pickle: Pickle) -> Vec<String> {
    let bytes = archive(&pickle.code(b".").0, CompressionMethod::Stored);
    let tensors = Checkpoint::from_bytes(&bytes).unwrap().tensors;
    tensors.iter().map(|(name, _)| name.to_owned()).collect()
}

fn one(pickle: Pickle, name: &str) -> Pickle {
    pickle.tensor(name, "FloatStorage", "0", 6, &[2], &[1])
}

#[test]
fn the_network_is_found_wherever_it_is() {
    let start = || Pickle::default().code(b"\x80\x02}(");
    // A bare dictionary, with a nested one and one name without the prefix.
    let bare = one(one(start(), "module.a").text("b").code(b"}("), "c").code(b"uu");
    assert_eq!(names(bare), ["b.c", "module.a"]);
    // best_state: {model: {_orig_mod.a}}.
    let nested = start()
        .text("best_state")
        .code(b"}(")
        .text("model")
        .code(b"}(");
    assert_eq!(names(one(nested, "_orig_mod.a").code(b"uuu")), ["a"]);
    // One part of an unusual name, beside the optimizer's state.
    let single = one(start().text("generator").code(b"}("), "module.a").code(b"u");
    let single = one(single.text("optimizer_g").code(b"}("), "m").code(b"uu");
    assert_eq!(names(single), ["a"]);
    // Several parts.
    let parts = one(start().text("generator").code(b"}("), "a").code(b"u");
    let parts = one(parts.text("quantizer").code(b"}("), "a").code(b"u");
    assert_eq!(
        names(parts.text("encoder").code(b"}u")),
        ["generator.a", "quantizer.a"]
    );
    // A whole module: torch.save(network).
    let module = Pickle::default()
        .code(b"\x80\x02")
        .class("net", "Net")
        .code(b")\x81}(")
        .text("_parameters")
        .code(b"}(");
    let module = one(module, "a").code(b"u").text("_modules").code(b"}(");
    let module = module.text("part").class("net", "Part").code(b")\x81}(");
    let module = module.text("_parameters").code(b"}(");
    assert_eq!(names(one(module, "w").code(b"uubuub")), ["a", "part.w"]);
}

#[test]
fn shared_parts_cannot_make_a_walk_without_end() {
    // Forty dictionaries, each with the one before it under two names.
    let mut pickle = one(Pickle::default().code(b"\x80\x02}("), "a").code(b"uq\0");
    for _ in 0..40 {
        pickle = pickle
            .code(b"0}(")
            .text("x")
            .code(b"h\0")
            .text("y")
            .code(b"h\0uq\0");
    }
    let bytes = archive(&pickle.code(b".").0, CompressionMethod::Stored);
    assert!(Checkpoint::from_bytes(&bytes).is_err());
}

#[test]
fn damaged_files_give_errors_and_no_panic() {
    let whole = structure();
    for bytes in [archive(&whole, CompressionMethod::Stored), legacy(&whole)] {
        for end in 0..bytes.len() {
            assert!(Checkpoint::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
        for at in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= change;
                let _ = Checkpoint::from_bytes(&bytes);
            }
        }
    }
    // Changes that the archive's check values would catch are made before it is written.
    for at in 0..whole.len() {
        for change in [0x01, 0x02, 0x10, 0x80, 0xff] {
            let mut pickle = whole.clone();
            pickle[at] ^= change;
            let _ = Checkpoint::from_bytes(&archive(&pickle, CompressionMethod::Stored));
        }
    }
}

fn fixtures() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let folder = std::env::var_os("CODEC_FIXTURES").map_or(default, PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: no fixtures in {}", folder.display());
        return None;
    }
    Some(folder)
}

/// The same tensors; `want` may lack a part's name in front of its names.
fn agree(got: &Tensors, want: &Tensors, files: &str) {
    assert_eq!(got.len(), want.len(), "{files}");
    for (name, tensor) in want.iter() {
        let part = format!(".{name}");
        let found = got.get(name).or_else(|| {
            let mut named = got.iter().filter(|(n, _)| n.ends_with(&part));
            named.next().map(|(_, tensor)| tensor)
        });
        assert!(found == Some(tensor), "{files}: {name}");
    }
}

/// Every published file is read; where the folder has its tensors as safetensors, they are the same.
#[test]
fn checkpoints_of_the_fixtures() {
    let Some(folder) = fixtures() else { return };
    let mut compared = 0;
    for case in std::fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        let Ok(files) = std::fs::read_dir(&case) else {
            continue;
        };
        let mut first: Option<(PathBuf, Tensors)> = None;
        let reference = case.join("weights.safetensors");
        if reference.is_file() {
            let tensors = Checkpoint::read(&reference).unwrap().tensors;
            first = Some((reference, tensors));
        }
        for file in files {
            let path = file.unwrap().path();
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
            if !["pth", "ckpt", "th", "tar", "pt"].contains(&extension) {
                continue;
            }
            let tensors = Checkpoint::read(&path)
                .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
                .tensors;
            assert!(!tensors.is_empty(), "{}", path.display());
            match &first {
                Some((other, same)) => {
                    agree(&tensors, same, &format!("{path:?}, {other:?}"));
                    compared += 1;
                }
                None => first = Some((path, tensors)),
            }
        }
    }
    println!("{compared} files compared");
}

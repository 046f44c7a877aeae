//! Published models: every folder of `CODEC_FIXTURES` whose name begins with a family's name is a case.
//!
//! So far: the strings of CompressAI's range coder.

use std::path::{Path, PathBuf};

use codec_entropy::{compressai_gaussian_tables, decode_compressai, encode_compressai};
use codec_tests::data;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// The folders of a family; says why if there are none.
fn cases(family: &str) -> Vec<PathBuf> {
    let Some(root) = data::fixtures() else {
        println!("skipped: no fixtures (CODEC_FIXTURES)");
        return Vec::new();
    };
    let entries = std::fs::read_dir(&root).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let of_family = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(family)) && path.join("io.safetensors").is_file()
    };
    let mut cases: Vec<PathBuf> = paths.filter(of_family).collect();
    cases.sort();
    if cases.is_empty() {
        println!("skipped: no folder {family}* in {}", root.display());
    }
    cases
}

fn tensors(case: &Path) -> Vec<u8> {
    let path = case.join("io.safetensors");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn integers(file: &SafeTensors<'_>, name: &str) -> Vec<i32> {
    let tensor = file
        .tensor(name)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(tensor.dtype(), Dtype::I32, "{name}");
    let values = tensor.data().chunks_exact(4);
    values
        .map(|v| i32::from_le_bytes(v.try_into().expect("four bytes")))
        .collect()
}

/// Symbols of `y` with our own Gaussian tables: CompressAI's bytes, and symbols of its bytes.
#[test]
fn strings_of_the_hyperprior_family() {
    let tables = compressai_gaussian_tables().expect("tables");
    for case in cases("hyperprior") {
        let bytes = tensors(&case);
        let file = SafeTensors::deserialize(&bytes).expect("tensors");
        let (symbols, indexes) = (integers(&file, "y_symbols"), integers(&file, "y_indexes"));
        let items = file.tensor("y_symbols").expect("symbols").shape()[0];
        let indexes: Vec<usize> = indexes.iter().map(|&i| i as usize).collect();
        let each = symbols.len() / items;
        for (item, (symbols, indexes)) in symbols.chunks(each).zip(indexes.chunks(each)).enumerate()
        {
            let name = format!("y_string_{item}");
            let string = file.tensor(&name).expect("a string").data();
            let ours = encode_compressai(symbols, indexes, &tables).expect("encodes");
            assert!(ours == string, "{}: {name}", case.display());
            let mut decoded = vec![0; symbols.len()];
            decode_compressai(string, indexes, &tables, &mut decoded).expect("decodes");
            assert!(decoded == symbols, "{}: {name}", case.display());
        }
        println!(
            "{}: {} symbols, {items} strings",
            case.display(),
            symbols.len()
        );
    }
}

//! The numbers of `tests/data/losses.json`, which `tests/data/reference.py` computes.

/// The number at a path of keys.
#[track_caller]
pub(crate) fn reference(path: &[&str]) -> f64 {
    reference_values(path)[0]
}

/// The numbers at a path of keys; one for a plain number.
#[track_caller]
pub(crate) fn reference_values(path: &[&str]) -> Vec<f64> {
    let all: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/data/losses.json")).expect("JSON");
    let mut value = &all;
    for key in path {
        value = value
            .get(key)
            .unwrap_or_else(|| panic!("no {key} of {path:?}"));
    }
    match value.as_array() {
        Some(values) => values.iter().map(|v| v.as_f64().expect("number")).collect(),
        None => vec![value.as_f64().expect("number")],
    }
}

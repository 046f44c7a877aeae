//! Compares our picture metrics with those of other programs, on pictures that `data/validate_images.py` made:
//! `validate_metrics ORIGINALS DECODED > validation.json`, where DECODED holds `NAME-QUALITY.png` and `theirs.json`.

use codec_eval::metrics::image::of_keys;
use codec_eval::{EvalError, environment, load_picture};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// One picture at one quality.
#[derive(Serialize, Deserialize)]
struct Row {
    file: String,
    quality: u32,
    #[serde(default)]
    ours: BTreeMap<String, f64>,
    theirs: BTreeMap<String, f64>,
}

/// What the script wrote.
#[derive(Deserialize)]
struct Theirs {
    /// Name and version of the program behind each key.
    programs: BTreeMap<String, String>,
    rows: Vec<Row>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [originals, decoded] = arguments.as_slice() else {
        return Err("usage: validate_metrics ORIGINALS DECODED".into());
    };
    let (originals, decoded) = (Path::new(originals), Path::new(decoded));
    let text = std::fs::read(decoded.join("theirs.json"))?;
    let Theirs { programs, mut rows } = serde_json::from_slice(&text)?;
    let mut seconds = BTreeMap::<String, f64>::new();
    for row in &mut rows {
        let stem = row.file.trim_end_matches(".png");
        let original = load_picture(&originals.join(&row.file))?;
        let picture = load_picture(&decoded.join(format!("{stem}-{}.png", row.quality)))?;
        let keys: Vec<&str> = row.theirs.keys().map(String::as_str).collect();
        for measure in of_keys(&keys) {
            let clock = Instant::now();
            let reference = measure.reference(&row.file, &original)?;
            let prepared = clock.elapsed().as_secs_f64();
            let outcome = reference.measure(&picture)?;
            let name = measure
                .metrics()
                .first()
                .map_or("", |m| m.key.as_str())
                .to_owned();
            *seconds.entry(format!("{name}, original")).or_default() += prepared;
            *seconds.entry(name).or_default() += clock.elapsed().as_secs_f64() - prepared;
            row.ours.extend(outcome.values);
        }
    }
    for (key, sum) in &seconds {
        eprintln!("{key}: {:.3} s a picture", sum / rows.len() as f64);
    }
    let summary = summary(&rows);
    for (key, [absolute, relative]) in &summary {
        eprintln!("{key}: at most {absolute:.2e} apart, {relative:.2e} of the value");
    }
    let report = serde_json::json!({
        "what": "largest difference, absolute and relative, between our metrics and those of other programs",
        "pictures": "photographs of the Kodak set after cjpeg and djpeg at these qualities",
        "programs": programs,
        "environment": environment(),
        "largest": summary,
        "rows": rows,
    });
    let mut out = serde_json::to_string_pretty(&report).map_err(EvalError::Report)?;
    out.push('\n');
    std::io::Write::write_all(&mut std::io::stdout(), out.as_bytes())?;
    Ok(())
}

/// Largest absolute and relative difference for each key.
fn summary(rows: &[Row]) -> BTreeMap<String, [f64; 2]> {
    let mut largest = BTreeMap::<String, [f64; 2]>::new();
    for row in rows {
        for (key, theirs) in &row.theirs {
            // A value that is missing is infinitely far away, which JSON shows as null.
            let ours = row.ours.get(key).copied().unwrap_or(f64::INFINITY);
            let difference = (ours - theirs).abs();
            let entry = largest.entry(key.clone()).or_default();
            entry[0] = entry[0].max(difference);
            entry[1] = entry[1].max(difference / theirs.abs());
        }
    }
    largest
}

//! Sizes: quality, bits per pixel, bytes. With the embedded model, since it is the model that makes a file grow with quality.

use codec_tests::picture::photo;

use crate::sandbox;

#[test]
fn size_grows_with_quality() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(200, 133));
    let mut last = 0;
    for quality in [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100] {
        sandbox
            .run(&format!("encode a.png -f -q {quality}"))
            .ends_in(0);
        let size = sandbox.get("a.ncx").len();
        assert!(size > last, "quality {quality}: {size} bytes after {last}");
        last = size;
    }
}

#[test]
fn quality_is_continuous() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(200, 133));
    let size = |quality: &str| {
        sandbox
            .run(&format!("encode a.png -f -q {quality}"))
            .ends_in(0);
        sandbox.get("a.ncx").len() as f64
    };
    let (a, b, c) = (size("50"), size("50.5"), size("51"));
    assert!(a < b && b < c, "{a} {b} {c}");
    assert!(
        c < 1.05 * a,
        "a step of one quality is {} bytes of {a}",
        c - a
    );
}

#[test]
fn wanted_sizes_are_hit_or_named() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(200, 133));
    let run = |options: &str| {
        let run = sandbox
            .run(&format!("encode a.png -f --json {options}"))
            .ends_in(0);
        let document = run.json().remove(0);
        let size = document["bytes"].as_u64().expect("a number");
        assert_eq!(size, sandbox.get("a.ncx").len() as u64);
        (size, document["reached"] == true, run.stderr)
    };
    for target in [2_000u64, 5_000, 9_000] {
        let (size, reached, text) = run(&format!("--target-size {target}"));
        assert!(reached, "{text}");
        assert!(
            size <= target && size as f64 >= 0.98 * target as f64,
            "{target}: {size}"
        );
        assert!(text.contains("quality"), "{text}");
    }
    let (size, reached, _) = run("--bpp 1.5");
    let rate = 8.0 * size as f64 / (200.0 * 133.0);
    assert!(reached && (0.98 * 1.5..=1.5).contains(&rate), "{rate}");

    // Out of reach: the nearest there is, and a word about it.
    let (small, reached, text) = run("--target-size 10");
    assert!(!reached && text.contains("nearest to 10 B"), "{text}");
    assert_eq!(small, run("-q 0").0);
    let (large, reached, text) = run("--target-size 5M");
    assert!(!reached && text.contains("nearest to 5.00 MB"), "{text}");
    assert_eq!(large, run("-q 100").0);
}

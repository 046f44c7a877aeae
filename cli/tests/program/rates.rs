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

/// The steps between two qualities are small, and there is something between them.
#[test]
fn quality_is_continuous() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(384, 256));
    let size = |quality: &str| {
        sandbox
            .run(&format!("encode a.png -f -q {quality}"))
            .ends_in(0);
        sandbox.get("a.ncx").len() as f64
    };
    let (a, b, c) = (size("50"), size("51"), size("52"));
    assert!(a < b && b < c, "{a} {b} {c}");
    assert!(
        c < 1.12 * a,
        "two steps of quality are {} bytes of {a}",
        c - a
    );
    assert_ne!(size("50.5"), a);
}

#[test]
fn wanted_sizes_are_hit_or_named() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(384, 256));
    let run = |options: &str| {
        let run = sandbox
            .run(&format!("encode a.png -f --json {options}"))
            .ends_in(0);
        let document = run.json().remove(0);
        let size = document["bytes"].as_u64().expect("a number");
        assert_eq!(size, sandbox.get("a.ncx").len() as u64);
        (size, document["reached"] == true, run.stderr)
    };
    let (least, most) = (run("-q 0").0, run("-q 100").0);
    for share in [0.2, 0.5, 0.9] {
        // Spread between the ends of what the model can do, on a logarithmic scale.
        let target = (least as f64 * (most as f64 / least as f64).powf(share)) as u64;
        let (size, reached, text) = run(&format!("--target-size {target}"));
        assert!(reached, "{target}: {text}");
        assert!(
            size <= target && size as f64 >= 0.98 * target as f64,
            "{target}: {size}"
        );
        assert!(text.contains("quality"), "{text}");
    }
    let wanted = 0.5 * 8.0 * most as f64 / (384.0 * 256.0);
    let (size, reached, text) = run(&format!("--bpp {wanted}"));
    let rate = 8.0 * size as f64 / (384.0 * 256.0);
    // The wanted rate is rounded down to whole bytes.
    assert!(
        reached && (0.979 * wanted..=wanted).contains(&rate),
        "{rate}: {text}"
    );

    // Out of reach: the nearest there is, and a word about it.
    let (small, reached, text) = run("--target-size 10");
    assert!(!reached && text.contains("nearest to 10 B"), "{text}");
    assert_eq!(small, least);
    let (large, reached, text) = run("--target-size 5M");
    assert!(!reached && text.contains("nearest to 5.00 MB"), "{text}");
    assert_eq!(large, most);
}

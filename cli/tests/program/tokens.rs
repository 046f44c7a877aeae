//! Latents as arrays: written in every format, turned back into the pixels of a file.

use codec_tests::picture::photo;
use codec_tests::program::Sandbox;
use codec_tests::published;

/// A folder with two pictures and a WaLLoC model.
fn with_walloc() -> Sandbox {
    let sandbox = crate::sandbox();
    let (weights, config) = published::walloc();
    sandbox.put("author.safetensors", &weights);
    sandbox.put("author.json", config.as_bytes());
    sandbox.put_picture("in/a.png", &photo(70, 41));
    sandbox.put_picture("in/deep/b.png", &photo(33, 64));
    sandbox
        .run("models import author.safetensors --config author.json --name latent")
        .ends_in(0);
    sandbox
}

#[test]
fn latents_return_as_the_pixels_of_a_file() {
    let sandbox = with_walloc();
    sandbox.run("encode in -d files -m latent").ends_in(0);
    sandbox.run("decode files -d pictures").ends_in(0);
    for format in ["npy", "safetensors", "jsonl"] {
        for layout in ["time", "codebook", "flat", "delay"] {
            let (out, back) = (
                format!("{format}-{layout}"),
                format!("back-{format}-{layout}"),
            );
            let line = format!(
                "tokenize in -d {out} -m latent --format {format} --layout {layout} --json"
            );
            let run = sandbox.run(&line).ends_in(0);
            for line in run.json() {
                assert_eq!(line["limit"], 31);
                assert!(line["codebook_size"].is_null());
            }
            // 70x41 pixels, padded to multiples of 4, at a quarter of the size.
            assert_eq!(run.json()[0]["shape"], serde_json::json!([12, 11, 18]));
            sandbox
                .run(&format!("detokenize {out} -d {back}"))
                .ends_in(0);
            for name in ["a.png", "deep/b.png"] {
                let expected = sandbox.get_picture(&format!("pictures/{name}"));
                let found = sandbox.get_picture(&format!("{back}/{name}"));
                assert_eq!(found.pixels, expected.pixels, "{format} {layout} {name}");
            }
        }
    }
}

#[test]
fn latents_that_do_not_fit_are_refused() {
    let sandbox = with_walloc();
    sandbox
        .run("tokenize in/a.png -o a.jsonl -m latent")
        .ends_in(0);
    let text = String::from_utf8(sandbox.get("a.jsonl")).unwrap();
    for (from, to, status) in [
        ("\"limit\":31", "\"limit\":127", 3),
        ("\"limit\":31", "\"limit\":1", 3),
        ("\"width\":70", "\"width\":700", 3),
        ("\"width\":70", "\"width\":4000000000", 6),
        ("[12,11,18]", "[12,18,11]", 3),
        ("codec-latents/1", "codec-latents/9", 4),
        ("\"latents\"", "\"others\"", 3),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        sandbox.put("b.jsonl", changed.as_bytes());
        sandbox
            .run("detokenize b.jsonl -o b.png -f")
            .ends_in(status);
        assert!(!sandbox.has("b.png"), "{to}");
    }
    // Latents have no codebooks to leave out.
    sandbox
        .run("tokenize in/a.png -o c.npy -m latent --codebooks 1")
        .ends_in(2);
    // The embedded model's symbols make no picture without its side information.
    sandbox.run("tokenize in/a.png -o c.npy").ends_in(4);
}

//! Where inputs come from and outputs go to.

use codec_tests::picture::photo;

use crate::sandbox;

#[test]
fn names_are_derived_or_given() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(20, 10));
    sandbox.tiny("encode a.png").ends_in(0);
    assert_eq!(sandbox.names(), ["a.ncx", "a.png"]);
    sandbox.tiny("encode a.png b.ncx").ends_in(0);
    sandbox.tiny("encode a.png -o c.bin").ends_in(0);
    assert_eq!(sandbox.get("a.ncx"), sandbox.get("b.ncx"));
    assert_eq!(sandbox.get("a.ncx"), sandbox.get("c.bin"));
    sandbox.tiny("decode b.ncx").ends_in(0);
    sandbox.tiny("decode b.ncx --output-format qoi").ends_in(0);
    // Recognised by its first bytes, whatever its name.
    sandbox.tiny("decode c.bin d.png").ends_in(0);
    assert_eq!(
        sandbox.names(),
        [
            "a.ncx", "a.png", "b.ncx", "b.png", "b.qoi", "c.bin", "d.png"
        ]
    );
    assert!(sandbox.get_picture("b.png") == sandbox.get_picture("d.png"));
}

#[test]
fn pipes_carry_only_data() {
    let sandbox = sandbox();
    let picture = photo(20, 10);
    sandbox.put_picture("a.png", &picture);
    sandbox.tiny("encode a.png").ends_in(0);
    sandbox.tiny("decode a.ncx b.png").ends_in(0);
    let encoded = sandbox
        .pipe("encode - -o -", &sandbox.get("a.png"))
        .ends_in(0);
    assert_eq!(encoded.stdout, sandbox.get("a.ncx"));
    // Without -o stdin goes to stdout.
    let encoded = sandbox.pipe("encode -", &sandbox.get("a.png")).ends_in(0);
    assert_eq!(encoded.stdout, sandbox.get("a.ncx"));
    let decoded = sandbox.pipe("decode - -", &encoded.stdout).ends_in(0);
    assert_eq!(decoded.stdout, sandbox.get("b.png"));
    sandbox.pipe("decode - c.png", &encoded.stdout).ends_in(0);
    assert_eq!(sandbox.get("c.png"), sandbox.get("b.png"));
    sandbox
        .pipe("encode - -o - --json", &sandbox.get("a.png"))
        .ends_in(2);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    use std::process::Stdio;
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(20, 10));
    sandbox.tiny("encode a.png").ends_in(0);
    let mut child = sandbox
        .command("decode a.ncx -o - --weights tiny.safetensors")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn existing_outputs_are_safe() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(20, 10));
    sandbox.put("a.ncx", b"mine");
    let run = sandbox.tiny("encode a.png").ends_in(5);
    assert!(
        run.stderr.contains("a.ncx") && run.stderr.contains("--force"),
        "{}",
        run.stderr
    );
    assert_eq!(sandbox.get("a.ncx"), b"mine");
    sandbox.tiny("encode a.png -n").ends_in(0);
    assert_eq!(sandbox.get("a.ncx"), b"mine");
    sandbox.tiny("encode a.png -f").ends_in(0);
    assert_ne!(sandbox.get("a.ncx"), b"mine");
    sandbox.tiny("decode a.ncx").ends_in(5);
    sandbox.tiny("decode a.ncx -n").ends_in(0);
    sandbox.tiny("encode a.png -f -n").ends_in(2);
    // Not even --force overwrites an input.
    let original = sandbox.get("a.png");
    sandbox.tiny("encode a.png -o a.png -f").ends_in(2);
    assert_eq!(sandbox.get("a.png"), original);
}

#[test]
fn batches_go_on_after_a_bad_file() {
    let sandbox = sandbox();
    sandbox.put_picture("in/a.png", &photo(20, 10));
    sandbox.put("in/b.png", b"not a picture");
    sandbox.put_picture("in/sub/c.png", &photo(10, 20));
    sandbox.put("in/notes.txt", b"left out");
    let run = sandbox.tiny("encode in -d out --json").ends_in(1);
    assert!(run.stderr.contains("codec: in/b.png: "), "{}", run.stderr);
    assert!(
        run.stderr.contains("3 files: 2 done, 1 failed"),
        "{}",
        run.stderr
    );
    let documents = run.json();
    assert_eq!(documents.len(), 3);
    assert!(
        documents
            .iter()
            .all(|document| document["schema"] == "codec.encode/1")
    );
    assert!(documents[1]["error"].is_string() && documents[1]["status"].is_number());
    assert!(sandbox.has("out/a.ncx") && !sandbox.has("out/b.ncx") && sandbox.has("out/sub/c.ncx"));

    // Resumed: what is there is skipped.
    let run = sandbox.tiny("encode in -d out -n").ends_in(1);
    assert!(run.stderr.contains("2 skipped, 1 failed"), "{}", run.stderr);
    let run = sandbox
        .tiny("encode in/b.png in/a.png -d fast --fail-fast")
        .ends_in(1);
    assert!(run.stderr.contains("1 not tried"), "{}", run.stderr);
    assert!(!sandbox.has("fast/a.ncx"));

    sandbox.put("out/bad.ncx", b"damaged");
    let run = sandbox.tiny("decode out -d back").ends_in(1);
    assert!(run.stderr.contains("2 done, 1 failed"), "{}", run.stderr);
    assert!(
        sandbox.has("back/a.png") && sandbox.has("back/sub/c.png") && !sandbox.has("back/bad.png")
    );
}

#[test]
fn documents_are_complete() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(64, 48));
    let encode = &sandbox.tiny("encode a.png -q 30 --json").ends_in(0).json()[0];
    let bytes = sandbox.get("a.ncx").len() as u64;
    assert_eq!(encode["schema"], "codec.encode/1");
    assert_eq!(
        (&encode["input"], &encode["output"]),
        (&"a.png".into(), &"a.ncx".into())
    );
    assert_eq!(
        (&encode["width"], &encode["height"]),
        (&64.into(), &48.into())
    );
    assert_eq!(encode["bytes"], bytes);
    assert_eq!(encode["quality"], 30.0);
    assert_eq!(encode["model"], "wpmr/tiny");
    assert_eq!(encode["reached"], true);
    let bpp = encode["bpp"].as_f64().expect("a number");
    assert!((bpp - 8.0 * bytes as f64 / (64.0 * 48.0)).abs() < 1e-9);

    let info = &sandbox.run("info a.ncx --json").ends_in(0).json()[0];
    assert_eq!(info["schema"], "codec.info/1");
    assert_eq!(
        (&info["model"], &info["digest"]),
        (&encode["model"], &encode["digest"])
    );
    assert_eq!(
        (&info["profile"], &info["checks"]),
        (&"portable".into(), &"right".into())
    );
    assert_eq!(info["weights_built_in"], false);

    let decode = &sandbox.tiny("decode a.ncx b.png --json").ends_in(0).json()[0];
    assert_eq!(decode["schema"], "codec.decode/1");
    assert_eq!(decode["bytes"], sandbox.get("b.png").len());
    assert_eq!(
        (&decode["input_bytes"], &decode["digest"]),
        (&encode["bytes"], &encode["digest"])
    );

    let text = sandbox.run("info a.ncx").ends_in(0);
    let text = String::from_utf8(text.stdout).expect("UTF-8");
    assert!(
        text.contains("64x48, rgb, 8 bit") && text.contains("portable profile"),
        "{text}"
    );
    let check = sandbox.run("info --check a.ncx").ends_in(0);
    assert_eq!(check.stdout, b"a.ncx: all checks right\n");
}

//! Exit statuses are a stable part of the interface.

use codec_core::container::{self, Color, Header, ImageInfo, Media, Profile, Section, SectionId};
use codec_core::digest::Digest;
use codec_tests::model;
use codec_tests::picture::photo;

use crate::sandbox;

/// A file whose checks are right, with a payload that is none.
fn file(model: &str, digest: Digest, width: u32, height: u32) -> Vec<u8> {
    let header = Header {
        model: model.to_owned(),
        digest,
        profile: Profile::Portable,
        quality: 5000,
        media: Media::Image(ImageInfo {
            width,
            height,
            color: Color::Rgb,
            alpha: false,
            bit_depth: 8,
            tile_size: 0,
        }),
    };
    let tile = Section {
        id: SectionId::IMAGE_TILE,
        data: vec![0],
    };
    container::write(&header, &[tile]).expect("a valid file")
}

#[test]
fn done_failed_and_usage() {
    let sandbox = sandbox();
    sandbox.run("--help").ends_in(0);
    let version = sandbox.run("--version").ends_in(0);
    assert!(String::from_utf8_lossy(&version.stdout).contains("format 1"));
    sandbox.run("models list").ends_in(0);

    let run = sandbox.tiny("encode missing.png").ends_in(1);
    assert!(
        run.stderr.starts_with("codec: missing.png: "),
        "{}",
        run.stderr
    );
    sandbox.put_picture("a.png", &photo(8, 8));
    sandbox
        .run("encode a.png --weights missing.safetensors")
        .ends_in(1);
    sandbox
        .tiny("encode a.png -o no/such/folder/a.ncx")
        .ends_in(1);

    for line in [
        "",
        "frobnicate",
        "encode",
        "encode a.png --nonsense",
        "encode a.png -q 101",
        "encode a.png -q 50 --bpp 1",
        "encode a.png --bpp 0",
        "encode a.png --target-size 0",
        "encode a.png -e 11",
        "encode a.png -j 0",
        "encode a.png --device gpu",
        "encode a.png a.png -o b.ncx",
        "encode - -d out",
        "decode a.ncx -m wpmr/v1",
        "decode a.ncx b.unknown --output-format mp3",
    ] {
        let run = sandbox.run(line).ends_in(2);
        assert!(!run.stderr.is_empty(), "{line}");
    }
    assert_eq!(sandbox.names(), ["a.png"]);
}

#[test]
fn streams_that_are_none() {
    let sandbox = sandbox();
    let digest = Digest::of(model::tiny());
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("text", b"hello".to_vec()),
        ("payload", file(model::TINY, digest, 8, 8)),
    ] {
        sandbox.put(&format!("{name}.ncx"), &bytes);
        let run = sandbox.tiny(&format!("decode {name}.ncx")).ends_in(3);
        assert!(
            run.stderr.contains(&format!("{name}.ncx: ")),
            "{}",
            run.stderr
        );
    }
    sandbox.put("a.png", b"not a picture");
    assert_ne!(sandbox.tiny("encode a.png").status, 0);
    assert_eq!(
        sandbox.names(),
        ["a.png", "empty.ncx", "payload.ncx", "text.ncx"]
    );
}

#[test]
fn models_and_weights_that_do_not_fit() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(8, 8));
    sandbox.run("encode a.png -m wpmr/none").ends_in(4);
    sandbox.tiny("encode a.png").ends_in(0);

    // The right name with other weights, and no weights at all.
    sandbox.put("other.safetensors", model::other());
    let run = sandbox
        .run("decode a.ncx b.png --weights other.safetensors")
        .ends_in(4);
    let digests = [model::tiny(), model::other()].map(|bytes| Digest::of(bytes).to_string());
    assert!(
        digests.iter().all(|digest| run.stderr.contains(digest)),
        "{}",
        run.stderr
    );
    sandbox.run("decode a.ncx b.png").ends_in(4);

    let unknown = file("other/v9", Digest::of(b"none"), 8, 8);
    sandbox.put("unknown.ncx", &unknown);
    sandbox.run("decode unknown.ncx").ends_in(4);
    sandbox.run("info unknown.ncx").ends_in(0);
    let mut newer = unknown;
    newer[4] = 2;
    sandbox.put("newer.ncx", &newer);
    let run = sandbox.run("decode newer.ncx").ends_in(4);
    assert!(run.stderr.contains("version 2"), "{}", run.stderr);
    sandbox.run("info newer.ncx").ends_in(4);
    assert!(!sandbox.has("b.png") && !sandbox.has("unknown.png") && !sandbox.has("newer.png"));
}

#[test]
fn limits_are_kept_without_taking_memory() {
    let sandbox = sandbox();
    let digest = Digest::of(model::tiny());
    for (width, height) in [
        (u32::MAX, u32::MAX),
        (1 << 21, 1),
        (1 << 20, 1 << 10),
        (1 << 14, 1 << 14),
    ] {
        sandbox.put("a.ncx", &file(model::TINY, digest, width, height));
        let run = sandbox.tiny("decode a.ncx").ends_in(6);
        assert!(run.stderr.contains("limit"), "{}", run.stderr);
        // Describing it needs no memory for pixels.
        sandbox.run("info a.ncx").ends_in(0);
    }
    sandbox.put_picture("b.png", &photo(30, 20));
    sandbox.tiny("encode b.png --limit-pixels 599").ends_in(6);
    sandbox.tiny("encode b.png --limit-pixels 600").ends_in(0);
    sandbox.remove("b.png");
    sandbox.tiny("decode b.ncx --limit-pixels 599").ends_in(6);
    assert_eq!(sandbox.names(), ["a.ncx", "b.ncx"]);
}

#[test]
fn a_missing_device_is_a_typed_error() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(8, 8));
    for device in ["wgpu:99", "cuda:99"] {
        let run = sandbox
            .tiny(&format!("encode a.png --device {device}"))
            .ends_in(1);
        assert!(
            run.stderr.contains(&format!("device {device}: ")),
            "{}",
            run.stderr
        );
    }
    assert!(!sandbox.has("a.ncx"));
    // auto never fails.
    sandbox.tiny("encode a.png --device auto").ends_in(0);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_nothing() {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(3000, 2500));
    let mut command =
        sandbox.command("encode a.png -q 99 -e 10 -j 1 --tile 64 --weights tiny.safetensors");
    let mut child = command
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    std::thread::sleep(Duration::from_millis(700));
    assert!(
        child.try_wait().expect("a state").is_none(),
        "the picture is too small for this test"
    );
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("kill runs").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert_eq!(sandbox.names(), ["a.png"]);
}

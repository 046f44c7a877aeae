//! Pictures return as what they were: size, channels, alpha, and the same pixels for any number of threads.

use codec::Color;
use codec_tests::picture::{Kind, photo, picture, psnr};

use crate::sandbox;

const SIZES: [(u32, u32); 5] = [(1, 1), (1, 7), (33, 17), (64, 64), (200, 133)];

/// Colour type in the header of a PNG file.
fn png_color_type(bytes: &[u8]) -> u8 {
    assert_eq!(bytes.get(12..16), Some(&b"IHDR"[..]));
    bytes[25]
}

#[test]
fn every_size_and_kind_returns() {
    let sandbox = sandbox();
    let all = || {
        SIZES
            .into_iter()
            .flat_map(|size| Kind::ALL.map(|kind| (size, kind)))
    };
    let name = |((width, height), kind): ((u32, u32), Kind)| {
        let alpha = if kind.alpha { "-alpha" } else { "" };
        format!("{:?}{alpha}/{width}x{height}", kind.color)
    };
    for ((width, height), kind) in all() {
        let file = format!("in/{}.png", name(((width, height), kind)));
        sandbox.put_picture(&file, &picture(width, height, kind));
    }
    sandbox.tiny("encode in -d files -q 90").ends_in(0);
    sandbox.tiny("decode files -d out").ends_in(0);
    for ((width, height), kind) in all() {
        let name = name(((width, height), kind));
        let original = picture(width, height, kind);
        let decoded = sandbox.get_picture(&format!("out/{name}.png"));
        assert_eq!((decoded.width, decoded.height), (width, height), "{name}");
        assert_eq!(decoded.color, kind.color, "{name}");
        assert_eq!(decoded.alpha, original.alpha, "{name}");
        let expected = match (kind.color, kind.alpha) {
            (Color::Gray, false) => 0,
            (Color::Gray, true) => 4,
            (Color::Rgb, false) => 2,
            (Color::Rgb, true) => 6,
        };
        let png = sandbox.get(&format!("out/{name}.png"));
        assert_eq!(png_color_type(&png), expected, "{name}");
        let psnr = psnr(&original, &decoded);
        assert!(psnr > 25.0, "{name}: {psnr} dB");
    }
}

#[test]
fn threads_change_neither_bytes_nor_pixels() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(300, 211));
    for threads in ["1", "2", "all"] {
        sandbox
            .tiny(&format!("encode a.png -o {threads}.ncx -j {threads}"))
            .ends_in(0);
        sandbox
            .tiny(&format!("decode 1.ncx -o {threads}.png -j {threads}"))
            .ends_in(0);
        assert_eq!(
            sandbox.get("1.ncx"),
            sandbox.get(&format!("{threads}.ncx")),
            "{threads}"
        );
        let (one, many) = (
            sandbox.get_picture("1.png"),
            sandbox.get_picture(&format!("{threads}.png")),
        );
        assert!(one == many, "{threads} threads give other pixels");
    }
    // From run to run as well.
    sandbox.tiny("encode a.png -o again.ncx").ends_in(0);
    assert_eq!(sandbox.get("1.ncx"), sandbox.get("again.ncx"));
}

#[test]
fn tiles_return_whole() {
    let sandbox = sandbox();
    let original = photo(200, 133);
    sandbox.put_picture("a.png", &original);
    sandbox.tiny("encode a.png -q 95 --tile 64").ends_in(0);
    let info = &sandbox.run("info a.ncx --json").ends_in(0).json()[0];
    assert_eq!(info["tile_size"], 64);
    assert_eq!(info["sections"].as_array().map(Vec::len), Some(4 * 3));
    sandbox.tiny("decode a.ncx -o b.png").ends_in(0);
    let psnr = psnr(&original, &sandbox.get_picture("b.png"));
    assert!(psnr > 30.0, "{psnr} dB");
}

#[test]
fn verify_decodes_again_and_reports() {
    let sandbox = sandbox();
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        sandbox.put_picture(&format!("{index}.png"), &picture(33, 17, kind));
        let run = sandbox
            .tiny(&format!("encode {index}.png --verify --json -f"))
            .ends_in(0);
        let document = &run.json()[0];
        assert_eq!(document["verified"], true);
        assert!(
            document["psnr"].as_f64().is_some_and(|psnr| psnr > 15.0),
            "{document}"
        );
    }
}

#[test]
fn other_formats_come_in_and_go_out() {
    let sandbox = sandbox();
    let original = photo(40, 30);
    for extension in ["png", "bmp", "tiff", "webp", "ppm", "qoi"] {
        sandbox.put_picture(&format!("a.{extension}"), &original);
        sandbox
            .tiny(&format!("encode a.{extension} -o {extension}.ncx"))
            .ends_in(0);
        // Lossless inputs of equal pixels give equal files.
        assert_eq!(
            sandbox.get("png.ncx"),
            sandbox.get(&format!("{extension}.ncx")),
            "{extension}"
        );
        sandbox
            .tiny(&format!("decode png.ncx -o out.{extension}"))
            .ends_in(0);
        assert_eq!(
            sandbox.get_picture("out.png").pixels,
            sandbox.get_picture(&format!("out.{extension}")).pixels,
            "{extension}"
        );
    }
    sandbox.tiny("decode png.ncx out.jpg").ends_in(0);
    assert!(sandbox.get("out.jpg").starts_with(&[0xff, 0xd8]));
}

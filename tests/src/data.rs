//! Where data lie that are not part of the repository.

use std::path::{Path, PathBuf};

use codec::{Color, Limits, Picture};

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the repository")
        .to_path_buf()
}

/// The folder that an environment variable names, or its default beside the repository; `None` if it is not there.
fn folder(variable: &str, default: &str) -> Option<PathBuf> {
    let path = match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => repository().join(default),
    };
    path.is_dir().then_some(path)
}

/// Tensors of published models (`CODEC_FIXTURES`).
pub fn fixtures() -> Option<PathBuf> {
    folder("CODEC_FIXTURES", "../shared/fixtures")
}

/// Pictures and recordings (`CODEC_DATA`).
pub fn shared() -> Option<PathBuf> {
    folder("CODEC_DATA", "../shared/data")
}

/// Whether golden files are to be written instead of compared.
pub fn bless() -> bool {
    std::env::var_os("CODEC_BLESS").is_some_and(|value| value == "1")
}

/// A Kodak picture (1 to 24), if the data are there.
pub fn kodak(number: usize) -> Option<Picture> {
    let path = shared()?.join(format!("images/kodak/kodim{number:02}.png"));
    let bytes = std::fs::read(path).ok()?;
    Some(codec::io::read(&bytes, &Limits::default()).expect("a Kodak picture can be read"))
}

/// A part of an RGB picture.
pub fn crop(picture: &Picture, x: usize, y: usize, width: usize, height: usize) -> Picture {
    assert_eq!(picture.color, Color::Rgb);
    let stride = 3 * picture.width as usize;
    let rows = picture.pixels.chunks_exact(stride).skip(y).take(height);
    let pixels: Vec<u8> = rows
        .flat_map(|row| row[3 * x..3 * (x + width)].iter().copied())
        .collect();
    Picture::new(width as u32, height as u32, Color::Rgb, pixels)
        .expect("the part lies inside of the picture")
}

//! Files made by the encoders at hand, read back.

use codec_core::{ErrorKind, Limits};
use image::{ExtendedColorType, ImageEncoder};

use super::*;
use crate::error::Error;
use crate::picture::{Color, Metadata, Picture};

fn picture(color: Color, alpha: bool) -> Picture {
    let (width, height) = (7u32, 5u32);
    let count = width * height;
    let pixels = (0..count * color.channels() as u32)
        .map(|i| (i * 37 % 251) as u8)
        .collect();
    let picture = Picture::new(width, height, color, pixels).unwrap();
    if !alpha {
        return picture;
    }
    picture
        .with_alpha((0..count).map(|i| (i * 91 % 256) as u8).collect())
        .unwrap()
}

fn all_pictures() -> [Picture; 4] {
    [
        (Color::Gray, false),
        (Color::Gray, true),
        (Color::Rgb, false),
        (Color::Rgb, true),
    ]
    .map(|(color, alpha)| picture(color, alpha))
}

fn reread(bytes: &[u8]) -> Result<Picture, Error> {
    read(bytes, &Limits::default())
}

/// EXIF with one entry: orientation.
fn exif(tag: u8) -> Vec<u8> {
    let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    exif.extend_from_slice(&[0, tag, 0, 0, 0, 0, 0, 0]);
    exif
}

fn png(color: ExtendedColorType, samples: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut file);
    encoder.write_image(samples, width, height, color).unwrap();
    file
}

/// Puts a chunk at `at`, or before the end chunk.
fn with_chunk(mut file: Vec<u8>, at: Option<usize>, kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    let length = (data.len() as u32).to_be_bytes();
    let check = crc32fast::hash(&body).to_be_bytes();
    let at = at.unwrap_or(file.len() - 12);
    file.splice(at..at, [&length[..], &body, &check].concat());
    file
}

#[test]
fn lossless_formats_return_what_they_were_given() {
    for picture in all_pictures() {
        for format in [Format::Png, Format::Tiff, Format::Pam, Format::Pnm] {
            let bytes = match write(&picture, format) {
                Ok(bytes) => bytes,
                Err(Error::CannotWrite { .. }) => {
                    assert!(picture.alpha.is_some() && format != Format::Png);
                    continue;
                }
                Err(error) => panic!("{format}: {error}"),
            };
            let read = read_with_source(&bytes, &Limits::default()).unwrap();
            assert_eq!(read.picture, picture, "{format}");
            assert_eq!((read.format, read.frames_dropped), (format, false));
        }
    }
}

#[test]
fn formats_without_grayscale_return_equal_channels() {
    for picture in all_pictures() {
        for format in [Format::WebP, Format::Qoi, Format::Bmp] {
            if format == Format::Bmp && picture.color == Color::Gray && picture.alpha.is_some() {
                continue;
            }
            let back = reread(&write(&picture, format).unwrap()).unwrap();
            let expected: Vec<u8> = match picture.color {
                Color::Rgb => picture.pixels.clone(),
                Color::Gray => picture.pixels.iter().flat_map(|v| [*v; 3]).collect(),
            };
            assert_eq!(
                (back.pixels, back.alpha),
                (expected, picture.alpha.clone()),
                "{format}"
            );
        }
    }
}

#[test]
fn jpeg_keeps_gray_and_refuses_alpha() {
    let flat = Picture::new(16, 8, Color::Gray, vec![77; 128]).unwrap();
    let back = reread(&write(&flat, Format::Jpeg).unwrap()).unwrap();
    assert_eq!((back.width, back.height, back.color), (16, 8, Color::Gray));
    assert!(back.pixels.iter().all(|value| value.abs_diff(77) <= 1));
    let rgb = reread(&write(&picture(Color::Rgb, false), Format::Jpeg).unwrap()).unwrap();
    assert_eq!(rgb.color, Color::Rgb);
    for (format, color) in [
        (Format::Jpeg, Color::Rgb),
        (Format::Pnm, Color::Gray),
        (Format::Tiff, Color::Gray),
        (Format::Bmp, Color::Gray),
        (Format::Gif, Color::Rgb),
    ] {
        let error = write(&picture(color, true), format).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
}

#[test]
fn metadata_travel_where_there_is_a_place() {
    let metadata = Metadata {
        icc: Some(vec![9; 200]),
        exif: Some(exif(1)),
        xmp: Some(b"<x:xmpmeta/>".to_vec()),
    };
    let picture = picture(Color::Rgb, false).with_metadata(metadata.clone());
    for format in [Format::Png, Format::Jpeg, Format::WebP] {
        assert!(lost_metadata(&picture, format).is_empty());
        let back = reread(&write(&picture, format).unwrap()).unwrap();
        assert_eq!(back.metadata, metadata, "{format}");
    }
    assert_eq!(lost_metadata(&picture, Format::Tiff), ["exif", "xmp"]);
    let tiff = reread(&write(&picture, Format::Tiff).unwrap()).unwrap();
    assert_eq!(
        tiff.metadata,
        Metadata {
            icc: metadata.icc.clone(),
            ..Metadata::default()
        }
    );
    assert_eq!(lost_metadata(&picture, Format::Bmp), ["icc", "exif", "xmp"]);
    assert!(write(&picture, Format::Bmp).is_ok());

    let large = Metadata {
        xmp: Some(vec![b' '; 70_000]),
        exif: Some(vec![1; 70_000]),
        ..metadata
    };
    let picture = picture.with_metadata(large);
    assert_eq!(lost_metadata(&picture, Format::Jpeg), ["exif", "xmp"]);
    assert!(
        reread(&write(&picture, Format::Jpeg).unwrap())
            .unwrap()
            .metadata
            .exif
            .is_none()
    );
    let tight = Limits {
        max_metadata_bytes: 100_000,
        ..Limits::default()
    };
    let error = read(&write(&picture, Format::WebP).unwrap(), &tight).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[test]
fn orientation_is_applied_once() {
    let source = picture(Color::Rgb, true);
    let samples = source.interleaved().into_owned();
    for tag in 1..=8 {
        let mut expected = image::DynamicImage::from(
            image::RgbaImage::from_raw(source.width, source.height, samples.clone()).unwrap(),
        );
        expected.apply_orientation(image::metadata::Orientation::from_exif(tag).unwrap());
        let metadata = Metadata {
            exif: Some(exif(tag)),
            ..Metadata::default()
        };
        let tagged = source.clone().with_metadata(metadata);
        for format in [Format::Png, Format::WebP] {
            let back = reread(&write(&tagged, format).unwrap()).unwrap();
            assert_eq!(
                (back.width, back.height),
                (expected.width(), expected.height())
            );
            assert_eq!(back.interleaved(), expected.as_bytes(), "{format} {tag}");
            assert_eq!(back.metadata.exif, Some(exif(1)));
        }
    }
    // EXIF after the pixels, as some programs write it.
    let plain = png(ExtendedColorType::L8, &[1, 2], 2, 1);
    let late = reread(&with_chunk(plain, None, b"eXIf", &exif(6))).unwrap();
    assert_eq!((late.width, late.height, late.pixels), (1, 2, vec![1, 2]));
    // A tag out of range is left alone.
    let metadata = Metadata {
        exif: Some(exif(9)),
        ..Metadata::default()
    };
    let odd = picture(Color::Gray, false).with_metadata(metadata);
    assert_eq!(reread(&write(&odd, Format::Png).unwrap()).unwrap(), odd);
}

#[test]
fn deeper_samples_are_refused_with_advice() {
    let file = png(ExtendedColorType::Rgb16, &[0; 6], 1, 1);
    let error = reread(&file).unwrap_err();
    assert_eq!(
        error.to_string(),
        "png picture with 16 bits a sample is not supported: convert it to 8 bits first"
    );
    let mut tiff = std::io::Cursor::new(Vec::new());
    image::codecs::tiff::TiffEncoder::new(&mut tiff)
        .write_image(&[0; 12], 1, 1, ExtendedColorType::Rgb32F)
        .unwrap();
    let error = reread(tiff.get_ref()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(matches!(
        reread(b"P5 1 1 65535\n\0\0"),
        Err(Error::Unsupported { .. })
    ));
}

#[test]
fn palettes_bits_and_opaque_alpha() {
    // 2x1, palette of red and blue, the second one half transparent.
    let mut palette = png(ExtendedColorType::L8, &[0, 1], 2, 1);
    palette[25] = 3; // colour type: indexed
    let check = crc32fast::hash(&palette[12..29]).to_be_bytes();
    palette[29..33].copy_from_slice(&check);
    let palette = with_chunk(palette, Some(33), b"PLTE", &[255, 0, 0, 0, 0, 255]);
    let back = reread(&palette).unwrap();
    assert_eq!(
        (back.color, &back.pixels[..], back.alpha),
        (Color::Rgb, &[255, 0, 0, 0, 0, 255][..], None)
    );
    let transparent = with_chunk(palette, Some(33 + 18), b"tRNS", &[255, 128]);
    assert_eq!(reread(&transparent).unwrap().alpha, Some(vec![255, 128]));

    let bits = reread(b"P4 3 1\n\xa0").unwrap();
    assert_eq!((bits.color, bits.pixels), (Color::Gray, vec![0, 255, 0]));

    let opaque = Picture::new(1, 1, Color::Gray, vec![5])
        .unwrap()
        .with_alpha(vec![255])
        .unwrap();
    assert_eq!(
        reread(&write(&opaque, Format::Png).unwrap()).unwrap(),
        opaque
    );
}

#[test]
fn first_frame_of_gif_and_no_other_animation() {
    let frames = |count: u8| {
        let mut file = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut file);
        for frame in 0..count {
            let pixels = [frame * 100, 0, 0, 255].repeat(6);
            encoder
                .encode(&pixels, 3, 2, ExtendedColorType::Rgba8)
                .unwrap();
        }
        drop(encoder);
        file
    };
    for (count, dropped) in [(1, false), (2, true)] {
        let read = read_with_source(&frames(count), &Limits::default()).unwrap();
        assert_eq!(read.frames_dropped, dropped);
        assert_eq!(
            read.picture,
            Picture::new(3, 2, Color::Rgb, [0, 0, 0].repeat(6)).unwrap()
        );
    }
    let still = png(ExtendedColorType::L8, &[0], 1, 1);
    for (frames, refused) in [(1, false), (2, true)] {
        let animated = with_chunk(
            still.clone(),
            Some(33),
            b"acTL",
            &[0, 0, 0, frames, 0, 0, 0, 0],
        );
        assert_eq!(reread(&animated).is_err(), refused);
    }
    assert!(
        reread(&with_chunk(
            still.clone(),
            Some(33),
            b"cICP",
            &[9, 16, 0, 1]
        ))
        .is_err()
    );
    assert!(reread(&with_chunk(still, Some(33), b"cICP", &[1, 13, 0, 1])).is_ok());
}

#[test]
fn second_pages_are_refused_and_thumbnails_ignored() {
    let page = write(&picture(Color::Gray, false), Format::Tiff).unwrap();
    let directory = u32::from_le_bytes(page[4..8].try_into().unwrap()) as usize;
    let entries = usize::from(u16::from_le_bytes([page[directory], page[directory + 1]]));
    let next = directory + 2 + 12 * entries;
    for (subfile, refused) in [(0, true), (1, false)] {
        let mut pages = page.clone();
        let second = pages.len() as u32;
        pages[next..next + 4].copy_from_slice(&second.to_le_bytes());
        pages.extend_from_slice(&[1, 0, 254, 0, 4, 0, 1, 0, 0, 0, subfile, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(reread(&pages).is_err(), refused);
    }
}

#[test]
fn truncated_and_damaged_files_never_panic() {
    let rgb = picture(Color::Rgb, false);
    for format in Format::ALL
        .into_iter()
        .filter(|format| *format != Format::Gif)
    {
        let bytes = write(&rgb, format).unwrap();
        for length in 0..bytes.len() {
            let result = reread(&bytes[..length]);
            // QOI ends in padding and TIFF in tables that are not always needed.
            let lenient = [Format::Qoi, Format::Tiff, Format::WebP].contains(&format);
            assert!(
                result.is_err() || lenient,
                "{format}: {length} of {} bytes",
                bytes.len()
            );
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            let tight = Limits {
                max_pixels: 1 << 20,
                ..Limits::default()
            };
            let _ = read(&damaged, &tight);
        }
    }
}

#[test]
fn sizes_are_limited_before_pixels_are_allocated() {
    let tight = Limits {
        max_pixels: 34,
        ..Limits::default()
    };
    for format in Format::ALL
        .into_iter()
        .filter(|format| *format != Format::Gif)
    {
        let bytes = write(&picture(Color::Rgb, false), format).unwrap();
        let error = read(&bytes, &tight).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{format}: {error}");
    }
    // Sixteen bytes that ask for 2^60.
    let error = reread(b"P6 1000000000 1000000000 255\n").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    let small = Limits {
        max_file_bytes: 3,
        ..Limits::default()
    };
    assert_eq!(read(b"P6 1", &small).unwrap_err().kind(), ErrorKind::Limit);
}

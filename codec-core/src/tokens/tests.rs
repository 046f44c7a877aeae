use super::*;

const FORMATS: [Format; 3] = [Format::Npy, Format::Safetensors, Format::Jsonl];

fn tokens(shape: &[usize], codebook_size: u32) -> Tokens {
    let count = shape.iter().product::<usize>() as u32;
    let codes = (0..count).map(|i| (i * 7919) % codebook_size).collect();
    let media = match shape.len() {
        3 => Media::Image {
            width: 33,
            height: 17,
        },
        _ => Media::Audio {
            rate: 24_000,
            samples: 1 << 40,
            channels: 1,
            hop: 320,
        },
    };
    let (model, digest) = ("vqgan/\"quoted\"".to_owned(), Digest([7; 8]));
    Tokens::new(codes, shape.to_vec(), codebook_size, model, digest, media).unwrap()
}

fn latents(shape: &[usize], limit: u32) -> Tokens {
    let count = shape.iter().product::<usize>() as i64;
    let span = 2 * i64::from(limit) + 1;
    let values = (0..count).map(|i| ((i * 7919 + 3) % span - i64::from(limit)) as i32);
    let media = Media::Image {
        width: 33,
        height: 17,
    };
    let (values, digest) = (values.collect(), Digest([9; 8]));
    Tokens::of_latents(
        values,
        shape.to_vec(),
        limit,
        "walloc".into(),
        digest,
        media,
    )
    .unwrap()
}

/// Codes and latents of few and of many values.
fn both_kinds() -> Vec<Tokens> {
    let codes = [
        (&[1, 2, 3][..], 1024),
        (&[4, 3, 5], 65_535),
        (&[3, 1, 1], 65_536),
        (&[8, 9], 1),
        (&[1, 0, 4], 5),
    ];
    let signed = [
        (&[12, 2, 3][..], 1),
        (&[2, 3, 5], 126),
        (&[2, 3, 5], 127),
        (&[2, 3, 5], 128),
        (&[3, 4], 32_767),
        (&[2000, 1, 1], 32_768),
        (&[1, 1, 3], CODES_MAX),
        (&[1, 0, 4], 5),
    ];
    let codes = codes.into_iter().map(|(shape, size)| tokens(shape, size));
    let signed = signed
        .into_iter()
        .map(|(shape, limit)| latents(shape, limit));
    codes.chain(signed).collect()
}

#[test]
fn every_format_and_layout_comes_back() {
    for tokens in both_kinds() {
        let (shape, alphabet) = (tokens.shape(), tokens.alphabet());
        for (name, layout) in Layout::ALL {
            assert_eq!(name.parse::<Layout>().unwrap(), layout);
            assert_eq!(layout.to_string(), name);
            for format in FORMATS {
                let bytes = format.write(&tokens, layout).unwrap();
                assert_eq!(
                    Format::read(&bytes).unwrap(),
                    tokens,
                    "{shape:?} {alphabet} {name} {format}"
                );
                assert_eq!(bytes, format.write(&tokens, layout).unwrap());
            }
        }
    }
}

#[test]
fn layouts_are_those_of_the_documentation() {
    let media = Media::Image {
        width: 3,
        height: 1,
    };
    let codes = vec![0, 1, 2, 10, 11, 12];
    let tokens = Tokens::new(codes, vec![2, 1, 3], 20, "m".into(), Digest([0; 8]), media).unwrap();
    let arranged = |layout: Layout| {
        (
            layout.shape(tokens.shape()).unwrap(),
            layout.arrange(&tokens).unwrap(),
        )
    };
    let together = vec![0, 10, 1, 11, 2, 12];
    assert_eq!(arranged(Layout::Time), (vec![1, 3, 2], together.clone()));
    assert_eq!(arranged(Layout::Flat), (vec![6], together));
    assert_eq!(
        arranged(Layout::Codebook),
        (vec![2, 1, 3], vec![0, 1, 2, 10, 11, 12])
    );
    assert_eq!(
        arranged(Layout::Delay),
        (vec![2, 4], vec![0, 1, 2, 20, 20, 10, 11, 12])
    );
}

/// What other programs read: names, element types and signs.
#[test]
fn arrays_of_latents_are_signed_and_small() {
    for (limit, layout, element) in [
        (127, Layout::Codebook, "|i1"),
        (127, Layout::Delay, "<i2"),
        (128, Layout::Time, "<i2"),
        (32_768, Layout::Flat, "<i4"),
    ] {
        let tokens = latents(&[2, 2, 3], limit);
        let bytes = Format::Npy.write(&tokens, layout).unwrap();
        let header = String::from_utf8_lossy(&bytes[..64]).into_owned();
        assert!(header.contains(element), "{limit} {layout}: {header}");
        let (array, _) = crate::npy::read(&bytes).unwrap();
        if layout == Layout::Codebook {
            let expected: Vec<i64> = tokens.latents().iter().map(|&v| v.into()).collect();
            assert_eq!(array.as_integers().unwrap(), expected);
        }
    }
    let tokens = latents(&[2, 1, 2], 3);
    let media = tokens.media;
    assert!(tokens.codes().is_empty());
    assert_eq!(tokens.expect_codes().unwrap_err().kind().exit_status(), 3);
    assert_eq!(tokens.codebook_size(), 0);
    let text = String::from_utf8(Format::Jsonl.write(&tokens, Layout::Delay).unwrap()).unwrap();
    assert!(text.contains(r#""limit":3"#), "{text}");
    assert!(text.contains(r#""latents":["#), "{text}");
    assert!(!text.contains("codes") && !text.contains("codebook_size"));
    let error = tokens.first_codebooks(1).unwrap_err();
    assert_eq!(error.kind().exit_status(), 2);
    let delayed = Tokens::of_latents(
        vec![-3, 3, 0, -1],
        vec![2, 1, 2],
        3,
        "m".into(),
        Digest([0; 8]),
        media,
    );
    let delayed = Layout::Delay.arrange(&delayed.unwrap()).unwrap();
    assert_eq!(delayed, [-3, 3, 4, 4, 0, -1]);
}

#[test]
fn fewer_codebooks_are_a_prefix() {
    let tokens = tokens(&[3, 2, 2], 100);
    let first = tokens.clone().first_codebooks(2).unwrap();
    assert_eq!(first.shape(), [2, 2, 2]);
    assert_eq!(first.codes(), &tokens.codes()[..8]);
    for count in [0, 4] {
        let error = tokens.clone().first_codebooks(count).unwrap_err();
        assert_eq!(error.kind().exit_status(), 2);
    }
}

#[test]
fn damage_never_panics_and_never_gives_values_beyond_the_range() {
    let cases = [tokens(&[2, 3, 4], 50), latents(&[2, 3, 4], 50)];
    for (format, tokens) in FORMATS
        .iter()
        .flat_map(|f| cases.iter().map(move |c| (f, c)))
    {
        for (_, layout) in Layout::ALL {
            let bytes = format.write(tokens, layout).unwrap();
            for length in 0..bytes.len() - 1 {
                assert!(Format::read(&bytes[..length]).is_err(), "{format} {length}");
            }
            for position in 0..bytes.len() {
                for bit in [0, 3, 6] {
                    let mut damaged = bytes.clone();
                    damaged[position] ^= 1 << bit;
                    if let Ok(read) = Format::read(&damaged) {
                        let range = read.alphabet().range();
                        let codes = read.codes().iter().map(|&v| i64::from(v));
                        let latents = read.latents().iter().map(|&v| i64::from(v));
                        assert!(codes.chain(latents).all(|v| range.contains(&v)));
                    }
                }
            }
        }
    }
    assert!(Format::read(b"").is_err());
}

#[test]
fn what_does_not_agree_is_refused() {
    let text = String::from_utf8(
        Format::Jsonl
            .write(&tokens(&[1, 2, 2], 9), Layout::Time)
            .unwrap(),
    );
    let text = text.unwrap();
    let with = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        Format::read(changed.as_bytes())
            .unwrap_err()
            .kind()
            .exit_status()
    };
    assert_eq!(with("[1,2,2]", "[1,2,3]"), 3);
    assert_eq!(with("[1,2,2]", "[1,4294967296,4294967296]"), 3);
    assert_eq!(with("[1,2,2]", "[0,2,2]"), 3);
    assert_eq!(with("[1,2,2]", "[]"), 3);
    assert_eq!(with("\"codebook_size\":9", "\"codebook_size\":3"), 3);
    assert_eq!(with("0707070707070707", "07"), 3);
    assert_eq!(with("codec-tokens/1", "codec-tokens/2"), 4);
    assert_eq!(with("\"image\"", "\"film\""), 3);
    assert_eq!(with("\"codebook_size\":9,", ""), 3);
    assert_eq!(with("\"codebook_size\":9", "\"codebook_size\":0"), 3);
    // Codes are no latents: neither their limit nor their array is there.
    assert_eq!(with("codec-tokens/1", "codec-latents/1"), 3);
    let text = String::from_utf8(
        Format::Jsonl
            .write(&latents(&[1, 2, 2], 9), Layout::Time)
            .unwrap(),
    );
    let text = text.unwrap();
    let with = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        Format::read(changed.as_bytes())
            .unwrap_err()
            .kind()
            .exit_status()
    };
    assert_eq!(with("\"limit\":9", "\"limit\":1"), 3);
    assert_eq!(with("\"limit\":9", "\"limit\":0"), 3);
    assert_eq!(with("\"limit\":9", "\"limit\":4294967295"), 3);
    assert_eq!(with("\"limit\":9,", ""), 3);
    assert_eq!(
        with("\"latents\":[", "\"latents\":[9223372036854775807,"),
        3
    );
    assert_eq!(with("\"latents\"", "\"codes\""), 3);
    assert_eq!(with("codec-latents/1", "codec-latents/2"), 4);
    assert_eq!(with("codec-latents/1", "codec-tokens/1"), 3);
    let plain = crate::npy::write(&[1, 1, 1], &[0], crate::npy::Element::U16);
    let error = Format::read(&plain).unwrap_err().to_string();
    assert!(error.contains("no description"), "{error}");
}

#[test]
fn lost_codes_are_gaps_in_every_file() {
    let size = 5;
    let codes = vec![4, 0, 1, 2, 3, 4];
    let media = Media::Image {
        width: 20,
        height: 30,
    };
    let whole = Tokens::new(
        codes,
        vec![1, 3, 2],
        size,
        "m".into(),
        Digest::of(b"m"),
        media,
    )
    .unwrap();
    let lost = vec![false, true, false, false, false, true];
    let tokens = whole.clone().with_lost(lost.clone()).unwrap();
    assert_eq!(tokens.codes(), [4, 0, 1, 2, 3, 0]);
    for format in [Format::Npy, Format::Safetensors, Format::Jsonl] {
        for (_, layout) in Layout::ALL {
            let bytes = format.write(&tokens, layout).unwrap();
            let back = Format::read(&bytes).unwrap();
            assert_eq!((back.lost(), &back), (lost.as_slice(), &tokens));
        }
    }
    let line = Format::Jsonl.write(&tokens, Layout::Codebook).unwrap();
    assert!(String::from_utf8_lossy(&line).contains("\"codes\":[4,5,1,2,3,5]"));
    assert!(whole.clone().with_lost(vec![true]).is_err());
    assert_eq!(whole.clone().with_lost(vec![false; 6]).unwrap(), whole);
}

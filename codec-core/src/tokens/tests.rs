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

#[test]
fn every_format_and_layout_comes_back() {
    for (shape, size) in [
        (&[1, 2, 3][..], 1024),
        (&[4, 3, 5], 65_535),
        (&[3, 1, 1], 65_536),
        (&[8, 9], 1),
        (&[1, 0, 4], 5),
    ] {
        let tokens = tokens(shape, size);
        for (name, layout) in Layout::ALL {
            assert_eq!(name.parse::<Layout>().unwrap(), layout);
            assert_eq!(layout.to_string(), name);
            for format in FORMATS {
                let bytes = format.write(&tokens, layout).unwrap();
                assert_eq!(
                    Format::read(&bytes).unwrap(),
                    tokens,
                    "{shape:?} {name} {format}"
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
fn damage_never_panics_and_never_gives_codes_beyond_the_codebook() {
    let tokens = tokens(&[2, 3, 4], 50);
    for format in FORMATS {
        for (_, layout) in Layout::ALL {
            let bytes = format.write(&tokens, layout).unwrap();
            for length in 0..bytes.len() - 1 {
                assert!(Format::read(&bytes[..length]).is_err(), "{format} {length}");
            }
            for position in 0..bytes.len() {
                for bit in [0, 3, 6] {
                    let mut damaged = bytes.clone();
                    damaged[position] ^= 1 << bit;
                    if let Ok(read) = Format::read(&damaged) {
                        let size = read.codebook_size();
                        assert!(read.codes().iter().all(|&code| code < size));
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
    let plain = crate::npy::write(&[1, 1, 1], &[0], crate::npy::Element::U16);
    let error = Format::read(&plain).unwrap_err().to_string();
    assert!(error.contains("no description"), "{error}");
}

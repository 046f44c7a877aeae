//! Recordings: their headers to the byte, their chunks, and files that come in pieces.

use super::*;
use crate::depth::Depth;

fn info() -> AudioInfo {
    AudioInfo {
        rate: 44_100,
        channels: 2,
        depth: Depth::Int24,
        mid_side: true,
        model_rate: 24_000,
        model_channels: 1,
        hop: 320,
        step: 3,
        chunk: 75,
        before: 4,
        after: 2,
    }
}

fn recording(info: AudioInfo) -> Header {
    Header {
        media: Media::Audio(info),
        ..header()
    }
}

fn end(samples: u64, payload: &[u8]) -> Section {
    section(
        SectionId::AUDIO_END,
        &AudioEnd { samples, payload }.to_bytes(),
    )
}

/// Two seconds and one sample: three chunks.
fn rich() -> Vec<u8> {
    let tags = [("title".to_owned(), "Air".to_owned())];
    let sections = [
        section(SectionId::TAGS, &put_tags(&tags)),
        section(SectionId::AUDIO_CHUNK, &[1; 30]),
        section(SectionId::new(50, false).unwrap(), b"later"),
        section(SectionId::AUDIO_CHUNK, &[2; 40]),
        end(88_201, &[3, 4]),
    ];
    write(&recording(info()), &sections).unwrap()
}

/// All parts of a file that comes in pieces of `size` bytes.
fn stream(bytes: &[u8], size: usize) -> Result<Vec<Part>, Error> {
    let mut reader = StreamReader::new(&Limits::default());
    let mut parts = Vec::new();
    for piece in bytes.chunks(size) {
        reader.push(piece);
        while let Some(part) = reader.next_part()? {
            parts.push(part);
        }
    }
    reader.finish()?;
    Ok(parts)
}

#[test]
fn golden_header() {
    #[rustfmt::skip]
    let expected = [
        0x9e, b'N', b'C', b'X', 1, 0b0100_1001,
        7, b'w', b'p', b'm', b'r', b'/', b'v', b'1',
        0, 1, 2, 3, 4, 5, 6, 7,
        0xb0, 0x13, // quality 5040
        0xc4, 0xd8, 0x02, 0xc0, 0xbb, 0x01, 2, // 44100 Hz, 24000 Hz, 2 channels
        0xc0, 0x02, 3, 75, 4, 2, // frames of 320 samples, step 3, chunks of 75 frames with 4 and 2 around
    ];
    let header = recording(info());
    let bytes = header.to_bytes().unwrap();
    assert_eq!(bytes[..bytes.len() - 2], expected);
    let check = u16::from_le_bytes([bytes[bytes.len() - 2], bytes[bytes.len() - 1]]);
    assert_eq!(check, wire::crc16(&expected));
    assert_eq!(Header::parse_prefix(&bytes).unwrap(), (header, bytes.len()));
}

#[test]
fn a_short_recording_costs_little() {
    let info = AudioInfo {
        rate: 24_000,
        channels: 1,
        chunk: 0,
        before: 0,
        after: 0,
        mid_side: false,
        ..info()
    };
    let bytes = write(&recording(info), &[end(24_000, &[0; 100])]).unwrap();
    assert!(bytes.len() <= 145, "{}", bytes.len());
}

#[test]
fn frames_and_chunks_follow_from_the_length() {
    let info = info();
    for (samples, frames, chunks) in [
        (0, 0, 1),
        (1, 1, 1),
        (588, 1, 1),
        (589, 2, 1),
        (44_100, 75, 1),
        (44_101, 76, 2),
    ] {
        assert_eq!(info.frames(samples), frames, "{samples}");
        assert_eq!(info.chunk_count(samples), chunks, "{samples}");
    }
    assert_eq!(
        (info.chunk_frames(0, 44_101), info.chunk_frames(1, 44_101)),
        (75, 1)
    );
    assert_eq!(info.chunk_frames(9, 44_101), 0);
    assert_eq!(info.frames(u64::MAX), 31_372_013_730_798_558);
    assert_eq!(
        (
            info.passes(),
            AudioInfo {
                channels: 5,
                model_channels: 2,
                ..info
            }
            .passes()
        ),
        (2, 3)
    );
}

#[test]
fn everything_comes_back_whole_and_in_pieces() {
    let bytes = rich();
    let file = parse(&bytes).unwrap();
    assert_eq!(file.header().audio().unwrap(), &info());
    assert!(file.header().image().is_err() && header().audio().is_err());
    assert_eq!(file.samples(), 88_201);
    let chunks: Vec<_> = file.chunks().collect();
    assert_eq!(chunks, [&[1; 30][..], &[2; 40], &[3, 4]]);
    let tags = take_tags(file.get(SectionId::TAGS).unwrap()).unwrap();
    assert_eq!(tags, [("title".to_owned(), "Air".to_owned())]);
    for size in [1, 7, 1000] {
        let parts = stream(&bytes, size).unwrap();
        let Some(Part::Header(header)) = parts.first() else {
            panic!("{parts:?}")
        };
        assert_eq!(header, file.header());
        let sections = file.sections().iter().map(|s| {
            Part::Section(Section {
                id: s.id,
                data: s.data.to_vec(),
            })
        });
        assert!(parts[1..].iter().cloned().eq(sections), "{size}");
    }
}

#[test]
fn every_flipped_byte_and_every_cut_is_an_error_both_ways() {
    let bytes = rich();
    for at in 0..bytes.len() {
        assert!(parse(&bytes[..at]).unwrap_err().is_truncated());
        assert!(stream(&bytes[..at], 16).unwrap_err().is_truncated(), "{at}");
        for flip in [1, 2, 0x40, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            for error in [
                parse(&damaged).unwrap_err(),
                stream(&damaged, 16).unwrap_err(),
            ] {
                let kinds = [
                    ErrorKind::Malformed,
                    ErrorKind::Unsupported,
                    ErrorKind::Limit,
                ];
                assert!(kinds.contains(&error.kind()), "{at} ^ {flip}: {error}");
            }
        }
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(stream(&longer, 5).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn chunks_must_fit_the_length() {
    let chunk = || section(SectionId::AUDIO_CHUNK, &[1]);
    let tags = || section(SectionId::TAGS, &[]);
    for sections in [
        vec![],
        vec![chunk()],
        vec![end(44_101, &[])],
        vec![chunk(), chunk(), end(44_101, &[])],
        vec![end(44_101, &[]), chunk()],
        vec![end(1, &[]), end(1, &[])],
        vec![section(SectionId::AUDIO_END, &[])],
        vec![section(SectionId::AUDIO_END, &[0x80])],
        vec![end(1, &[]), section(SectionId::IMAGE_TILE, &[])],
        vec![end(1, &[]), section(SectionId::ICC, &[])],
        vec![tags(), tags(), end(1, &[])],
    ] {
        let error = write(&recording(info()), &sections).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        let mut bytes = recording(info()).to_bytes().unwrap();
        for (index, section) in sections.iter().enumerate() {
            bytes.extend(section.to_bytes(index + 1 == sections.len()));
        }
        // Twice the same tags do no harm in a stream, whose reader keeps no account of them.
        if !sections.is_empty() {
            assert_eq!(parse(&bytes).unwrap_err().kind(), ErrorKind::Malformed);
            let error = stream(&bytes, 9).err();
            assert!(error.is_some() || sections.len() == 3);
        }
    }
    let picture = write(
        &header(),
        &[section(SectionId::IMAGE_TILE, &[1]), end(1, &[])],
    );
    assert_eq!(picture.unwrap_err().kind(), ErrorKind::Parameter);
}

#[test]
fn limits_hold() {
    let bytes = write(
        &recording(AudioInfo {
            chunk: 0,
            before: 0,
            after: 0,
            ..info()
        }),
        &[end(u64::MAX, &[])],
    )
    .unwrap();
    assert_eq!(parse(&bytes).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(stream(&bytes, 9).unwrap_err().kind(), ErrorKind::Limit);
    let many = AudioInfo {
        channels: 65_535,
        mid_side: false,
        ..info()
    };
    let bytes = write(&recording(many), &[end(1, &[])]).unwrap();
    assert_eq!(parse(&bytes).unwrap_err().kind(), ErrorKind::Limit);
    // A section of 2^63 bytes is refused before they come.
    let mut bytes = recording(info()).to_bytes().unwrap();
    bytes.push(0x43);
    wire::put_varint(&mut bytes, 1 << 63);
    assert_eq!(stream(&bytes, 9).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn bad_fields_are_refused() {
    let base = info();
    for info in [
        AudioInfo { rate: 0, ..base },
        AudioInfo {
            model_rate: 0,
            ..base
        },
        AudioInfo {
            channels: 0,
            ..base
        },
        AudioInfo {
            channels: 3,
            ..base
        },
        AudioInfo {
            model_channels: 2,
            ..base
        },
        AudioInfo {
            model_channels: 3,
            mid_side: false,
            ..base
        },
        AudioInfo { hop: 0, ..base },
        AudioInfo { before: 76, ..base },
        AudioInfo { chunk: 0, ..base },
    ] {
        let error = recording(info).to_bytes().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter, "{info:?}");
    }
    let reseal = |at: usize, value: u8| {
        let mut bytes = recording(base).to_bytes().unwrap();
        bytes[at] = value;
        let body = bytes.len() - 2;
        let check = wire::crc16(&bytes[..body]).to_le_bytes();
        bytes[body..].copy_from_slice(&check);
        Header::parse_prefix(&bytes).map_err(|error| error.kind())
    };
    assert_eq!(reseal(5, 0b1010_1001), Err(ErrorKind::Unsupported));
    assert_eq!(reseal(30, 0), Err(ErrorKind::Malformed)); // no channel
    assert_eq!(reseal(35, 90), Err(ErrorKind::Malformed)); // more context than chunk
    assert!(reseal(34, 74).is_ok());
}

#[test]
fn passes_and_tags_come_apart() {
    for payloads in [
        vec![vec![1, 2], vec![], vec![3]],
        vec![vec![9; 200], vec![8]],
        vec![vec![]],
    ] {
        let data = join_passes(&payloads);
        let split = split_passes(&data, payloads.len()).unwrap();
        assert!(split.iter().copied().eq(payloads.iter().map(Vec::as_slice)));
    }
    for data in [&[][..], &[5, 1], &[0x80]] {
        assert_eq!(
            split_passes(data, 2).unwrap_err().kind(),
            ErrorKind::Malformed
        );
    }
    for data in [&[1][..], &[1, b'a'], &[1, b'a', 2, b'b']] {
        assert_eq!(take_tags(data).unwrap_err().kind(), ErrorKind::Malformed);
    }
}

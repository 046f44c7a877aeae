//! Recordings whose check values are right and whose contents are anything: whole and in pieces they come to the same, and
//! what they say of chunks and lengths is counted without overflow.
#![no_main]

use codec_core::container::{
    AudioEnd, AudioInfo, Container, Header, Media, Part, Profile, Section, SectionId, StreamReader,
    join_passes, split_passes, take_tags,
};
use codec_core::{Depth, Digest, Limits};
use libfuzzer_sys::fuzz_target;

/// Fields of a header, then sections by number, flag and data, the length of the pieces, and a length in samples.
type Input = ([u32; 6], [u16; 3], u8, Vec<(u8, bool, Vec<u8>)>, u8, u64);

fuzz_target!(|input: Input| {
    let (numbers, small, flags, sections, size, samples) = input;
    let [rate, model_rate, hop, chunk, before, after] = numbers;
    let [channels, step, quality] = small;
    let info = AudioInfo {
        rate,
        channels,
        depth: Depth::ALL[usize::from(flags >> 2) % Depth::ALL.len()].0,
        mid_side: flags & 1 != 0,
        model_rate,
        model_channels: 1 + u16::from(flags >> 1 & 1),
        hop,
        step,
        chunk,
        before,
        after,
    };
    let header = Header {
        model: "fuzz/v1".into(),
        digest: Digest([1; 8]),
        profile: Profile::Portable,
        quality,
        media: Media::Audio(info),
    };
    let Ok(mut bytes) = header.to_bytes() else {
        return;
    };
    let (read, length) = Header::parse_prefix(&bytes).expect("what was written is read");
    assert!(length == bytes.len() && read.audio().is_ok_and(|read| chunk == 0 || *read == info));
    for index in [0, 1, u64::MAX] {
        let frames = info.chunk_frames(index, samples);
        assert!(frames <= info.frames(samples) && info.chunk_count(samples) > 0);
    }
    let ids = [
        SectionId::AUDIO_CHUNK,
        SectionId::AUDIO_END,
        SectionId::TAGS,
    ];
    let last = sections.len().saturating_sub(1);
    for (number, (id, required, data)) in sections.into_iter().enumerate() {
        let id = match ids.get(usize::from(id)) {
            Some(id) => *id,
            None => match SectionId::new(id % 63, required).ok() {
                Some(id) => id,
                None => continue,
            },
        };
        if let Ok(end) = AudioEnd::parse(&data) {
            let again = end.to_bytes();
            let again = AudioEnd::parse(&again).expect("what was written is read");
            assert_eq!(again, end);
        }
        for passes in 1..4 {
            if let Ok(payloads) = split_passes(&data, passes) {
                let payloads: Vec<Vec<u8>> = payloads.iter().map(|p| p.to_vec()).collect();
                let again = join_passes(&payloads);
                let back = split_passes(&again, passes).expect("what was joined is split");
                assert!(back.iter().eq(&payloads));
            }
        }
        let _ = take_tags(&data);
        bytes.extend(Section { id, data }.to_bytes(number == last));
    }
    let limits = Limits::default();
    let mut reader = StreamReader::new(&limits);
    let mut streamed = Vec::new();
    let mut stream = || {
        for piece in bytes.chunks(usize::from(size).max(1)) {
            reader.push(piece);
            while let Some(part) = reader.next_part()? {
                if let Part::Section(section) = part {
                    streamed.push(section);
                }
            }
        }
        reader.finish()
    };
    let result = stream();
    if let Ok(file) = Container::parse(&bytes, &limits) {
        result.expect("a valid file comes in pieces");
        let whole = file.sections().iter().map(|s| (s.id, s.data));
        assert!(whole.eq(streamed.iter().map(|s| (s.id, s.data.as_slice()))));
        assert_eq!(file.chunks().count() as u64, info.chunk_count(file.samples()));
    }
});

//! Recordings that come in pieces: parts or a typed error, and what comes whole is what comes in pieces.
#![no_main]

use codec_core::Limits;
use codec_core::container::{Container, Part, StreamReader, split_passes, take_tags};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let limits = Limits::default();
    let mut reader = StreamReader::new(&limits);
    let mut sections = Vec::new();
    let mut stream = || {
        for piece in bytes.chunks(usize::from(size).max(1)) {
            reader.push(piece);
            while let Some(part) = reader.next_part()? {
                if let Part::Section(section) = part {
                    let _ = split_passes(&section.data, 3);
                    let _ = take_tags(&section.data);
                    sections.push(section);
                }
            }
        }
        reader.finish()
    };
    let streamed = stream();
    match Container::parse(bytes, &limits) {
        Ok(file) if file.header().audio().is_ok() => {
            streamed.expect("a valid file comes in pieces");
            let whole = file.sections().iter().map(|s| (s.id, s.data));
            assert!(whole.eq(sections.iter().map(|s| (s.id, s.data.as_slice()))));
        }
        _ => {}
    }
});

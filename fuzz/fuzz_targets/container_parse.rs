//! Any bytes parse to a container or a typed error; what parses is written back to the same bytes.
#![no_main]

use codec_core::Limits;
use codec_core::container::{self, Container, Section};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = Container::parse(bytes, &Limits::default()) else {
        return;
    };
    let sections: Vec<_> = file
        .sections()
        .iter()
        .map(|section| Section {
            id: section.id,
            data: section.data.to_vec(),
        })
        .collect();
    // One spelling per file: writing what was read gives the same bytes.
    let again = container::write(file.header(), &sections).expect("a parsed file can be written");
    assert_eq!(again, bytes);
});

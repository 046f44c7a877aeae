//! Damaged files: always a typed error, never an output.

use codec::{Codec, ErrorKind, Limits};
use codec_tests::picture::{Kind, photo, picture};
use codec_tests::{devices, model};

use crate::sandbox;

/// Positions spread over a file, its ends among them.
fn positions(length: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |i| i * (length - 1) / (count - 1))
}

#[test]
fn the_program_refuses_truncated_and_flipped_files() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &picture(33, 17, Kind::ALL[3]));
    sandbox.tiny("encode a.png").ends_in(0);
    let bytes = sandbox.get("a.ncx");
    for length in positions(bytes.len(), 25) {
        sandbox.put("bad.ncx", &bytes[..length]);
        sandbox.tiny("decode bad.ncx").ends_in(3);
        sandbox.run("info bad.ncx").ends_in(3);
    }
    for at in (0..40).chain(positions(bytes.len(), 20)) {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        sandbox.put("bad.ncx", &bad);
        let run = sandbox.tiny("decode bad.ncx");
        assert!(
            run.status == 3 || run.status == 4,
            "byte {at}: status {}: {}",
            run.status,
            run.stderr
        );
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    }
    let mut longer = bytes;
    longer.push(0);
    sandbox.put("bad.ncx", &longer);
    sandbox.tiny("decode bad.ncx").ends_in(3);
    assert_eq!(sandbox.names(), ["a.ncx", "a.png", "bad.ncx"]);
}

#[test]
fn every_truncation_and_every_flipped_bit_is_an_error() {
    let sandbox = sandbox();
    sandbox.put_picture("a.png", &photo(33, 17));
    sandbox.tiny("encode a.png -q 20").ends_in(0);
    let bytes = sandbox.get("a.ncx");
    let header = codec::header(&bytes).expect("a header");
    let codec = Codec::for_file(&header, Some(model::tiny()), &devices::cpu()).expect("opens");
    let decode = |bytes: &[u8]| {
        let result = codec.decode(bytes, &Limits::default(), &mut |_, _| ());
        result.map(|_| ()).map_err(|error| error.kind())
    };
    assert_eq!(decode(&bytes), Ok(()));
    for length in 0..bytes.len() {
        assert_eq!(
            decode(&bytes[..length]),
            Err(ErrorKind::Malformed),
            "{length} bytes"
        );
    }
    for bit in 0..8 * bytes.len() {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let kind = decode(&bad).expect_err("damage is found");
        assert!(
            matches!(kind, ErrorKind::Malformed | ErrorKind::Unsupported),
            "bit {bit}: {kind:?}"
        );
    }
}

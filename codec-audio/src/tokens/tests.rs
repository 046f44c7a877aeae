use codec_core::Digest;
use codec_core::container::Profile;

use super::*;
use crate::coder::TokenCoder;
use crate::file::testing::{HOP, Toy, sound};

fn model() -> ModelId {
    ModelId {
        name: "toy/1".into(),
        digest: Digest([1; 8]),
        profile: Profile::Portable,
    }
}

fn toy(channels: u16, whole: bool) -> TokenCoder<Toy> {
    TokenCoder(Toy::new(channels, whole))
}

fn codes(toy: &TokenCoder<Toy>, sound: &Sound, count: Option<usize>) -> Tokens {
    tokenize(toy, &model(), sound, count).unwrap()
}

#[test]
fn tokens_do_not_depend_on_the_pieces() {
    for (rate, channels, samples) in [(16_000, 1, 190_001), (44_100, 2, 500_000), (8000, 1, 0)] {
        let (toy, original) = (toy(1, false), sound(rate, channels, samples));
        let (model, wanted) = (model(), codes(&toy, &original, None));
        for piece in [4001, 1 << 20] {
            let mut stream = TokenStream::new(&toy, &model, rate, channels, None).unwrap();
            for start in (0..samples).step_by(piece) {
                let range = start..samples.min(start + piece);
                let parts = original.channels.iter().map(|c| &c[range.clone()]);
                stream.push(&parts.collect::<Vec<_>>()).unwrap();
            }
            assert_eq!(stream.finish().unwrap(), wanted);
        }
        assert!(toy.0.longest.get() < 16_000 * 10 + 100);
    }
    let (toy, model) = (toy(1, false), model());
    let mut stream = TokenStream::new(&toy, &model, 16_000, 2, None).unwrap();
    assert!(stream.push(&[&[0.0]]).is_err());
    assert!(stream.push(&[&[0.0], &[0.0, 0.0]]).is_err());
}

#[test]
fn batches_give_the_tokens_of_each() {
    let lengths = [100, 0, 16_000 * 11, 1, 50_001, 100];
    let mut sounds: Vec<Sound> = lengths.map(|samples| sound(16_000, 1, samples)).into();
    sounds.push(sound(44_100, 2, 30_000));
    let batch: Vec<&Sound> = sounds.iter().collect();
    for whole in [false, true] {
        let toy = toy(1, whole);
        for seconds in [0.0, 5.0, 1e6] {
            let found = tokenize_batch(&toy, &model(), &batch, Some(1), seconds);
            assert_eq!(found.len(), batch.len());
            for (found, sound) in found.into_iter().zip(&batch) {
                assert_eq!(found.unwrap(), codes(&toy, sound, Some(1)));
            }
        }
    }
}

#[test]
fn a_recording_that_fails_leaves_the_others() {
    let toy = toy(1, true);
    let (good, long) = (sound(16_000, 1, 100), sound(1000, 1, 601_000));
    let found = tokenize_batch(&toy, &model(), &[&good, &long, &good], None, 60.0);
    assert_eq!(found[1].as_ref().unwrap_err().kind().exit_status(), 6);
    assert_eq!(found[2].as_ref().unwrap(), &codes(&toy, &good, None));
    let found = tokenize_batch(&toy, &model(), &[&good], Some(3), 60.0);
    assert!(found[0].is_err());
}

#[test]
fn codes_of_chunks_are_those_of_one_pass() {
    let (limited, whole) = (toy(1, false), toy(1, true));
    for samples in [0, 1, HOP, 16_000 * 10, 16_000 * 10 + 1, 16_000 * 25] {
        let sound = sound(16_000, 1, samples);
        let tokens = codes(&limited, &sound, None);
        assert_eq!(tokens.shape(), [2, samples.div_ceil(HOP)]);
        assert_eq!(tokens, codes(&whole, &sound, None));
        let limits = Limits::default();
        let back = detokenize(&limited, &tokens, &limits).unwrap();
        assert_eq!(back.samples(), samples);
        assert_eq!(back, detokenize(&whole, &tokens, &limits).unwrap());
    }
    assert!(limited.0.longest.get() < 16_000 * 10 + 100);
}

#[test]
fn rates_channels_and_codebooks() {
    for (rate, source, model, kept) in [
        (44_100, 2, 1, 1),
        (8000, 1, 2, 1),
        (16_000, 2, 2, 2),
        (48_000, 8, 2, 1),
    ] {
        let toy = toy(model, false);
        let original = sound(rate, source, 3001);
        let tokens = codes(&toy, &original, Some(1));
        assert_eq!(tokens.codebooks(), 1);
        let back = detokenize(&toy, &tokens, &Limits::default()).unwrap();
        assert_eq!(
            (back.rate, back.channels.len(), back.samples()),
            (rate, kept, 3001)
        );
    }
    let toy = toy(1, false);
    let original = sound(16_000, 1, 100);
    for count in [0, 3] {
        assert!(tokenize(&toy, &model(), &original, Some(count)).is_err());
    }
}

#[test]
fn tokens_that_do_not_fit_are_refused() {
    let toy = toy(1, false);
    let tokens = codes(&toy, &sound(16_000, 1, 100), None);
    let with = |change: fn(&mut Media)| {
        let mut changed = tokens.clone();
        change(&mut changed.media);
        detokenize(&toy, &changed, &Limits::default())
            .unwrap_err()
            .kind()
            .exit_status()
    };
    assert_eq!(
        with(|m| if let Media::Audio { samples, .. } = m {
            *samples = 101
        }),
        3
    );
    assert_eq!(
        with(|m| if let Media::Audio { samples, .. } = m {
            *samples = u64::MAX
        }),
        6
    );
    assert_eq!(
        with(|m| if let Media::Audio { hop, .. } = m {
            *hop = 5
        }),
        3
    );
    assert_eq!(
        with(|m| if let Media::Audio { channels, .. } = m {
            *channels = 2
        }),
        3
    );
    assert_eq!(
        with(|m| if let Media::Audio { rate, .. } = m {
            *rate = 1
        }),
        3
    );
    assert_eq!(
        with(|m| *m = Media::Image {
            width: 1,
            height: 1
        }),
        3
    );
    let values = tokens.codes().iter().map(|&code| code as i32).collect();
    let latents = Tokens::of_latents(
        values,
        tokens.shape().to_vec(),
        1 << 20,
        tokens.model.clone(),
        tokens.digest,
        tokens.media,
    )
    .unwrap();
    let refused = detokenize(&toy, &latents, &Limits::default()).unwrap_err();
    assert_eq!(refused.kind().exit_status(), 3);
}

use burn_flex::{Flex, FlexDevice};

use super::*;
use crate::models::seanet::{Norm, SeanetConfig};
use crate::models::testing::{batches, random_model, round_trips};

fn config(wide: bool) -> EncodecConfig {
    EncodecConfig {
        seanet: SeanetConfig {
            channels: if wide { 2 } else { 1 },
            dimension: 6,
            n_filters: 4,
            n_residual_layers: 2,
            ratios: vec![4, 2],
            kernel_size: 7,
            last_kernel_size: 5,
            residual_kernel_size: 3,
            dilation_base: 2,
            compress: 2,
            lstm: 2,
            true_skip: false,
            pad_mode: "reflect".into(),
            norm: if wide {
                Norm::TimeGroupNorm
            } else {
                Norm::WeightNorm
            },
            causal: !wide,
            trim_right_ratio: 1.0,
        },
        sample_rate: 800,
        n_q: 4,
        bins: 16,
        target_bandwidths: vec![0.4, 0.8, 1.6],
        normalize: wide,
        segment: wide.then_some(0.25),
        overlap: 0.01,
    }
}

#[test]
fn files_keep_their_length() {
    for wide in [false, true] {
        let model = random_model::<Encodec>(config(wide));
        let coder = Encodec::coder::<Flex>(&model, &FlexDevice).unwrap();
        assert_eq!(coder.format().steps, [1, 2, 4]);
        round_trips(coder.as_ref(), &[1, 8, 9, 198, 201, 500]);
    }
}

#[test]
fn batches_are_the_recordings() {
    let narrow = config(false);
    // Not causal and with other ends, too, whatever has been published.
    let zeros = SeanetConfig {
        pad_mode: "constant".into(),
        causal: false,
        ..narrow.seanet.clone()
    };
    let edges = SeanetConfig {
        pad_mode: "replicate".into(),
        norm: Norm::TimeGroupNorm,
        ..narrow.seanet.clone()
    };
    for seanet in [narrow.seanet.clone(), zeros, edges] {
        let config = EncodecConfig {
            seanet,
            ..narrow.clone()
        };
        let model = random_model::<Encodec>(config);
        batches(&model, &[300, 1, 8, 0, 9, 301, 2000, 300]);
        batches(&model, &[77, 77]);
    }
}

#[test]
fn the_configuration_follows_from_the_tensors() {
    for wide in [false, true] {
        let model = random_model::<Encodec>(config(wide));
        let own = serde_json::to_value(&model.config).unwrap();
        let found = Encodec::configure(&model.tensors, Some(&own)).unwrap();
        assert_eq!(found, model.config);
        // Without a configuration it is taken for a published one.
        let found = Encodec::configure(&model.tensors, None).unwrap();
        assert_eq!(found.seanet, model.config.seanet);
        assert_eq!(found.segment, wide.then_some(1.0));
        let wrong = serde_json::json!({"ratios": [2, 4]});
        assert!(Encodec::configure(&model.tensors, Some(&wrong)).is_err());
    }
}

#[test]
fn published_bitrates() {
    let narrow = EncodecConfig {
        sample_rate: 24_000,
        n_q: 32,
        bins: 1024,
        seanet: SeanetConfig {
            ratios: vec![8, 5, 4, 2],
            ..config(false).seanet
        },
        target_bandwidths: vec![1.5, 3.0, 6.0, 12.0, 24.0],
        ..config(false)
    };
    assert_eq!(narrow.format().steps, [2, 4, 8, 16, 32]);
    // 750 bit/s each; 4.5 kbit/s less than can be told in 32 bits.
    assert_eq!(narrow.codebooks_for(4.499_999_8), 6);
    assert_eq!(narrow.codebooks_for(4.49), 5);
    let wide = EncodecConfig {
        sample_rate: 48_000,
        n_q: 16,
        segment: Some(1.0),
        target_bandwidths: vec![3.0, 6.0, 12.0, 24.0],
        ..narrow
    };
    assert_eq!(wide.format().steps, [2, 4, 8, 16]);
    assert_eq!(
        (wide.segment_length(), wide.segment_stride()),
        (Some(48_000), 47_520)
    );
}

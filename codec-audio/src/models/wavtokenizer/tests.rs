use burn_flex::{Flex, FlexDevice};

use super::*;
use crate::models::seanet::{Norm, SeanetConfig};
use crate::models::testing::{batches, random_model, round_trips};

fn config() -> WavtokenizerConfig {
    WavtokenizerConfig {
        sample_rate: 24_000,
        encoder: SeanetConfig {
            channels: 1,
            dimension: 6,
            n_filters: 4,
            n_residual_layers: 1,
            ratios: vec![5, 2],
            kernel_size: 7,
            last_kernel_size: 7,
            residual_kernel_size: 3,
            dilation_base: 2,
            compress: 2,
            lstm: 2,
            true_skip: false,
            pad_mode: "reflect".into(),
            norm: Norm::WeightNorm,
            causal: false,
            trim_right_ratio: 1.0,
        },
        bins: 16,
        backbone: BackboneConfig {
            input_channels: 6,
            dim: 32,
            intermediate_dim: 40,
            num_layers: 2,
            adanorm_num_embeddings: Some(3),
        },
        head: HeadConfig {
            dim: 32,
            n_fft: 40,
            hop_length: 10,
            padding: "same".into(),
        },
    }
}

#[test]
fn files_keep_their_length() {
    let model = random_model::<Wavtokenizer>(config());
    let coder = Wavtokenizer::coder::<Flex>(&model, &FlexDevice).unwrap();
    round_trips(coder.as_ref(), &[1, 9, 10, 11, 257]);
}

#[test]
fn batches_are_the_recordings() {
    let model = random_model::<Wavtokenizer>(config());
    batches(&model, &[300, 1, 10, 0, 9, 301, 2000, 300]);
    batches(&model, &[77, 77]);
}

#[test]
fn the_configuration_follows_from_the_tensors() {
    let model = random_model::<Wavtokenizer>(config());
    let found = Wavtokenizer::configure(&model.tensors, None).unwrap();
    assert_eq!(found, model.config);
    let own = serde_json::to_value(&found).unwrap();
    let again = Wavtokenizer::configure(&model.tensors, Some(&own)).unwrap();
    assert_eq!(again, found);
    let yaml = serde_json::json!({"model": {"init_args": {
        "sample_rate": 16000,
        "feature_extractor": {"init_args": {"dowmsamples": [5, 2]}},
        "head": {"init_args": {"padding": "center"}},
    }}});
    let given = Wavtokenizer::configure(&model.tensors, Some(&yaml)).unwrap();
    assert_eq!((given.sample_rate, given.head.cut()), (16_000, 20));
    let wrong = serde_json::json!({"model": {"init_args": {
        "feature_extractor": {"init_args": {"dowmsamples": [2, 5]}},
    }}});
    assert!(Wavtokenizer::configure(&model.tensors, Some(&wrong)).is_err());
}

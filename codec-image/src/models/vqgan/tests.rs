use burn::backend::Flex;
use codec_core::Digest;
use codec_core::index_context::{ContextConfig, ContextNetwork, IndexGrid};
use codec_core::index_restorer::{Restorer, RestorerConfig};
use codec_core::weights::{HostTensor, Start, WeightsFile};
use serde_json::json;

use super::*;
use crate::coder::{Quality, Rates, RgbTile, TileOptions};
use crate::models::testing::{picture, random_model};
use crate::tokens::{Format, Layout, Media, Tokens};

fn config(quantizer: Kind) -> VqganConfig {
    let projected = quantizer == Kind::Projected;
    VqganConfig {
        quantizer,
        n_embed: 40,
        embed_dim: if quantizer == Kind::Gumbel { 8 } else { 6 },
        codebook_dim: projected.then_some(5),
        use_cblinear: projected.then_some(2),
        cb_hidden: projected.then_some(7),
        tuning_codebook: None,
        levels: Vec::new(),
        ddconfig: NetworkConfig {
            double_z: false,
            z_channels: 8,
            resolution: 64,
            in_channels: 3,
            out_ch: 3,
            ch: 32,
            ch_mult: vec![1, 2, 1],
            num_res_blocks: 1,
            attn_resolutions: vec![32],
        },
        clusters: Vec::new(),
        context: None,
        restorer: None,
    }
}

/// Random weights; normalizations and codebooks in the range that training gives them.
fn model(quantizer: Kind) -> Model<Vqgan> {
    random_model(config(quantizer), |name, random| {
        let value = random.next();
        let wide = name.ends_with("embedding.weight") || name.ends_with("embed.weight");
        if name.contains("norm") && name.ends_with(".weight") {
            Some(1.0 + 0.2 * value)
        } else if wide || name == "tok_embeddings.weight" {
            Some(2.0 * value)
        } else {
            None
        }
    })
}

fn coder(model: &Model<Vqgan>) -> Box<dyn ImageCoder> {
    Vqgan::coder::<Flex>(model, &Default::default()).unwrap()
}

const OPTIONS: TileOptions = TileOptions {
    quality: Quality::FIXED,
    effort: 7,
};
const KINDS: [Kind; 4] = [Kind::Straight, Kind::Gumbel, Kind::Projected, Kind::Sim];

#[test]
fn every_size_comes_back_through_files_and_tokens() {
    for kind in KINDS {
        let model = model(kind);
        let coder = coder(&model);
        assert_eq!(coder.rates(), Rates::Fixed);
        let tokenizer = coder.tokenizer().unwrap();
        for (width, height) in [(1, 1), (17, 6), (24, 32)] {
            let samples = picture(width, height);
            let tile = RgbTile {
                width,
                height,
                samples: &samples,
            };
            let bytes = coder.encode_tile(tile, OPTIONS).unwrap().bytes;
            let decode = |bytes: &[u8]| coder.decode_tile(bytes, width, height, Quality::FIXED);
            let decoded = decode(&bytes).unwrap().samples;
            assert_eq!(decoded.len(), samples.len());

            let tokens = tokenizer.tokenize(tile).unwrap();
            assert_eq!(tokens.shape(), [1, height.div_ceil(4), width.div_ceil(4)]);
            assert_eq!(tokens.codebook_size(), 40);
            let file = Format::Npy.write(&tokens, Layout::Time).unwrap();
            let read = Format::read(&file).unwrap();
            assert_eq!(tokenizer.detokenize(&read).unwrap(), decoded, "{kind:?}");

            for cut in 0..bytes.len() {
                let error = decode(&bytes[..cut]).unwrap_err();
                assert_eq!(error.kind().exit_status(), 3, "{error}");
            }
            assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        assert!(coder.decode_tile(&[0], 0, 4, Quality::FIXED).is_err());
        let short = RgbTile {
            width: 4,
            height: 4,
            samples: &[0; 47],
        };
        assert!(coder.encode_tile(short, OPTIONS).is_err());
    }
}

#[test]
fn pictures_use_more_than_one_code() {
    for kind in KINDS {
        let samples = picture(64, 64);
        let tile = RgbTile {
            width: 64,
            height: 64,
            samples: &samples,
        };
        let coder = coder(&model(kind));
        let tokens = coder.tokenizer().unwrap().tokenize(tile).unwrap();
        let mut codes = tokens.codes().to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert!(codes.len() > 2, "{kind:?}: {codes:?}");
    }
}

#[test]
fn foreign_tokens_are_refused() {
    let coder = coder(&model(Kind::Straight));
    let tokenizer = coder.tokenizer().unwrap();
    let tokens = |shape: &[usize], size, media| {
        let codes = vec![0; shape.iter().product()];
        let name = "test/random".to_owned();
        Tokens::new(
            codes,
            shape.to_vec(),
            size,
            name,
            codec_core::Digest([7; 8]),
            media,
        )
        .unwrap()
    };
    let image = |width, height| Media::Image { width, height };
    let sound = Media::Audio {
        rate: 1,
        samples: 8,
        channels: 1,
        hop: 4,
    };
    assert!(
        tokenizer
            .detokenize(&tokens(&[1, 2, 1], 40, image(4, 8)))
            .is_ok()
    );
    for wrong in [
        tokens(&[1, 1, 2], 40, image(4, 8)),
        tokens(&[2, 2, 1], 40, image(4, 8)),
        tokens(&[1, 2, 1], 41, image(4, 8)),
        tokens(&[1, 2, 1], 40, image(0, 8)),
        tokens(&[1, 2], 40, sound),
        tokens(&[1, 2, 1], 40, image(u32::MAX, u32::MAX)),
    ] {
        assert!(tokenizer.detokenize(&wrong).is_err());
    }
}

#[test]
fn smaller_codebooks_make_smaller_files() {
    let mut model = model(Kind::Straight);
    let rows = model.tensors.get("quantize.embedding.weight").unwrap();
    let rows = rows.as_floats().unwrap().to_vec();
    for size in [4, 16] {
        let smaller = rows[..size * 6].to_vec();
        let smaller = HostTensor::floats(&[size, 6], smaller).unwrap();
        std::sync::Arc::make_mut(&mut model.tensors).insert(format!("codebook.{size}"), smaller);
    }
    model.config = VqganConfig::new(&model.tensors, None).unwrap();
    assert_eq!(model.config.clusters, [16, 4]);
    let coder = coder(&model);
    assert_eq!(coder.rates(), Rates::Variable);
    let samples = picture(64, 48);
    let tile = RgbTile {
        width: 64,
        height: 48,
        samples: &samples,
    };
    let mut lengths = Vec::new();
    for quality in [100.0, 50.0, 0.0] {
        let quality = Quality::new(quality).unwrap();
        let options = TileOptions { quality, ..OPTIONS };
        let bytes = coder.encode_tile(tile, options).unwrap().bytes;
        assert!(coder.decode_tile(&bytes, 64, 48, quality).is_ok());
        lengths.push(bytes.len());
    }
    assert!(lengths.is_sorted_by(|a, b| a > b), "{lengths:?}");
}

#[test]
fn what_was_learned_of_codes_is_used() {
    let mut model = model(Kind::Straight);
    let plain = coder(&model);
    let config = ContextConfig {
        rows: 1,
        columns: 1,
        embedding: 4,
        width: 8,
        ..ContextConfig::pictures(40)
    };
    let context = ContextNetwork::<Flex>::init(&config, &Default::default());
    let context = context.export(&config, &[(0..40).collect()]).unwrap();
    let restorer = RestorerConfig {
        codes: 40,
        row: 6,
        side: 4,
        width: 8,
        heads: 2,
        blocks: 1,
    };
    let start = Start::new(1, |loader| Restorer::<Flex>::load(&restorer, loader)).unwrap();
    let tensors = std::sync::Arc::make_mut(&mut model.tensors);
    for (name, tensor) in context.tensors().unwrap().iter() {
        tensors.insert(format!("context.{name}"), tensor.clone());
    }
    for (name, tensor) in start.tensors().iter() {
        tensors.insert(format!("restorer.{name}"), tensor.clone());
    }
    model.config.context = Some(config);
    model.config.restorer = Some(restorer);
    let given = serde_json::to_value(&model.config).unwrap();
    assert_eq!(
        VqganConfig::new(&model.tensors, Some(&given)).unwrap(),
        model.config
    );
    let learned = coder(&model);
    let (width, height) = (36, 28);
    let samples = picture(width, height);
    let tile = RgbTile {
        width,
        height,
        samples: &samples,
    };
    // Whatever form is the shortest, the codes are the same.
    let decode = |coder: &dyn ImageCoder, bytes: &[u8]| {
        coder
            .decode_tile(bytes, width, height, Quality::FIXED)
            .map(|tile| tile.samples)
    };
    let bytes = |coder: &dyn ImageCoder| coder.encode_tile(tile, OPTIONS).unwrap().bytes;
    let (with, without) = (bytes(learned.as_ref()), bytes(plain.as_ref()));
    assert!(with.len() <= without.len());
    let expected = decode(plain.as_ref(), &without).unwrap();
    assert_eq!(decode(learned.as_ref(), &with).unwrap(), expected);
    assert_eq!(decode(learned.as_ref(), &without).unwrap(), expected);
    // A stream of the context model is read by the model that has it, and by no other.
    let tokens = learned.tokenizer().unwrap().tokenize(tile).unwrap();
    let grid = IndexGrid {
        codebooks: 1,
        height: tokens.shape()[1],
        width: tokens.shape()[2],
    };
    let stream = context.encode(tokens.codes(), grid).unwrap();
    assert_eq!(decode(learned.as_ref(), &stream).unwrap(), expected);
    assert!(decode(plain.as_ref(), &stream).is_err());

    let lost = (0..tokens.codes().len()).map(|i| i % 4 == 0).collect();
    let damaged = tokens.clone().with_lost(lost).unwrap();
    assert!(plain.tokenizer().unwrap().restore(&damaged).is_err());
    let restored = learned.tokenizer().unwrap().restore(&damaged).unwrap();
    assert!(restored.lost().is_empty());
    let pairs = restored.codes().iter().zip(tokens.codes()).enumerate();
    assert!(pairs.into_iter().all(|(i, (a, b))| i % 4 == 0 || a == b));
}

#[test]
fn checkpoints_tell_their_configuration() {
    for kind in KINDS {
        let model = model(kind);
        assert!(Vqgan::recognize(&model.tensors));
        let mut found = VqganConfig::new(&model.tensors, None).unwrap();
        // Only the training resolution is in no shape.
        assert_eq!(found.ddconfig.resolution, 256);
        assert_eq!(found.ddconfig.attn_resolutions, [128]);
        found.ddconfig.resolution = 64;
        found.ddconfig.attn_resolutions = vec![32];
        assert_eq!(found, model.config);

        let params = serde_json::to_value(&model.config).unwrap();
        let lightning = json!({"model": {"base_learning_rate": 4.5e-6, "params": params}});
        for given in [params, lightning] {
            let imported =
                Model::<Vqgan>::import(model.tensors.as_ref().clone(), Some(&given), "a/b", "test")
                    .unwrap();
            assert!(imported.report.is_complete() && imported.report.unused.is_empty());
            let again = VqganConfig::new(&model.tensors, Some(&imported.file.config)).unwrap();
            assert_eq!(again, model.config);
        }
    }
}

#[test]
fn what_contradicts_the_tensors_is_refused() {
    let model = model(Kind::Straight);
    for given in [
        json!({"n_embed": 41}),
        json!({"embed_dim": 7}),
        json!({"quantizer": "gumbel"}),
        json!({"n_embed": "many"}),
        json!({"ddconfig": {"ch": 64}}),
        json!({"ddconfig": {"ch_mult": [1, 2]}}),
        json!({"ddconfig": {"num_res_blocks": 2}}),
        json!({"ddconfig": {"z_channels": 9}}),
        json!({"ddconfig": {"resolution": 64, "attn_resolutions": [16]}}),
        json!({"ddconfig": {"resolution": 128, "attn_resolutions": [32]}}),
        json!({"model": {"params": {"n_embed": 41}}}),
    ] {
        let error = VqganConfig::new(&model.tensors, Some(&given)).unwrap_err();
        assert_eq!(error.kind().exit_status(), 2, "{given}: {error}");
    }
    for name in [
        "quantize.embedding.weight",
        "quant_conv.weight",
        "encoder.conv_in.weight",
        "decoder.conv_in.weight",
        "encoder.down.0.block.0.conv1.weight",
    ] {
        let mut tensors = model.tensors.as_ref().clone();
        tensors.remove(name);
        assert!(VqganConfig::new(&tensors, None).is_err(), "{name}");
        for shape in [&[][..], &[1 << 15], &[31, 3, 3, 3], &[0, 3, 3, 3], &[1, 0]] {
            let zeros = vec![0.0; shape.iter().product()];
            tensors.insert(name, HostTensor::floats(shape, zeros).unwrap());
            assert!(
                VqganConfig::new(&tensors, None).is_err(),
                "{name} {shape:?}"
            );
        }
    }
}

#[test]
fn levels_are_trained_and_kept() {
    let levels = vec![5, 4, 3];
    let fresh = VqganConfig {
        levels: levels.clone(),
        ..config(Kind::Finite)
    };
    let fresh = Fresh::new(&fresh, 3).unwrap();
    assert_eq!((fresh.config().n_embed, fresh.config().embed_dim), (60, 3));
    let network = fresh.init::<Flex>(&Default::default());
    let tensors = fresh.export(&network).unwrap();
    let read = VqganConfig::new(&tensors, None).unwrap();
    assert_eq!((read.quantizer, &read.levels), (Kind::Finite, &levels));
    let file = WeightsFile {
        family: Vqgan::NAME.into(),
        name: "test/finite".into(),
        config: serde_json::to_value(fresh.config()).unwrap(),
        source: "test".into(),
        tensors: tensors.clone(),
    };
    let bytes = file.to_bytes().unwrap();
    let digest = Digest::of(&bytes);
    let model = Model::new(WeightsFile::from_bytes(&bytes).unwrap(), digest).unwrap();
    let coder = coder(&model);
    let (samples, width, height) = (picture(24, 16), 24, 16);
    let tile = RgbTile {
        samples: &samples,
        width,
        height,
    };
    let tokenizer = coder.tokenizer().unwrap();
    let tokens = tokenizer.tokenize(tile).unwrap();
    let encoded = coder.encode_tile(tile, OPTIONS).unwrap();
    let decoded = coder.decode_tile(&encoded.bytes, width, height, Quality::FIXED);
    assert_eq!(
        decoded.unwrap().samples,
        tokenizer.detokenize(&tokens).unwrap()
    );

    let mut other = tensors;
    let rows = HostTensor::floats(&[60, 3], vec![0.25; 180]).unwrap();
    other.insert("quantize.grid", rows);
    assert!(VqganConfig::new(&other, None).is_err());
    for levels in [vec![], vec![0, 3], vec![1 << 30, 1 << 30]] {
        let config = VqganConfig {
            levels,
            ..config(Kind::Finite)
        };
        assert!(Fresh::new(&config, 3).is_err());
    }
}

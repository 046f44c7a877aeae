//! Files of real sizes, training and export. Parity with the authors' reference is tested with that of the other families.

use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};
use burn_flex::Flex;
use codec_core::Limits;
use codec_core::container::{Color, Container, Profile};
use codec_core::layers::Rounding;
use codec_core::weights::WeightsFile;

use super::model::{crop, pad};
use super::{Coder, Walloc, WallocConfig, export, pack};
use crate::coder::{Quality, RgbTile, TileOptions};
use crate::file::{EncodeOptions, ModelId, Tile, decode_picture, encode_picture};
use crate::models::family::{Family, ImageFamily, Model};
use crate::picture::Picture;
use crate::tokens::{Format, ImageTokenizer, Layout, Media, Tokens};

/// A small model with new weights.
fn new_model(config: &WallocConfig, seed: u64) -> Model<Walloc> {
    let device = Default::default();
    <Flex as Backend>::seed(&device, seed);
    let network = config.init::<Flex>(&device);
    let file = WeightsFile {
        family: Walloc::NAME.into(),
        name: "walloc/test".into(),
        config: serde_json::to_value(config).unwrap(),
        source: String::new(),
        tensors: export(&network).unwrap(),
    };
    let digest = file.digest().unwrap();
    Model::new(file, digest).unwrap()
}

fn small(channels: usize, levels: usize, full: bool) -> WallocConfig {
    WallocConfig {
        channels,
        levels,
        encoder_width: full.then_some(32),
        decoder_width: 32,
        latent_dim: 12,
        latent_bits: 6,
        lightweight_encode: !full,
    }
}

/// A smooth picture with some texture.
fn picture(width: u32, height: u32) -> Picture {
    let pixels = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x as f32, y as f32)))
        .flat_map(|(x, y)| {
            let texture = if (x as i32 * 7 + y as i32 * 13) % 11 == 0 {
                9.0
            } else {
                0.0
            };
            [x / 19.0, (x + y) / 31.0, y / 13.0]
                .map(|phase| (127.0 + 90.0 * phase.sin() + texture) as u8)
        })
        .collect();
    Picture::new(width, height, Color::Rgb, pixels).unwrap()
}

#[test]
fn pictures_of_every_size_are_coded() {
    let device = Default::default();
    for (levels, full) in [(3, false), (1, true), (0, false)] {
        let model = new_model(&small(3, levels, full), 5);
        let network = model.network::<Flex>(&device).unwrap();
        let coder = Walloc::coder::<Flex>(&model, &device).unwrap();
        let id = ModelId {
            name: model.name.clone(),
            digest: model.digest,
            profile: Profile::Portable,
        };
        for (width, height, tile) in [
            (1, 1, Tile::Auto),
            (2, 9, Tile::Auto),
            (41, 40, Tile::Auto),
            (100, 67, Tile::Size(64)),
        ] {
            let picture = picture(width, height);
            let options = EncodeOptions {
                tile,
                quality: Quality::FIXED,
                ..EncodeOptions::default()
            };
            let encoded =
                encode_picture(coder.as_ref(), &id, &picture, &options, &mut |_, _| {}).unwrap();
            let limits = Limits::default();
            let container = Container::parse(&encoded.bytes, &limits).unwrap();
            let (decoded, _) =
                decode_picture(coder.as_ref(), &container, &limits, &mut |_, _| {}).unwrap();
            assert_eq!((decoded.width, decoded.height), (width, height));
            // One tile: the pixels are those of the network itself.
            if tile == Tile::Auto {
                let size = [height as usize, width as usize];
                let tile = RgbTile {
                    width: size[1],
                    height: size[0],
                    samples: &picture.pixels,
                };
                let coder = Coder::<Flex>::new(&model, &device).unwrap();
                let latents = coder.latents(tile).unwrap();
                assert_eq!(latents.shape, network.latent_shape(size));
                let samples = coder.samples(&latents, size[1], size[0]).unwrap();
                assert_eq!(samples, decoded.pixels);
                // So are those of its latents as an array, in every format.
                let tokens = coder.tokenize(tile).unwrap();
                assert_eq!(tokens.latents(), latents.values);
                assert_eq!(tokens.shape(), latents.shape);
                for format in [Format::Npy, Format::Safetensors, Format::Jsonl] {
                    let bytes = format.write(&tokens, Layout::Time).unwrap();
                    let tokens = Format::read(&bytes).unwrap();
                    assert_eq!(coder.detokenize(&tokens).unwrap(), decoded.pixels);
                }
            }
        }
    }
}

#[test]
fn tokens_that_do_not_fit_are_refused() {
    let model = new_model(&small(3, 1, false), 2);
    let coder = Coder::<Flex>::new(&model, &Default::default()).unwrap();
    let (shape, limit) = (vec![12, 8, 10], 31);
    let tokens = |latents: Vec<i32>, shape: &[usize], limit, [width, height]: [u32; 2]| {
        let (name, digest) = (model.name.clone(), model.digest);
        let media = Media::Image { width, height };
        Tokens::of_latents(latents, shape.to_vec(), limit, name, digest, media).unwrap()
    };
    let refused = |tokens: &Tokens| {
        let error = coder.detokenize(tokens).unwrap_err();
        assert_eq!(error.kind().exit_status(), 3, "{error}");
    };
    let whole = tokens(vec![-31; 960], &shape, limit, [20, 16]);
    assert_eq!(coder.detokenize(&whole).unwrap().len(), 3 * 20 * 16);
    refused(&tokens(vec![-31; 960], &shape, limit, [23, 16]));
    refused(&tokens(vec![-31; 960], &shape, limit, [0, 16]));
    refused(&tokens(vec![-31; 960], &[12, 10, 8], limit, [20, 16]));
    refused(&tokens(vec![-31; 960], &[12, 80], limit, [20, 16]));
    refused(&tokens(vec![-31; 960], &shape, 127, [20, 16]));
    let (name, digest) = (model.name.clone(), model.digest);
    let codes = Tokens::new(vec![1; 960], shape, limit, name, digest, whole.media);
    refused(&codes.unwrap());
    let huge = [u32::MAX, u32::MAX];
    let error = coder.detokenize(&tokens(vec![], &[12, 0, 0], limit, huge));
    assert!(error.is_err());
}

/// The padding of the authors: in the middle, reflected, the longer part at the end.
#[test]
fn padding_is_reflected_and_cropped_again() {
    let device = Default::default();
    let row = Tensor::<Flex, 4>::from_floats([[[[1.0, 2.0, 3.0]]]], &device);
    let padded = pad(row.clone(), [1, 8]);
    let values: Vec<f32> = padded.clone().into_data().into_vec().unwrap();
    assert_eq!(values, [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0]);
    assert_eq!(crop(padded, [1, 3]).into_data(), row.into_data());
}

#[test]
fn gray_models_code_gray_pictures_alone() {
    let device = Default::default();
    let model = new_model(&small(1, 2, false), 6);
    let coder = Coder::<Flex>::new(&model, &device).unwrap();
    let gray = [40u8, 40, 40].repeat(30 * 20);
    let mut tile = RgbTile {
        width: 30,
        height: 20,
        samples: &gray,
    };
    let latents = coder.latents(tile).unwrap();
    let samples = coder.samples(&latents, 30, 20).unwrap();
    assert!(samples.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]));
    let colours = picture(30, 20).pixels;
    tile.samples = &colours;
    assert!(coder.latents(tile).is_err());
    let four = new_model(&small(5, 1, false), 6);
    assert!(Coder::<Flex>::new(&four, &device).is_err());
}

#[test]
fn damaged_payloads_and_wrong_sizes_are_errors() {
    let device = Default::default();
    let model = new_model(&small(3, 3, false), 7);
    let coder = Walloc::coder::<Flex>(&model, &device).unwrap();
    let picture = picture(64, 48);
    let tile = RgbTile {
        width: 64,
        height: 48,
        samples: &picture.pixels,
    };
    let options = TileOptions {
        quality: Quality::FIXED,
        effort: 7,
    };
    let bytes = coder.encode_tile(tile, options).unwrap().bytes;
    let decode =
        |bytes: &[u8], width, height| coder.decode_tile(bytes, width, height, Quality::FIXED);
    assert!(decode(&bytes, 64, 48).is_ok());
    assert!(decode(&bytes[..bytes.len() - 4], 64, 48).is_err());
    assert!(decode(&bytes, 160, 48).is_err());
    assert!(decode(&bytes, 0, 48).is_err());
    assert!(decode(&bytes, usize::MAX, 2).is_err());
}

/// What the entropy coder is for: smaller than the lossless picture codecs that the authors use.
#[test]
fn latents_are_smaller_than_as_png_and_webp() {
    let device = Default::default();
    let config = WallocConfig {
        latent_bits: 8,
        ..small(3, 3, false)
    };
    let model = new_model(&config, 8);
    let coder = Coder::<Flex>::new(&model, &device).unwrap();
    let picture = picture(320, 256);
    let tile = RgbTile {
        width: 320,
        height: 256,
        samples: &picture.pixels,
    };
    let latents = coder.latents(tile).unwrap();
    let coded = latents.to_bytes().unwrap();
    let packed = pack(&latents).unwrap();
    let (width, height) = (packed.width as u32, packed.height as u32);
    let packed = image::RgbImage::from_raw(width, height, packed.samples).unwrap();
    for format in [image::ImageFormat::Png, image::ImageFormat::WebP] {
        let mut file = std::io::Cursor::new(Vec::new());
        packed.write_to(&mut file, format).unwrap();
        let size = file.into_inner().len();
        println!("{format:?}: {size} bytes, planes: {}", coded.len());
        assert!(coded.len() < size, "{format:?}: {size}, {}", coded.len());
    }
}

/// Training starts from new weights, every parameter has a gradient, and the weights go back under the authors' names.
#[test]
fn parameters_learn_and_are_exported() {
    type Ad = Autodiff<Flex>;
    let device = Default::default();
    for full in [false, true] {
        let config = small(3, 1, full);
        <Ad as Backend>::seed(&device, 3);
        let network = config.init::<Ad>(&device);
        let x = Tensor::random([2, 3, 16, 16], Distribution::Uniform(-0.5, 0.5), &device);
        let pass = network.forward_training(x, Rounding::Noise).unwrap();
        assert_eq!(pass.mse.dims(), [2]);
        assert_eq!(pass.reconstruction.dims(), [2, 3, 16, 16]);
        let gradients = (pass.mse + pass.packet_mse).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &network);
        struct Missing<'a>(&'a GradientsParams, usize);
        impl ModuleVisitor<Ad> for Missing<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Ad, D>>) {
                let found = self.0.get::<Flex, D>(param.id);
                self.1 += usize::from(found.is_none());
            }
        }
        let mut missing = Missing(&gradients, 0);
        network.visit(&mut missing);
        assert_eq!(missing.1, 0);
        let tensors = export(&network.valid()).unwrap();
        assert_eq!(tensors.parameters(), network.num_params());
        assert!(Walloc::recognize(&tensors));
        let given = serde_json::to_value(&config).unwrap();
        let imported = Model::<Walloc>::import(tensors, Some(&given), "walloc/t", "").unwrap();
        imported.report.check().unwrap();
        assert!(imported.report.unused.is_empty());
    }
}

use burn::backend::Autodiff;
use burn::tensor::Distribution;
use burn_flex::Flex;

use super::*;
use crate::weights::{HostTensor, Tensors};

fn values<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f32> {
    tensor.into_data().to_vec().unwrap()
}

fn integers(tensor: Tensor<Flex, 1, Int>) -> Vec<i64> {
    tensor.into_data().iter::<i64>().collect()
}

fn named(all: &[(&str, &[usize], &[f32])]) -> Tensors {
    let mut tensors = Tensors::new();
    for (name, shape, values) in all {
        tensors.insert(*name, HostTensor::floats(shape, values.to_vec()).unwrap());
    }
    tensors
}

fn load(config: QuantizerConfig, tensors: &Tensors) -> Quantizer<Flex> {
    let device = Default::default();
    let loader = Loader::new(tensors, &device);
    let quantizer = Quantizer::load(config, &loader);
    let report = loader.finish().unwrap();
    assert!(report.unused.is_empty(), "{report:?}");
    quantizer
}

fn latents(rows: &[[f32; 2]]) -> Tensor<Flex, 2> {
    let flat: Vec<f32> = rows.iter().flatten().copied().collect();
    Tensor::<Flex, 1>::from_floats(flat.as_slice(), &Default::default()).reshape([rows.len(), 2])
}

#[test]
fn plain_rows_come_back() {
    let config = QuantizerConfig::Plain { codes: 3, width: 2 };
    let rows = [0.0, 0.0, 1.0, 0.0, 0.0, 2.0];
    let quantizer = load(config, &named(&[("embedding.weight", &[3, 2], &rows)]));
    let codebook = quantizer.codebook();
    let found = quantizer.quantize(latents(&[[0.9, 0.2], [0.1, 1.5]]), &codebook);
    assert_eq!(integers(found.codes.clone()), [1, 2]);
    assert_eq!(
        values(quantizer.decode(found.codes, &codebook)),
        [1.0, 0.0, 0.0, 2.0]
    );
    let loss = LossWeights::on_codebook(0.25).of(found.latents, found.rows);
    assert!((values(loss)[0] - 1.25 * (0.01 + 0.04 + 0.01 + 0.25) / 4.0).abs() < 1e-6);
}

#[test]
fn gumbel_takes_the_largest_logit() {
    let config = QuantizerConfig::Gumbel {
        codes: 2,
        input: 2,
        width: 1,
    };
    let quantizer = load(
        config,
        &named(&[
            ("proj.weight", &[2, 2, 1, 1], &[1.0, 0.0, 0.0, 1.0]),
            ("proj.bias", &[2], &[0.5, 0.0]),
            ("embed.weight", &[2, 1], &[7.0, 9.0]),
        ]),
    );
    let found = quantizer.quantize(latents(&[[1.0, 1.25], [0.0, 0.75]]), &quantizer.codebook());
    assert_eq!(integers(found.codes), [0, 1]);
    assert_eq!(values(found.output), [7.0, 9.0]);
}

#[test]
fn projections_map_rows_and_unit_latents_lose_their_length() {
    let stored = [1.0, -1.0, 2.0];
    let hidden = named(&[
        ("tok_embeddings.weight", &[3, 1], &stored),
        ("codebook_projection.0.weight", &[1, 1], &[1.0]),
        ("codebook_projection.0.bias", &[1], &[0.0]),
        ("codebook_projection.2.weight", &[2, 1], &[0.5, 0.0]),
        ("codebook_projection.2.bias", &[2], &[0.0, 1.0]),
    ]);
    let config = |projection, unit| QuantizerConfig::Projected {
        codes: 3,
        stored: 1,
        width: 2,
        projection,
        unit,
    };
    let quantizer = load(config(Projection::Hidden(1), true), &hidden);
    let codebook = quantizer.codebook();
    // The rectifier takes the second row to the bias.
    assert_eq!(values(codebook.all()), [0.5, 1.0, 0.0, 1.0, 1.0, 1.0]);
    let found = quantizer.quantize(latents(&[[0.0, 30.0]]), &codebook);
    assert_eq!(values(found.latents), [0.0, 1.0]);
    assert_eq!(integers(found.codes), [1]);

    let linear = named(&[
        ("tok_embeddings.weight", &[3, 1], &stored),
        ("codebook_projection.weight", &[2, 1], &[1.0, 0.0]),
        ("codebook_projection.bias", &[2], &[0.0, 1.0]),
    ]);
    let rows = load(config(Projection::Linear, false), &linear).codebook();
    assert_eq!(values(rows.all()), [1.0, 1.0, -1.0, 1.0, 2.0, 1.0]);
}

#[test]
fn factorized_codes_are_directions() {
    let config = QuantizerConfig::Factorized {
        codes: 2,
        input: 2,
        width: 2,
    };
    let same = [1.0, 0.0, 0.0, 1.0];
    let quantizer = load(
        config,
        &named(&[
            ("in_proj.weight", &[2, 2, 1], &same),
            ("in_proj.bias", &[2], &[0.0; 2]),
            ("codebook.weight", &[2, 2], &[1.0, 1.0, 0.0, 100.0]),
            ("out_proj.weight", &[2, 2, 1], &[2.0, 0.0, 0.0, 2.0]),
            ("out_proj.bias", &[2], &[0.0, 1.0]),
        ]),
    );
    // By distance both latents would get row 0.
    let found = quantizer.quantize(latents(&[[9.0, 8.0], [0.1, 3.0]]), &quantizer.codebook());
    assert_eq!(integers(found.codes), [0, 1]);
    let output = values(found.output);
    for (value, expected) in output.iter().zip([2.0, 3.0, 0.0, 201.0]) {
        assert!((value - expected).abs() < 1e-4, "{output:?}");
    }
}

#[test]
fn gradients_go_straight_through_and_to_the_projection() {
    type Ad = Autodiff<Flex>;
    let device = Default::default();
    let tensors = named(&[
        ("embedding.weight", &[2, 1], &[1.0, -2.0]),
        ("embedding_proj.weight", &[1, 1], &[0.5]),
        ("embedding_proj.bias", &[1], &[0.25]),
    ]);
    let loader = Loader::<Ad>::new(&tensors, &device);
    let quantizer = Quantizer::load(QuantizerConfig::Sim { codes: 2, width: 1 }, &loader);
    let latents = Tensor::<Ad, 2>::from_data([[0.5], [-1.0]], &device).require_grad();
    let found = quantizer.quantize(latents.clone(), &quantizer.codebook());
    let rows = values(found.rows.clone().inner());
    assert_eq!(rows, [0.75, -0.75]);
    let loss = LossWeights::on_commitment(0.25).of(found.latents, found.rows)
        + found.output.sum().mul_scalar(3.0);
    let gradients = loss.backward();
    // 3 from the output, beta (z - e) from the commitment.
    let of_latents = values(latents.grad(&gradients).unwrap());
    assert_eq!(of_latents, [3.0 - 0.25 * 0.25, 3.0 - 0.25 * 0.25]);
    // (e - z) times the stored row, summed; the straight-through output gives rows nothing.
    let of_map = values(quantizer.projection[0].weight.grad(&gradients).unwrap());
    assert_eq!(of_map, [0.25 * 1.0 + 0.25 * -2.0]);
}

#[test]
fn planes_become_rows_and_back() {
    let device = Default::default();
    let x = Tensor::<Flex, 4>::random([2, 3, 4, 5], Distribution::Default, &device);
    let rows = to_rows(x.clone());
    let picked = rows.clone().slice([27..28, 1..2]);
    assert_eq!(
        values(picked),
        values(x.clone().slice([1..2, 1..2, 1..2, 2..3]))
    );
    assert_eq!(values(from_rows(rows, [2, 4, 5])), values(x));
}

#[test]
fn moving_averages_follow_and_dead_rows_restart() {
    let device = Default::default();
    let codebook = EmaCodebook::<Flex> {
        embed: Param::from_data([[0.0], [5.0]], &device),
        cluster_size: Param::from_data([4.0, 0.5], &device),
        embed_avg: Param::from_data([[0.0], [2.5]], &device),
        decay: 0.75,
    };
    let latents = Tensor::<Flex, 2>::from_data([[1.0], [3.0]], &device);
    let codes = codebook.codebook().search(latents.clone());
    assert_eq!(integers(codes.clone()), [0, 1]);
    let moved = codebook.update(latents.clone(), codes);
    assert_eq!(values(moved.cluster_size.val()), [3.25, 0.625]);
    assert_eq!(values(moved.embed_avg.val()), [0.25, 2.625]);
    let rows = values(moved.embed.val());
    assert!(
        (rows[0] - 0.25 / 3.25).abs() < 1e-5 && (rows[1] - 4.2).abs() < 1e-3,
        "{rows:?}"
    );

    let again = moved.restart(latents, 2.0);
    assert_eq!(values(again.cluster_size.val()), [3.25, 2.0]);
    assert_eq!(values(again.embed.val())[1], 3.0);
    let none = Tensor::<Flex, 2>::from_data([[0.0]], &device);
    let after = again.update(none, Tensor::from_data([0], &device));
    assert!((values(after.embed.val())[1] - 3.0).abs() < 1e-3);
}

#[test]
fn averages_start_from_clusters() {
    let device = Default::default();
    let latents = Tensor::<Flex, 2>::from_data([[0.0], [0.2], [9.0], [9.2], [9.4]], &device);
    let started = EmaCodebook::start(latents, 2, 0.99, 1).unwrap();
    let mut rows = values(started.embed.val());
    rows.sort_by(f32::total_cmp);
    assert!((rows[0] - 0.1).abs() < 1e-5 && (rows[1] - 9.2).abs() < 1e-5);
    // A step with the same latents leaves them where they are.
    let latents = Tensor::<Flex, 2>::from_data([[0.0], [0.2], [9.0], [9.2], [9.4]], &device);
    let codes = started.codebook().search(latents.clone());
    let mut moved = values(started.update(latents, codes).embed.val());
    moved.sort_by(f32::total_cmp);
    assert!(
        (moved[0] - 0.1).abs() < 1e-3 && (moved[1] - 9.2).abs() < 1e-3,
        "{moved:?}"
    );
}

/// Stages of two plain codebooks each, over pairs of channels.
fn grouped(rows: [&[f32]; 4]) -> ResidualQuantizer<Flex> {
    let config = QuantizerConfig::Plain { codes: 2, width: 1 };
    let quantizer = |rows: &[f32]| load(config, &named(&[("embedding.weight", &[2, 1], rows)]));
    let [a, b, c, d] = rows.map(quantizer);
    ResidualQuantizer {
        stages: vec![vec![a, b], vec![c, d]],
        bands: 0,
    }
}

#[test]
fn stages_quantize_what_is_left_group_by_group() {
    let quantizer = grouped([&[0.0, 4.0], &[0.0, 8.0], &[-1.0, 1.0], &[-2.0, 2.0]]);
    let codebooks = quantizer.codebooks();
    let found = quantizer.quantize(latents(&[[4.5, 1.5], [0.25, 7.0]]), 2, &codebooks);
    let codes: Vec<_> = found.codes.iter().cloned().map(integers).collect();
    assert_eq!(codes, [[1, 0], [0, 1], [1, 1], [1, 0]]);
    assert_eq!(values(found.output), [5.0, 2.0, 1.0, 6.0]);
    // The second stage saw what the first had left.
    assert_eq!(values(found.latents[1].clone()), [0.5, 1.5, 0.25, -1.0]);
    let all = quantizer.decode(&found.codes, &codebooks).unwrap();
    assert_eq!(values(all), [5.0, 2.0, 1.0, 6.0]);
    let first = quantizer.decode(&found.codes[..2], &codebooks).unwrap();
    assert_eq!(values(first), [4.0, 0.0, 0.0, 8.0]);
    assert!(quantizer.decode(&found.codes[..3], &codebooks).is_err());
    assert!(quantizer.decode(&[], &codebooks).is_err());
    let many = [found.codes.clone(), found.codes].concat();
    assert!(quantizer.decode(&many, &codebooks).is_err());
}

#[test]
fn bands_see_their_channels_and_are_found_in_full() {
    let config = QuantizerConfig::Moving { codes: 2, width: 2 };
    let quantizer = |rows: &[f32]| {
        let parts = named(&[
            ("embed", &[2, 2], rows),
            ("cluster_size", &[2], &[1.0, 1.0]),
            ("embed_avg", &[2, 2], rows),
            ("inited", &[1], &[1.0]),
        ]);
        vec![load(config, &parts)]
    };
    let quantizer = ResidualQuantizer {
        stages: vec![
            quantizer(&[3.0, 0.5, 0.0, 0.0]),
            quantizer(&[0.0, 5.0, 9.0, 9.0]),
            quantizer(&[-1.0, -1.0, 1.0, 1.0]),
        ],
        bands: 2,
    };
    let codebooks = quantizer.codebooks();
    let found = quantizer.quantize(latents(&[[3.0, 4.0]]), 3, &codebooks);
    let seen: Vec<_> = found.latents.iter().cloned().map(values).collect();
    // The third stage sees (3, 4) less (3, 0.5) and (0, 5).
    assert_eq!(seen, [[3.0, 0.0], [0.0, 4.0], [0.0, -1.5]]);
    assert_eq!(values(found.output), [2.0, 4.5]);
}

#[test]
fn a_residual_has_no_gradient() {
    type Ad = Autodiff<Flex>;
    let tensors = named(&[("embedding.weight", &[2, 1], &[0.0, 4.0])]);
    let device = Default::default();
    let loader = Loader::<Ad>::new(&tensors, &device);
    let config = QuantizerConfig::Plain { codes: 2, width: 1 };
    let stage = || vec![Quantizer::load(config, &loader)];
    let quantizer = ResidualQuantizer {
        stages: vec![stage(), stage()],
        bands: 0,
    };
    let x = Tensor::<Ad, 2>::from_floats([[3.0], [1.0]], &device).require_grad();
    let found = quantizer.quantize(x.clone(), 2, &quantizer.codebooks());
    let second = commitment(found.latents[1].clone(), found.rows[1].clone());
    let gradients = (second + found.output.sum()).backward();
    // The sum goes straight through the first stage alone.
    assert_eq!(values(x.grad(&gradients).unwrap()), [1.0, 1.0]);
}

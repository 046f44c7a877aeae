//! The list of a model's layers: one place that says which tensors a weights file holds.

use codec_core::layers::IntRange;

use super::config::{BANDS, LATENTS, PASS_LATENTS, PASSES, WpmrConfig};
use super::entropy::{SCALE_MAX, SIGNED, mean_range};

/// A float layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloatLayer {
    /// Name without `.weight` or `.bias`.
    pub name: String,
    /// Output channels, input channels, kernel side.
    pub shape: [usize; 3],
    /// Stored in 32 instead of 16 bits.
    pub full_precision: bool,
}

/// An integer layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntLayer {
    /// Name without `.weight`, `.bias` or `.fraction`.
    pub name: String,
    /// Output channels, input channels (1 if depthwise), kernel side.
    pub shape: [usize; 3],
    /// Each channel by itself.
    pub depthwise: bool,
    /// Weights of twelve bits, stored in 16.
    pub fine: bool,
    /// Range and resolution of the output.
    pub range: IntRange,
}

/// Input channels of a training parameter that stand behind those of its own network: where a layer reads a
/// concatenation, a wider model gets its new channels before these.
pub fn trailing_inputs(config: &WpmrConfig, parameter: &str) -> usize {
    let path: Vec<&str> = parameter.split('.').collect();
    let &["entropy", "passes", pass, layer, "weight"] = path.as_slice() else {
        return 0;
    };
    match (layer, pass.parse::<usize>()) {
        ("spatial", Ok(1..)) => config.hyper_width,
        ("mean" | "scale", Ok(pass)) => pass * PASS_LATENTS,
        _ => 0,
    }
}

/// Names of the layers of the transforms and of the encoder side of the hyperprior.
pub fn float_layers(config: &WpmrConfig) -> Vec<FloatLayer> {
    let layer = |name: String, input, output, kernel| FloatLayer {
        full_precision: name.ends_with("linear"),
        name,
        shape: [output, input, kernel],
    };
    let (a, s, h) = (
        config.analysis_width,
        config.synthesis_width,
        config.hyper_analysis_width,
    );
    let mut layers = vec![
        layer("analysis.linear".into(), BANDS, BANDS, 1),
        layer("analysis.input".into(), BANDS + 1, a, 1),
        layer("analysis.hidden".into(), a, a, 3),
        layer("analysis.output".into(), a, BANDS, 1),
        layer("synthesis.linear".into(), BANDS, BANDS, 1),
        layer("synthesis.input".into(), BANDS + 1, s, 1),
        layer("synthesis.output".into(), s, BANDS, 1),
        layer("hyper_analysis.input".into(), LATENTS + 1, h, 1),
        layer("hyper_analysis.hidden".into(), h, h, 3),
        layer(
            "hyper_analysis.output".into(),
            4 * h,
            config.hyper_latents,
            1,
        ),
    ];
    for (part, width, blocks) in [
        (
            "analysis",
            config.analysis_refine_width,
            config.analysis_refine_blocks,
        ),
        (
            "synthesis",
            config.synthesis_refine_width,
            config.synthesis_refine_blocks,
        ),
    ] {
        layers.push(layer(format!("{part}.refine.input"), LATENTS + 1, width, 1));
        layers.push(layer(format!("{part}.refine.hidden"), width, width, 3));
        layers.push(layer(format!("{part}.refine.output"), width, LATENTS, 1));
        for block in 0..blocks {
            let name = format!("{part}.refine.blocks.{block}");
            layers.push(layer(format!("{name}.spatial"), width, width, 3));
            layers.push(layer(format!("{name}.mix"), width, width, 1));
        }
    }
    for block in 0..config.synthesis_blocks {
        layers.push(layer(format!("synthesis.blocks.{block}.spatial"), s, s, 3));
        layers.push(layer(format!("synthesis.blocks.{block}.mix"), s, s, 1));
    }
    layers
}

/// Names of the integer layers.
pub fn integer_layers(config: &WpmrConfig) -> Vec<IntLayer> {
    let layer = |name: String, input, output, kernel, range| IntLayer {
        name,
        shape: [output, input, kernel],
        depthwise: false,
        fine: false,
        range,
    };
    let (z, f, e, c) = (
        config.hyper_latents,
        config.hyper_width,
        config.entry_width,
        config.context_width,
    );
    let mean = mean_range(config);
    let scale = IntRange {
        lo: 0,
        hi: SCALE_MAX,
        fraction: 0,
    };
    let mut layers = vec![
        layer(
            "hyper_synthesis.input".into(),
            z + 1,
            f,
            3,
            IntRange::HIDDEN,
        ),
        layer(
            "hyper_synthesis.expand".into(),
            f,
            4 * f,
            1,
            IntRange::HIDDEN,
        ),
        layer("hyper_synthesis.output".into(), f, f, 3, IntRange::HIDDEN),
    ];
    for pass in 0..PASSES {
        let name = |part: &str| format!("passes.{pass}.{part}");
        let entry = if pass == 0 { 0 } else { e };
        if pass > 0 {
            layers.push(layer(
                name("entry"),
                pass * PASS_LATENTS,
                e,
                1,
                IntRange::HIDDEN,
            ));
        }
        layers.push(layer(name("spatial"), entry + f, c, 3, IntRange::HIDDEN));
        layers.push(layer(name("hidden"), c, c, 1, IntRange::HIDDEN));
        let seen = pass * PASS_LATENTS;
        layers.push(IntLayer {
            fine: config.fine_means,
            ..layer(name("mean"), c + seen, PASS_LATENTS, 1, mean)
        });
        layers.push(layer(name("scale"), c + seen, PASS_LATENTS, 1, scale));
        if pass > 0 {
            let depthwise = |part, range| IntLayer {
                depthwise: true,
                ..layer(name(part), 1, seen, 3, range)
            };
            layers.push(depthwise("signed", SIGNED));
            layers.push(depthwise("magnitude", IntRange::HIDDEN));
        }
    }
    layers
}

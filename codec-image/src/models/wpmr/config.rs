//! Hyperparameters and fixed constants of the family.

use burn::config::Config;

/// Pictures are padded to a multiple of this: three wavelet levels, then blocks of 2x2 coefficients, then the
/// hyperlatent's halving.
pub const ALIGNMENT: usize = 32;
/// Levels of the wavelet packet transform.
pub const LEVELS: usize = 3;
/// Channels after it: three colours in 64 bands.
pub const BANDS: usize = 3 * 64;
/// Latent channels at 1/16: every 2x2 block of the 1/8 grid.
pub const LATENTS: usize = 4 * BANDS;
/// Decoding passes; each codes a quarter of the latents.
pub const PASSES: usize = 4;
/// Latents coded in one pass.
pub const PASS_LATENTS: usize = LATENTS / PASSES;
/// Largest magnitude of a hyperlatent.
pub const HYPER_MAX: i32 = 31;
/// Quality levels that are stored; between them, steps are interpolated.
pub const QUALITY_LEVELS: usize = 64;

/// Hyperparameters of a model.
#[derive(Config, Debug, PartialEq)]
pub struct WpmrConfig {
    /// Width of the analysis network (1/8 resolution).
    #[config(default = 96)]
    pub analysis_width: usize,
    /// Width of the analysis refinement (1/16 resolution).
    #[config(default = 192)]
    pub analysis_refine_width: usize,
    /// Residual blocks of the analysis refinement.
    #[config(default = 1)]
    pub analysis_refine_blocks: usize,
    /// Width of the synthesis refinement (1/16 resolution).
    #[config(default = 224)]
    pub synthesis_refine_width: usize,
    /// Residual blocks of the synthesis refinement.
    #[config(default = 2)]
    pub synthesis_refine_blocks: usize,
    /// Width of the synthesis network (1/8 resolution).
    #[config(default = 128)]
    pub synthesis_width: usize,
    /// Residual blocks of the synthesis network.
    #[config(default = 2)]
    pub synthesis_blocks: usize,
    /// Width of the hyper-analysis network (1/16 resolution).
    #[config(default = 96)]
    pub hyper_analysis_width: usize,
    /// Hyperlatent channels (1/32 resolution).
    #[config(default = 48)]
    pub hyper_latents: usize,
    /// Width of the hyper-synthesis network, in integers.
    #[config(default = 96)]
    pub hyper_width: usize,
    /// Width of a pass's entry layer, in integers (1/16 resolution).
    #[config(default = 96)]
    pub entry_width: usize,
    /// Width of the context networks, in integers (1/16 resolution).
    #[config(default = 160)]
    pub context_width: usize,
    /// Whether means come in 256ths of a symbol, from weights of twelve bits, instead of in sixteenths from weights of
    /// eight: a mean is all that is decoded where a symbol is zero, and rounding it to sixteenths is 4% of the error at low
    /// quality.
    #[config(default = true)]
    pub fine_means: bool,
    /// Lagrangian of quality 0, in bits per pixel per unit of squared error on the 0..255 scale.
    #[config(default = "0.0005")]
    pub lambda_min: f64,
    /// Lagrangian of quality 100.
    #[config(default = "0.25")]
    pub lambda_max: f64,
}

/// Multiply-accumulates per pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Macs {
    /// Analysis, hyper-analysis and the networks that both sides run.
    pub encode: f64,
    /// The networks that both sides run, and synthesis.
    pub decode: f64,
}

impl WpmrConfig {
    /// Binary digits after the point of means and decoded latents.
    pub fn mean_fraction(&self) -> u32 {
        if self.fine_means { 8 } else { 4 }
    }

    /// Multiply-accumulates per pixel of both directions, wavelet lifting included.
    pub fn macs(&self) -> Macs {
        let (eighth, sixteenth, half) = (1.0 / 64.0, 1.0 / 256.0, 1.0 / 1024.0);
        let conv =
            |input: usize, output: usize, kernel: usize| (input * output * kernel * kernel) as f64;
        // Lifting of CDF 9/7: 4 steps of 2 and a scaling, in two directions, over 3 colours and 3 levels.
        let wavelet = (3 * LEVELS * 2 * 5) as f64;
        let a = self.analysis_width;
        let analysis = wavelet
            + eighth
                * (conv(BANDS, BANDS, 1)
                    + conv(BANDS + 1, a, 1)
                    + conv(a, a, 3)
                    + conv(a, BANDS, 1));
        let block = |width| conv(width, width, 3) + conv(width, width, 1);
        let refine = |width, blocks: usize| {
            sixteenth
                * (conv(LATENTS + 1, width, 1)
                    + conv(width, width, 3)
                    + blocks as f64 * block(width)
                    + conv(width, LATENTS, 1))
        };
        let analysis = analysis + refine(self.analysis_refine_width, self.analysis_refine_blocks);
        let h = self.hyper_analysis_width;
        let hyper_analysis = sixteenth * (conv(LATENTS + 1, h, 1) + conv(h, h, 3))
            + half * conv(4 * h, self.hyper_latents, 1);
        let (f, e, c) = (self.hyper_width, self.entry_width, self.context_width);
        let hyper_synthesis = half * (conv(self.hyper_latents + 1, f, 3) + conv(f, 4 * f, 1))
            + sixteenth * conv(f, f, 3);
        let context: f64 = (0..PASSES)
            .map(|pass| {
                let entry = if pass == 0 { 0 } else { e };
                conv(pass * PASS_LATENTS, entry, 1)
                    + conv(entry + f, c, 3)
                    + conv(c, c, 1)
                    + 2.0 * conv(1, pass * PASS_LATENTS, 3)
                    + conv(c + pass * PASS_LATENTS, 2 * PASS_LATENTS, 1)
            })
            .sum::<f64>()
            * sixteenth;
        let s = self.synthesis_width;
        let synthesis = refine(self.synthesis_refine_width, self.synthesis_refine_blocks)
            + wavelet
            + eighth
                * (conv(BANDS, BANDS, 1)
                    + conv(BANDS + 1, s, 1)
                    + self.synthesis_blocks as f64 * block(s)
                    + conv(s, BANDS, 1));
        let shared = hyper_synthesis + context;
        Macs {
            encode: analysis + hyper_analysis + shared,
            decode: shared + synthesis,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_model_meets_its_budget() {
        let macs = WpmrConfig::new().macs();
        assert!(macs.encode <= 15_000.0, "{macs:?}");
        assert!(macs.decode <= 25_000.0, "{macs:?}");
    }
}

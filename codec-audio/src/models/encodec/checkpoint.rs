//! Names of the published versions: the authors' own, and those of the same weights in `transformers`.

use codec_core::Error;
use codec_core::weights::Tensors;

/// The authors' names.
pub(super) fn normalize(tensors: Tensors) -> Result<Tensors, Error> {
    if !tensors.contains("encoder.layers.0.conv.weight") {
        return Ok(tensors);
    }
    // A decoder's convolutions are transposed but for the first and the last; those of blocks are ordinary ones.
    let last = tensors.iter().filter_map(|(name, _)| number(name)).max();
    tensors.rename(|name| renamed(&name, last).unwrap_or(name))
}

/// Number of a layer of the decoder that is a convolution itself.
fn number(name: &str) -> Option<usize> {
    let rest = name.strip_prefix("decoder.layers.")?;
    rest.strip_suffix(".conv.weight")?.parse().ok()
}

/// For a name in `transformers`, the authors'.
fn renamed(name: &str, last: Option<usize>) -> Option<String> {
    if let Some(rest) = name.strip_prefix("quantizer.layers.") {
        let (stage, value) = rest.split_once(".codebook.")?;
        return Some(format!("quantizer.vq.layers.{stage}._codebook.{value}"));
    }
    let (part, rest) = name.split_once(".layers.")?;
    if rest.contains(".lstm.") {
        return Some(format!("{part}.model.{rest}"));
    }
    // The authors wrap a convolution and its normalization once more: `3.conv.weight` is `3.conv.conv.weight`.
    let (path, value) = rest.rsplit_once('.')?;
    let (layer, module) = path.rsplit_once('.')?;
    let own: Option<usize> = layer.parse().ok();
    let transposed = part == "decoder" && own.is_some_and(|own| own != 0 && Some(own) != last);
    let kind = if transposed { "convtr" } else { "conv" };
    let module = if module == "conv" { kind } else { module };
    Some(format!("{part}.model.{layer}.{kind}.{module}.{value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_transformers() {
        for (theirs, authors) in [
            (
                "encoder.layers.0.conv.weight",
                "encoder.model.0.conv.conv.weight",
            ),
            (
                "encoder.layers.0.norm.bias",
                "encoder.model.0.conv.norm.bias",
            ),
            (
                "encoder.layers.1.block.3.conv.bias",
                "encoder.model.1.block.3.conv.conv.bias",
            ),
            (
                "encoder.layers.1.shortcut.conv.bias",
                "encoder.model.1.shortcut.conv.conv.bias",
            ),
            (
                "encoder.layers.13.lstm.bias_hh_l1",
                "encoder.model.13.lstm.bias_hh_l1",
            ),
            (
                "decoder.layers.0.conv.weight",
                "decoder.model.0.conv.conv.weight",
            ),
            (
                "decoder.layers.3.conv.weight",
                "decoder.model.3.convtr.convtr.weight",
            ),
            (
                "decoder.layers.3.norm.weight",
                "decoder.model.3.convtr.norm.weight",
            ),
            (
                "decoder.layers.4.block.1.conv.weight",
                "decoder.model.4.block.1.conv.conv.weight",
            ),
            (
                "decoder.layers.15.conv.bias",
                "decoder.model.15.conv.conv.bias",
            ),
            (
                "quantizer.layers.7.codebook.embed",
                "quantizer.vq.layers.7._codebook.embed",
            ),
        ] {
            assert_eq!(renamed(theirs, Some(15)).as_deref(), Some(authors));
        }
        assert_eq!(number("decoder.layers.15.conv.weight"), Some(15));
        assert_eq!(number("decoder.layers.4.block.1.conv.weight"), None);
    }
}

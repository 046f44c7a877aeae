//! Probability tables in the buffers of a checkpoint.

use burn::tensor::backend::Backend;
use codec_entropy::{Cdf, TableSet};

use crate::Error;
use crate::weights::{HostTensor, Loader};

/// The tables in `_quantized_cdf`, `_cdf_length` and `_offset`; `None` if they were never computed.
///
/// # Errors
/// [`Error::Malformed`] for anything that is not a set of `rows` distributions.
pub(super) fn stored_tables<B: Backend>(
    rows: usize,
    loader: &Loader<'_, B>,
) -> Result<Option<TableSet>, Error> {
    let bad = |what: &dyn std::fmt::Display| {
        Error::malformed(format!(
            "weights: {}: {what}",
            loader.name("_quantized_cdf")
        ))
    };
    let names = ["_quantized_cdf", "_cdf_length", "_offset"];
    let empty = |name: &&str| loader.shape(name).is_none_or(|shape| shape.contains(&0));
    if names.iter().all(empty) {
        names.iter().for_each(|name| loader.known(name));
        return Ok(None);
    }
    let width = match loader.shape("_quantized_cdf") {
        Some(&[_, width]) => width,
        _ => return Err(bad(&"not a matrix")),
    };
    let take =
        |name: &str, shape: &[usize]| loader.host(name, shape).and_then(HostTensor::as_integers);
    let (Some(cdfs), Some(lengths), Some(offsets)) = (
        take("_quantized_cdf", &[rows, width]),
        take("_cdf_length", &[rows]),
        take("_offset", &[rows]),
    ) else {
        return Err(bad(&format!("not {rows} tables of integers")));
    };
    let mut tables = Vec::with_capacity(rows);
    for ((row, &length), &offset) in cdfs.chunks(width.max(1)).zip(lengths).zip(offsets) {
        let row = usize::try_from(length)
            .ok()
            .and_then(|length| row.get(..length));
        let edges: Option<Vec<u32>> =
            row.and_then(|row| row.iter().map(|&v| u32::try_from(v).ok()).collect());
        let offset = i32::try_from(offset).ok();
        match (edges, offset) {
            (Some(edges), Some(offset)) => tables.push((offset, edges)),
            _ => return Err(bad(&"a row out of range")),
        }
    }
    let cdfs: Vec<Cdf<'_>> = tables
        .iter()
        .map(|(offset, cdf)| Cdf {
            offset: *offset,
            cdf,
        })
        .collect();
    TableSet::from_cdfs(&cdfs).map(Some).map_err(|e| bad(&e))
}

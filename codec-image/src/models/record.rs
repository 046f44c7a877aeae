//! What traces record besides tensors of networks.

use codec_core::Error;
use codec_core::weights::{HostTensor, Tensors};
use codec_entropy::TableSet;

/// Integers of this shape.
pub(crate) fn integers(shape: &[usize], values: &[i32]) -> Result<HostTensor, Error> {
    HostTensor::integers(shape, values.iter().copied().map(i64::from).collect())
}

/// A string of bytes.
pub(crate) fn bytes(string: Vec<u8>) -> Result<HostTensor, Error> {
    let values: Vec<i64> = string.into_iter().map(i64::from).collect();
    HostTensor::integers(&[values.len()], values)
}

/// Tables under the names of a checkpoint's buffers.
pub(crate) fn tables(out: &mut Tensors, scope: &str, set: &TableSet) -> Result<(), Error> {
    let rows: Vec<Vec<u32>> = (0..set.len()).filter_map(|i| set.cdf(i)).collect();
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut flat = Vec::with_capacity(rows.len() * width);
    for row in &rows {
        flat.extend(row.iter().copied().map(i64::from));
        flat.resize(flat.len() + width - row.len(), 0);
    }
    let lengths = rows.iter().map(|row| row.len() as i64).collect();
    let offsets = (0..set.len()).filter_map(|i| set.support(i));
    let offsets = offsets.map(|support| i64::from(*support.start())).collect();
    out.insert(
        format!("{scope}._quantized_cdf"),
        HostTensor::integers(&[rows.len(), width], flat)?,
    );
    out.insert(
        format!("{scope}._cdf_length"),
        HostTensor::integers(&[rows.len()], lengths)?,
    );
    out.insert(
        format!("{scope}._offset"),
        HostTensor::integers(&[rows.len()], offsets)?,
    );
    Ok(())
}

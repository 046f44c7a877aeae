//! Joins the reports of shards.

use crate::{EvalError, RdCurve};
use std::collections::BTreeSet;

/// Joins curves of the same name and description: their rows are put together and averaged anew, so that the merge of all
/// shards is what one run over everything gives. Curves without rows (published ones, empty shards) pass through once.
///
/// # Errors
/// [`EvalError::Merge`] for a file that two reports have.
pub fn merge(reports: Vec<Vec<RdCurve>>) -> Result<Vec<RdCurve>, EvalError> {
    let mut merged: Vec<RdCurve> = Vec::new();
    for curve in reports.into_iter().flatten() {
        let same = |other: &&mut RdCurve| {
            other.name == curve.name && other.description == curve.description
        };
        let Some(whole) = merged.iter_mut().find(same) else {
            merged.push(curve);
            continue;
        };
        join(whole, curve)?;
    }
    for curve in &mut merged {
        if curve.per_file.is_empty() {
            continue;
        }
        curve.per_file.sort_by(|a, b| a.file.cmp(&b.file));
        curve.failures.sort_by(|a, b| a.file.cmp(&b.file));
        let qualities: Vec<f64> = curve.points.iter().map(|point| point.quality).collect();
        curve.average_complete(&qualities);
    }
    Ok(merged)
}

fn join(whole: &mut RdCurve, part: RdCurve) -> Result<(), EvalError> {
    let fail = |reason: String| EvalError::Merge {
        name: part.name.clone(),
        reason,
    };
    let known: BTreeSet<&str> = whole.per_file.iter().map(|row| row.file.as_str()).collect();
    if let Some(row) = part
        .per_file
        .iter()
        .find(|row| known.contains(row.file.as_str()))
    {
        return Err(fail(format!("'{}' is in two reports", row.file)));
    }
    if whole.per_file.is_empty() {
        whole.kind = part.kind;
    }
    for point in part.points {
        if !whole
            .points
            .iter()
            .any(|known| known.quality == point.quality)
        {
            whole.points.push(point);
        }
    }
    // What differs between machines (the date, the processor) is told as a list.
    for (key, value) in part.environment {
        let told = whole
            .environment
            .entry(key)
            .or_insert_with(|| value.clone());
        if !told.split("; ").any(|one| one == value) {
            told.push_str("; ");
            told.push_str(&value);
        }
    }
    whole.per_file.extend(part.per_file);
    whole.failures.extend(part.failures);
    Ok(())
}

//! Distances between two sets of features that some other network found, such as those of an Inception network for FID and
//! KID or of a sound classifier for FAD: the sets are files of NumPy.

use crate::EvalError;
use nalgebra::{DMatrix, DVector, RowDVector};
use std::path::Path;

/// Rows of a block of the kernel matrix.
const BLOCK: usize = 256;

/// Features of a set of pictures or sounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// One row for each picture, one column for each feature.
    rows: DMatrix<f64>,
}

impl Features {
    /// `count` vectors of equal length, one after the other.
    ///
    /// # Errors
    /// [`EvalError::Unusable`] for fewer than two vectors, empty ones, another number of values, or values that are not
    /// finite.
    pub fn new(count: usize, values: &[f64]) -> Result<Self, EvalError> {
        let bad = |reason: String| EvalError::Unusable {
            what: "features".into(),
            reason,
        };
        if count < 2 {
            return Err(bad(format!("{count} vectors (at least 2 needed)")));
        }
        let length = values.len() / count;
        if length == 0 || length * count != values.len() {
            return Err(bad(format!("{} values of {count} vectors", values.len())));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(bad(format!("a value is {value}")));
        }
        Ok(Self {
            rows: DMatrix::from_row_slice(count, length, values),
        })
    }

    /// Reads an array `[n, d]` of real numbers that `numpy.save` wrote. Doubles are rounded to f32.
    ///
    /// # Errors
    /// [`EvalError::Io`]; [`EvalError::Unusable`] for files of another kind or shape and as [`Features::new`].
    pub fn load(path: &Path) -> Result<Self, EvalError> {
        let bytes = std::fs::read(path).map_err(|source| EvalError::Io {
            path: path.to_owned(),
            source,
        })?;
        let bad = |reason: String| EvalError::Unusable {
            what: path.display().to_string(),
            reason,
        };
        let (array, rest) = codec_core::npy::read(&bytes).map_err(|e| bad(e.to_string()))?;
        let (&[count, _], Some(values)) = (array.shape(), array.as_floats()) else {
            let shape = array.shape();
            return Err(bad(format!(
                "an array of shape {shape:?} (expected real numbers [n, d])"
            )));
        };
        if !rest.is_empty() {
            return Err(bad(format!("{} bytes after the array", rest.len())));
        }
        let values: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
        Self::new(count, &values).map_err(|error| match error {
            EvalError::Unusable { reason, .. } => bad(reason),
            other => other,
        })
    }

    /// Vectors.
    pub fn count(&self) -> usize {
        self.rows.nrows()
    }

    /// Length of a vector.
    pub fn dimensions(&self) -> usize {
        self.rows.ncols()
    }

    /// Mean and covariance (divided by `n - 1`).
    fn moments(&self) -> (RowDVector<f64>, DMatrix<f64>) {
        let mean = self.rows.row_mean();
        let mut centered = self.rows.clone();
        for mut row in centered.row_iter_mut() {
            row -= &mean;
        }
        let covariance = centered.tr_mul(&centered) / (self.count() as f64 - 1.0);
        (mean, covariance)
    }
}

fn check(a: &Features, b: &Features) -> Result<(), EvalError> {
    if a.dimensions() == b.dimensions() {
        return Ok(());
    }
    Err(EvalError::Unusable {
        what: "features".into(),
        reason: format!(
            "vectors of {} and of {} features",
            a.dimensions(),
            b.dimensions()
        ),
    })
}

/// Frechet distance of two Gaussians with the means and covariances of the features:
/// `|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))` (Dowson and Landau 1982; FID of Heusel et al. 2017). 0 for equal sets.
///
/// The trace of the root is the sum of the square roots of the eigenvalues of `C_a^(1/2) C_b C_a^(1/2)`, which is symmetric:
/// sets with fewer vectors than features need no other treatment. Time grows with the third power of the dimensions (under
/// a minute for 2048 on one thread). The estimate is biased: compare only sets of equal size.
///
/// # Errors
/// [`EvalError::Unusable`] for vectors of different lengths.
pub fn frechet(a: &Features, b: &Features) -> Result<f64, EvalError> {
    check(a, b)?;
    let ((mean_a, covariance_a), (mean_b, covariance_b)) = (a.moments(), b.moments());
    let traces = covariance_a.trace() + covariance_b.trace();
    let eigen = covariance_a.symmetric_eigen();
    // Rounding leaves a little below 0 where the covariance has no full rank.
    let roots: DVector<f64> = eigen.eigenvalues.map(|value| value.max(0.0).sqrt());
    let mut root = eigen.eigenvectors.clone();
    for (mut column, scale) in root.column_iter_mut().zip(roots.iter()) {
        column *= *scale;
    }
    // In the basis of the eigenvectors, which the eigenvalues of the product do not depend on.
    let product = root.tr_mul(&(covariance_b * &root));
    let product = (&product + product.transpose()) * 0.5;
    let cross: f64 = product
        .symmetric_eigenvalues()
        .iter()
        .map(|value| value.max(0.0).sqrt())
        .sum();
    let distance = (mean_a - mean_b).norm_squared() + traces - 2.0 * cross;
    Ok(distance.max(0.0))
}

/// Squared maximum mean discrepancy with the kernel `(x . y / d + 1)^3`, the unbiased estimate over all pairs (KID, Binkowski
/// et al., "Demystifying MMD GANs", ICLR 2018, equation 4). Its expectation is 0 for sets from one distribution, so that it can
/// fall below 0.
///
/// Programs for KID often take the mean over random subsets of 1000 vectors: its expectation is the same.
///
/// # Errors
/// [`EvalError::Unusable`] for vectors of different lengths.
pub fn kernel_distance(a: &Features, b: &Features) -> Result<f64, EvalError> {
    check(a, b)?;
    let (n, m) = (a.count() as f64, b.count() as f64);
    let within = |x: &Features, n: f64| (kernels(x, x) - own(x)) / (n * (n - 1.0));
    Ok(within(a, n) + within(b, m) - 2.0 * kernels(a, b) / (n * m))
}

fn kernel(product: f64, dimensions: usize) -> f64 {
    (product / dimensions as f64 + 1.0).powi(3)
}

/// Sum of the kernel over all pairs, a block of rows at a time.
fn kernels(a: &Features, b: &Features) -> f64 {
    let (dimensions, mut sum) = (a.dimensions(), 0.0);
    let right = b.rows.transpose();
    for start in (0..a.count()).step_by(BLOCK) {
        let count = BLOCK.min(a.count() - start);
        let products = a.rows.rows(start, count) * &right;
        sum += products.iter().map(|&p| kernel(p, dimensions)).sum::<f64>();
    }
    sum
}

/// Sum of the kernel of every vector with itself.
fn own(a: &Features) -> f64 {
    a.rows
        .row_iter()
        .map(|row| kernel(row.norm_squared(), a.dimensions()))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::image::uniform;

    /// Correlated features with means of their own, as `data/reference_images.py` makes them.
    fn features(seed: u64, n: usize, d: usize) -> Features {
        let noise: Vec<f64> = uniform(seed, n * d).map(|v| f64::from(v as f32)).collect();
        let value = |i: usize| {
            let (row, column) = (i / d, i % d);
            let left = noise[row * d + (column + d - 1) % d];
            noise[i] + 0.5 * left + 0.1 * (column as u64 * (seed % 3)) as f64
        };
        let values: Vec<f64> = (0..n * d).map(value).collect();
        Features::new(n, &values).unwrap()
    }

    /// Values by `data/reference_images.py` (scipy 1.17.1: `sqrtm` of the product of the covariances). In the last case
    /// the covariances have no full rank, where `sqrtm` itself loses digits.
    #[test]
    fn equals_scipy() {
        for (n, m, d, distance, kernel, tolerance) in [
            (40, 50, 6, 1.247400420705194, 1.0448198908542787, 1e-10),
            (300, 200, 24, 43.898795913635524, 379.5164305863026, 1e-10),
            (8, 9, 12, 6.759216615101753, 5.525276763905698, 1e-6),
        ] {
            let (a, b) = (features(301, n, d), features(302, m, d));
            let value = frechet(&a, &b).unwrap();
            assert!((value / distance - 1.0).abs() < tolerance, "{value}");
            let value = kernel_distance(&a, &b).unwrap();
            assert!((value / kernel - 1.0).abs() < 1e-10, "{value}");
            assert!((frechet(&b, &a).unwrap() / distance - 1.0).abs() < 1e-6);
            assert!(frechet(&a, &a).unwrap() < 1e-6);
        }
    }

    /// More rows than a block.
    #[test]
    fn blocks_are_the_whole() {
        let a = features(7, 2 * BLOCK + 3, 2);
        let whole = (&a.rows * a.rows.transpose()).map(|p| kernel(p, 2)).sum();
        assert!((kernels(&a, &a) / whole - 1.0).abs() < 1e-12);
    }

    #[test]
    fn files_of_numpy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        let write = |shape: &str, values: &[f32], extra: &[u8]| {
            let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((text.len() as u16).to_le_bytes());
            bytes.extend(text.bytes());
            bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            bytes.extend(extra);
            std::fs::write(&path, bytes).unwrap();
            Features::load(&path)
        };
        let read = write("(2, 2)", &[1.0, 2.5, -3.0, 0.0], &[]).unwrap();
        assert_eq!(read, Features::new(2, &[1.0, 2.5, -3.0, 0.0]).unwrap());
        assert_eq!((read.count(), read.dimensions()), (2, 2));
        for (shape, values, extra, reason) in [
            ("(4,)", &[1.0; 4], &[][..], "shape [4]"),
            ("(1, 4)", &[1.0; 4], &[], "at least 2"),
            ("(2, 2)", &[1.0, 2.0, 3.0, f32::NAN], &[], "NaN"),
            ("(2, 2)", &[1.0; 4], &[9], "1 bytes after"),
            ("(2, 3)", &[1.0; 4], &[], "bytes"),
        ] {
            let error = write(shape, values, extra).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(Features::load(&dir.path().join("none")).is_err());
        let other = Features::new(2, &[0.0; 6]).unwrap();
        assert!(frechet(&read, &other).is_err() && kernel_distance(&read, &other).is_err());
    }
}

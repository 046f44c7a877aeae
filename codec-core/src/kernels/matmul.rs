//! One checked door to the `gemm` crate.

use gemm::Parallelism;

/// A read-only matrix: element (row, column) is at `row * row_stride + column * column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The elements.
    pub data: &'a [f32],
    /// Distance between rows, in elements.
    pub row_stride: usize,
    /// Distance between columns, in elements.
    pub column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix with rows one after the other, `row_stride` apart.
    pub fn row_major(data: &'a [f32], row_stride: usize) -> Self {
        Self {
            data,
            row_stride,
            column_stride: 1,
        }
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// Number of elements that a `rows` x `columns` matrix with these strides reaches over.
    fn reach(&self, rows: usize, columns: usize) -> usize {
        reach(rows, columns, self.row_stride, self.column_stride)
    }
}

/// One past the offset of the last element; 0 for an empty matrix, saturating instead of wrapping.
fn reach(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        return 0;
    }
    let last_row = (rows - 1).saturating_mul(row_stride);
    let last_column = (columns - 1).saturating_mul(column_stride);
    last_row.saturating_add(last_column).saturating_add(1)
}

/// `out = lhs * rhs`, or `out += lhs * rhs` with `accumulate`, on the calling thread.
///
/// # Shapes
/// `lhs` is `[m, k]`, `rhs` is `[k, n]` and `out` is `[m, n]` in rows of `n` elements without gaps.
///
/// # Panics
/// If a slice is too short for its shape and strides.
pub fn matmul(
    [m, k, n]: [usize; 3],
    lhs: Matrix<'_>,
    rhs: Matrix<'_>,
    out: &mut [f32],
    accumulate: bool,
) {
    assert!(
        lhs.reach(m, k) <= lhs.data.len(),
        "left matrix too short for {m}x{k}"
    );
    assert!(
        rhs.reach(k, n) <= rhs.data.len(),
        "right matrix too short for {k}x{n}"
    );
    assert!(
        reach(m, n, n, 1) <= out.len(),
        "output too short for {m}x{n}"
    );
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if !accumulate {
            out[..m * n].fill(0.0);
        }
        return;
    }
    // SAFETY: every element the call touches is (row, column) of one of the three matrices; the asserts above
    // show that the last one of each lies inside its slice. `out` is borrowed mutably, so it overlaps neither
    // input, and its elements are distinct because its rows are `n` apart. All slices are shorter than
    // `isize::MAX` elements, so the strides of matrices with more than one row or column fit `isize`; a stride
    // that could not fit belongs to a single row or column and is only ever multiplied by 0.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            lhs.data.as_ptr(),
            lhs.column_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.column_stride as isize,
            rhs.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Matrix, matmul};

    #[test]
    fn strides_and_accumulation() {
        let lhs = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0];
        let rhs = [5.0, 6.0, 7.0, 8.0];
        let mut out = [0.0; 4];
        let lhs = Matrix::row_major(&lhs, 3);
        matmul([2, 2, 2], lhs, Matrix::row_major(&rhs, 2), &mut out, false);
        assert_eq!(out, [19.0, 22.0, 43.0, 50.0]);
        matmul(
            [2, 2, 2],
            lhs,
            Matrix::row_major(&rhs, 2).transposed(),
            &mut out,
            true,
        );
        assert_eq!(out, [36.0, 45.0, 82.0, 103.0]);
    }

    #[test]
    fn no_inner_dimension_gives_zero() {
        let mut out = [1.0; 2];
        let none = Matrix::row_major(&[], 0);
        matmul([1, 0, 2], none, none, &mut out, false);
        assert_eq!(out, [0.0; 2]);
    }

    #[test]
    #[should_panic(expected = "right matrix too short")]
    fn short_slices_are_refused() {
        let lhs = Matrix::row_major(&[1.0; 4], 2);
        matmul(
            [2, 2, 2],
            lhs,
            Matrix::row_major(&[1.0; 3], 2),
            &mut [0.0; 4],
            false,
        );
    }
}

//! Checked view of a dense float32 matrix.

use crate::error::{CoreError, Result};

/// Row-major float32 matrix: right length, at least one column, every value finite.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    n_rows: usize,
    n_cols: usize,
}

impl<'a> Matrix<'a> {
    /// Check and wrap `data`; `what` names the matrix in errors.
    ///
    /// # Errors
    /// `Shape` if the sizes do not multiply to the length or there is no column, `Data` if a value
    /// is NaN or infinite (the first such row is named).
    pub fn new(data: &'a [f32], n_rows: usize, n_cols: usize, what: &str) -> Result<Self> {
        if n_cols == 0 {
            return Err(CoreError::Shape(format!(
                "{what} must have at least one column, got shape ({n_rows}, 0)"
            )));
        }
        if n_rows.checked_mul(n_cols) != Some(data.len()) {
            return Err(CoreError::Shape(format!(
                "{what} holds {} values, which is not {n_rows} rows of {n_cols}",
                data.len()
            )));
        }
        if let Some(at) = first_not_finite(data) {
            return Err(CoreError::Data(format!(
                "{what} must be finite, but row {} holds {} in column {}",
                at / n_cols,
                data[at],
                at % n_cols
            )));
        }
        Ok(Self {
            data,
            n_rows,
            n_cols,
        })
    }

    /// Wrap rows that an index checked when it was made or read.
    pub(crate) fn known(data: &'a [f32], n_cols: usize) -> Self {
        Self {
            data,
            n_rows: data.len() / n_cols,
            n_cols,
        }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// All values, row after row.
    pub fn data(&self) -> &'a [f32] {
        self.data
    }

    /// One row.
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.n_cols..(row + 1) * self.n_cols]
    }
}

/// Where the first NaN or infinity stands.
fn first_not_finite(data: &[f32]) -> Option<usize> {
    // A block at a time, without a branch in between: nearly all blocks are finite.
    const BLOCK: usize = 256;
    let is_bad = |block: &[f32]| {
        block
            .iter()
            .fold(false, |bad, value| bad | !value.is_finite())
    };
    let block = data.chunks(BLOCK).position(is_bad)?;
    let inside = data[block * BLOCK..].iter();
    inside
        .copied()
        .position(|value| !value.is_finite())
        .map(|at| block * BLOCK + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_bad_row() {
        let data = [0.0, 1.0, f32::NAN, 2.0];
        let error = Matrix::new(&data, 2, 2, "vectors").unwrap_err();
        assert_eq!(
            error.to_string(),
            "vectors must be finite, but row 1 holds NaN in column 0"
        );
    }

    #[test]
    fn refuses_sizes_that_do_not_fit() {
        assert!(matches!(
            Matrix::new(&[1.0], 1, 2, "vectors"),
            Err(CoreError::Shape(_))
        ));
        assert!(matches!(
            Matrix::new(&[], 3, 0, "vectors"),
            Err(CoreError::Shape(_))
        ));
        assert!(matches!(
            Matrix::new(&[], usize::MAX, 2, "vectors"),
            Err(CoreError::Shape(_))
        ));
    }
}

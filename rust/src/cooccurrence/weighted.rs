//! Sparse matrices: rows with a weight for every value.

use crate::csr::Csr;
use crate::error::Result;
use crate::mapped::{Array, IndexFile, Part};

/// A row is its columns and their weights.
#[derive(Debug)]
pub(super) struct Weighted {
    pub columns: Csr,
    pub weights: Array<f32>,
}

impl Weighted {
    /// Columns and weights of a row.
    #[inline]
    pub fn row(&self, row: u32) -> impl Iterator<Item = (u32, f64)> + '_ {
        let range = self.columns.range(row as usize);
        let columns = self.columns.values()[range.clone()].iter().copied();
        columns.zip(self.weights[range].iter().map(|&weight| f64::from(weight)))
    }

    /// What is saved, under names that begin with `name`.
    pub fn parts(&self, name: &str) -> [(String, Part<'_>); 3] {
        [
            (format!("{name}.values"), Part::U32(self.columns.values())),
            (format!("{name}.offsets"), Part::U64(self.columns.offsets())),
            (format!("{name}.weights"), Part::F32(&self.weights)),
        ]
    }

    /// Read what `parts` named: a matrix (`n_items`, `n_items`).
    pub fn read(file: &IndexFile, name: &str, n_items: usize) -> Result<Self> {
        let columns = Csr::read(file, name, n_items)?;
        let weights: Array<f32> = file.array(&format!("{name}.weights"))?;
        let fits = columns.n_rows() == n_items && weights.len() == columns.values().len();
        if !fits || weights.iter().any(|weight| !weight.is_finite()) {
            return Err(file.damaged(&format!("\"{name}\" holds no weighted rows")));
        }
        Ok(Self { columns, weights })
    }
}

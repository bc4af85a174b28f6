//! The scan: approximate scores of a few queries and many items in float32.
//!
//! Items lie in panels of [`LANES`] with the columns interleaved, so that one step of the loop works on
//! neighbouring values and the compiler uses whatever vectors the target has.

use rayon::prelude::*;

use super::canonical::norm;
use crate::matrix::Matrix;

/// Items of a panel.
pub const LANES: usize = 16;
/// Queries of a tile; with two, all sums of a tile stay in registers even of the oldest x86-64.
pub const TILE: usize = 2;

/// Scores of a tile: one row a query.
pub type TileScores = [[f32; LANES]; TILE];

/// Items in panels.
#[derive(Debug)]
pub struct Panels {
    /// `[panel][column][lane]`; lanes behind the last item hold zeros.
    values: Vec<f32>,
    /// The longest row of each panel.
    norms: Vec<f64>,
    dim: usize,
}

impl Panels {
    /// Interleave the rows.
    pub fn new(rows: Matrix<'_>) -> Self {
        let dim = rows.n_cols();
        let n_panels = rows.n_rows().div_ceil(LANES);
        let mut values = vec![0.0; n_panels * dim * LANES];
        let mut norms = vec![0.0; n_panels];
        values
            .par_chunks_exact_mut(dim * LANES)
            .zip(&mut norms)
            .enumerate()
            .for_each(|(panel, (values, longest))| {
                let first = panel * LANES;
                for item in first..rows.n_rows().min(first + LANES) {
                    let row = rows.row(item);
                    *longest = norm(row).max(*longest);
                    for (column, &value) in row.iter().enumerate() {
                        values[column * LANES + item - first] = value;
                    }
                }
            });
        Self { values, norms, dim }
    }

    /// Number of panels.
    pub fn len(&self) -> usize {
        self.norms.len()
    }

    /// Length of the longest row of a panel.
    pub fn norm(&self, panel: usize) -> f64 {
        self.norms[panel]
    }

    /// Approximate scores of a tile of queries and a panel: the dot, or minus the squared distance.
    pub fn scores(&self, panel: usize, queries: &Tile, euclidean: bool) -> TileScores {
        let size = self.dim * LANES;
        let values = &self.values[panel * size..(panel + 1) * size];
        if euclidean {
            accumulate(values, &queries.0, |sum, query, item| {
                let difference = query - item;
                sum - difference * difference
            })
        } else {
            accumulate(values, &queries.0, |sum, query, item| sum + query * item)
        }
    }
}

/// A few queries with the columns interleaved; missing ones are zero.
#[derive(Debug)]
pub struct Tile(Vec<[f32; TILE]>);

impl Tile {
    /// Interleave up to [`TILE`] rows from `first` on.
    pub fn new(queries: Matrix<'_>, first: usize) -> Self {
        let mut columns = vec![[0.0; TILE]; queries.n_cols()];
        for row in first..queries.n_rows().min(first + TILE) {
            for (column, &value) in columns.iter_mut().zip(queries.row(row)) {
                column[row - first] = value;
            }
        }
        Self(columns)
    }
}

fn accumulate(
    panel: &[f32],
    queries: &[[f32; TILE]],
    step: impl Fn(f32, f32, f32) -> f32,
) -> TileScores {
    let mut sums = [[0.0; LANES]; TILE];
    for (items, queries) in panel.as_chunks::<LANES>().0.iter().zip(queries) {
        for (sums, &query) in sums.iter_mut().zip(queries) {
            for (sum, &item) in sums.iter_mut().zip(items) {
                *sum = step(*sum, query, item);
            }
        }
    }
    sums
}

//! Exact top-k over dense vectors.

mod canonical;

use rayon::prelude::*;

pub use canonical::Similarity;

use crate::error::{CoreError, Result};
use crate::lists::{Lists, Scored, keep_best};
use crate::matrix::Matrix;
use crate::parallel::Stop;
use crate::sessions::{Sessions, check_mask};

/// Item vectors ready to be searched.
#[derive(Debug)]
pub struct ItemIndex {
    rows: Vec<f32>,
    n_items: usize,
    dim: usize,
    similarity: Similarity,
}

/// Which items a search may list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed<'a> {
    /// Items left out, one row a query.
    pub exclude: Option<Sessions<'a>>,
    /// One value an item; false leaves it out for every query.
    pub candidates: Option<&'a [bool]>,
}

impl ItemIndex {
    /// Copy the rows; cosine brings them to unit length.
    ///
    /// # Errors
    /// `Data` if there is no item or more than an int32 can number.
    pub fn new(vectors: Matrix<'_>, similarity: Similarity) -> Result<Self> {
        if vectors.n_rows() == 0 {
            return Err(CoreError::Data(
                "an index needs at least one item vector, got none".into(),
            ));
        }
        if i32::try_from(vectors.n_rows()).is_err() {
            return Err(CoreError::Data(format!(
                "an index numbers items in int32, got {} items",
                vectors.n_rows()
            )));
        }
        Ok(Self {
            rows: prepared_rows(vectors, similarity),
            n_items: vectors.n_rows(),
            dim: vectors.n_cols(),
            similarity,
        })
    }

    /// Number of items.
    pub fn n_items(&self) -> usize {
        self.n_items
    }

    /// Width of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The best `k` items of each query by canonical score, ties to the lower index.
    ///
    /// # Errors
    /// `Config` for `k` = 0, `Shape` for queries, exclusions or a mask of another size, `Stopped`.
    pub fn search(
        &self,
        queries: Matrix<'_>,
        k: usize,
        allowed: Allowed<'_>,
        stop: &Stop,
    ) -> Result<Lists> {
        if queries.n_cols() != self.dim {
            return Err(CoreError::Shape(format!(
                "queries must have {} columns like the item vectors, got {}",
                self.dim,
                queries.n_cols()
            )));
        }
        if let Some(exclude) = allowed.exclude {
            exclude.expect_rows(queries.n_rows(), "exclude", "queries")?;
        }
        check_mask(allowed.candidates, self.n_items)?;
        let prepared = prepared_rows(queries, self.similarity);
        let queries = Matrix::new(&prepared, queries.n_rows(), self.dim, "queries")?;
        Lists::fill(
            queries.n_rows(),
            k,
            stop,
            Vec::new,
            |found: &mut Vec<Scored>, row| {
                let excluded = allowed.exclude.map_or(&[][..], |exclude| exclude.row(row));
                found.clear();
                for item in 0..self.n_items {
                    if allowed.candidates.is_some_and(|mask| !mask[item])
                        || excluded.contains(&(item as i32))
                    {
                        continue;
                    }
                    let vector = &self.rows[item * self.dim..(item + 1) * self.dim];
                    let score = self.similarity.score(queries.row(row), vector);
                    found.push(Scored::new(item as u32, score));
                }
                keep_best(found, k);
            },
        )
    }
}

fn prepared_rows(vectors: Matrix<'_>, similarity: Similarity) -> Vec<f32> {
    let mut rows: Vec<f32> = (0..vectors.n_rows())
        .flat_map(|row| vectors.row(row))
        .copied()
        .collect();
    if similarity == Similarity::Cosine {
        rows.par_chunks_exact_mut(vectors.n_cols())
            .for_each(canonical::to_unit_length);
    }
    rows
}

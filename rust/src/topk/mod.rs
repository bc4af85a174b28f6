//! Exact top-k over dense vectors.
//!
//! A float32 scan of all items leaves those that a proven bound (`bound`) cannot rule out, a few more than
//! k; the canonical score (`canonical`) of these alone decides the list.

mod bound;
mod canonical;
mod panels;
mod survivors;

use std::ops::Range;

use rayon::prelude::*;

pub use canonical::Similarity;

use crate::error::{CoreError, Result};
use crate::lists::{Lists, Scored, keep_best, write_row};
use crate::matrix::Matrix;
use crate::parallel::Stop;
use crate::sessions::{Sessions, check_mask};
use bound::Bound;
use panels::{LANES, Panels, TILE, Tile};
use survivors::Survivors;

/// Item values that are scanned for many queries before the next ones are loaded.
const BLOCK_BYTES: usize = 256 * 1024;
const LARGEST_GROUP: usize = 32;

/// Item vectors ready to be searched.
#[derive(Debug)]
pub struct ItemIndex {
    /// Original rows (of unit length for cosine): the canonical score reads them.
    rows: Vec<f32>,
    /// The same rows as the scan reads them.
    panels: Panels,
    bound: Bound,
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
        let (n_items, dim) = (vectors.n_rows(), vectors.n_cols());
        let rows = prepared_rows(vectors, similarity);
        let panels = Panels::new(Matrix::new(&rows, n_items, dim, "vectors")?);
        Ok(Self {
            rows,
            panels,
            bound: Bound::new(dim, similarity == Similarity::Euclidean),
            n_items,
            dim,
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
        let mut lists = Lists::empty(queries.n_rows(), k)?;
        let group = group_size(queries.n_rows());
        lists
            .items
            .par_chunks_mut(group * k)
            .zip(lists.scores.par_chunks_mut(group * k))
            .enumerate()
            .try_for_each_init(Vec::new, |survivors, (number, (items, scores))| {
                let rows = number * group..queries.n_rows().min((number + 1) * group);
                self.scan(queries, rows.clone(), k, allowed, survivors, stop)?;
                let places = items.chunks_exact_mut(k).zip(scores.chunks_exact_mut(k));
                for ((row, survivors), (items, scores)) in rows.zip(survivors).zip(places) {
                    stop.check()?;
                    let scored = survivors.items().map(|item| {
                        let score = self
                            .similarity
                            .score(queries.row(row), self.row(item as usize));
                        Scored::new(item, score)
                    });
                    let mut best: Vec<Scored> = scored.collect();
                    keep_best(&mut best, k);
                    write_row(&best, items, scores);
                }
                Ok(())
            })?;
        Ok(lists)
    }

    /// Scan all items for some queries; block by block, so that a block stays in the cache.
    fn scan(
        &self,
        queries: Matrix<'_>,
        rows: Range<usize>,
        k: usize,
        allowed: Allowed<'_>,
        survivors: &mut Vec<Survivors>,
        stop: &Stop,
    ) -> Result<()> {
        survivors.resize_with(rows.len(), Survivors::default);
        for (survivors, row) in survivors.iter_mut().zip(rows.clone()) {
            let excluded = allowed.exclude.map_or(&[][..], |exclude| exclude.row(row));
            survivors.start(k, canonical::norm(queries.row(row)), excluded);
        }
        let tiles: Vec<Tile> = rows
            .step_by(TILE)
            .map(|first| Tile::new(queries, first))
            .collect();
        let block = (BLOCK_BYTES / (self.dim * LANES * size_of::<f32>())).max(1);
        let is_allowed =
            |item: usize| item < self.n_items && allowed.candidates.is_none_or(|mask| mask[item]);
        for first in (0..self.panels.len()).step_by(block) {
            stop.check()?;
            for (tile, survivors) in tiles.iter().zip(survivors.chunks_mut(TILE)) {
                for panel in first..self.panels.len().min(first + block) {
                    let scores = self.panels.scores(panel, tile, self.euclidean());
                    for (survivors, scores) in survivors.iter_mut().zip(&scores) {
                        survivors.add(scores, panel, &self.panels, &self.bound, is_allowed, k);
                    }
                }
            }
        }
        for survivors in survivors {
            survivors.tighten(&self.panels, &self.bound, k);
        }
        Ok(())
    }

    fn row(&self, item: usize) -> &[f32] {
        &self.rows[item * self.dim..(item + 1) * self.dim]
    }

    fn euclidean(&self) -> bool {
        self.similarity == Similarity::Euclidean
    }
}

/// Queries that share a pass over the items: many reuse a block, few leave no thread idle.
fn group_size(n_queries: usize) -> usize {
    let fair = n_queries.div_ceil(4 * rayon::current_num_threads());
    fair.next_multiple_of(TILE).clamp(TILE, LARGEST_GROUP)
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

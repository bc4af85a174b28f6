//! Exact top-k over dense vectors.
//!
//! A scan of 8-bit copies of the items (`store`, `kernels`) with a proven bound (`bound`) leaves a few more items
//! than are asked for; the canonical score (`canonical`) of these alone decides the list. Of many
//! queries the scan keeps two numbers for each panel of 16 items, never the scores.

mod axes;
mod bound;
mod canonical;
mod fill;
mod find;
mod gather;
mod kernels;
mod plan;
mod project;
mod quantise;
mod query;
mod rank;
mod saving;
mod scan;
mod search;
mod seed;
mod space;
mod store;

use std::borrow::Cow;
use std::sync::OnceLock;

use rayon::prelude::*;

pub use canonical::Similarity;
pub use kernels::Layout;
pub use project::Front;
pub use saving::{FORMAT, VERSION};
pub use search::Allowed;

use crate::error::{CoreError, Result};
use crate::mapped::Array;
use crate::matrix::Matrix;
use crate::shelf::Shelf;
use bound::Needs;
use kernels::{BLOCK, Kernels};
use project::Axes;
use saving::Numbers;
use search::Desks;
use space::{Space, length};
use store::Store;

/// Bytes of items that are taken to stay in a cache.
const CACHE: usize = 1 << 23;
/// Sums of wider rows might leave 32 bits.
const WIDEST: usize = 1 << 16;

/// Item vectors ready to be searched.
#[derive(Debug)]
pub struct ItemIndex {
    /// Original rows (of unit length for cosine): the canonical score reads them.
    rows: Array<f32>,
    similarity: Similarity,
    space: Space,
    store: Store,
    needs: Needs,
    n_items: usize,
    /// Lanes of each panel that hold an item.
    lanes: Vec<u16>,
    numbers: Numbers,
    /// Place of each item in the scan, made for the first search that excludes items.
    places: OnceLock<Vec<u32>>,
    desks: Shelf<Desks>,
}

impl ItemIndex {
    /// Copy the rows; cosine brings them to unit length.
    ///
    /// # Errors
    /// `Data` if there is no item or more than an int32 can number, `Config` for rows of more than 65,536
    /// values.
    pub fn new(vectors: Matrix<'_>, similarity: Similarity) -> Result<Self> {
        let (n_items, dim) = (vectors.n_rows(), vectors.n_cols());
        let kernels = Kernels::chosen()?;
        Self::made(vectors, similarity, |sampled| {
            axes::choose(sampled, dim, n_items, CACHE, kernels)
        })
    }

    /// As [`Self::new`], scanned by so many axes with such a front: that decides how items are read, not what is found.
    ///
    /// # Errors
    /// As [`Self::new`], and `Config` for axes that are no multiple of 32 or more than the rows are wide, or fewer
    /// than the front has.
    pub fn with_axes(
        vectors: Matrix<'_>,
        similarity: Similarity,
        n_axes: usize,
        front: Front,
    ) -> Result<Self> {
        let dim = vectors.n_cols();
        let fits = n_axes > 0 && n_axes.is_multiple_of(BLOCK) && n_axes <= dim;
        if !fits || !front.layout.is_whole() || front.layout.width() > n_axes {
            return Err(CoreError::Config(format!(
                "rows of {dim} values cannot be scanned by {n_axes} axes with a front of {front:?}"
            )));
        }
        Self::made(vectors, similarity, |sampled| {
            axes::of(sampled, dim, n_axes, front)
        })
    }

    /// As [`Self::new`], with the axes that are made of a sample of the centred rows.
    fn made(
        vectors: Matrix<'_>,
        similarity: Similarity,
        axes: impl FnOnce(&[f32]) -> Option<Axes>,
    ) -> Result<Self> {
        let (n_items, dim) = (vectors.n_rows(), vectors.n_cols());
        if n_items == 0 {
            return Err(CoreError::Data(
                "an index needs at least one item vector, got none".into(),
            ));
        }
        if i32::try_from(n_items).is_err() {
            return Err(CoreError::Data(format!(
                "an index numbers items in int32, got {n_items} items"
            )));
        }
        if dim > WIDEST {
            return Err(CoreError::Config(format!(
                "an index takes vectors of at most {WIDEST} values, got {dim}; reduce them first"
            )));
        }
        let kernels = Kernels::chosen()?;
        let rows = Array::copy_of(&prepared_rows(vectors, similarity, true));
        let row = |item: usize| &rows[item * dim..(item + 1) * dim];
        let longest = (0..n_items).into_par_iter().map(|item| length(row(item)));
        let longest = longest.reduce(|| 0.0, f64::max);
        let mut space = Space {
            centre: vec![0.0; dim],
            exponent: Space::exponent_of(longest),
            axes: None,
        };
        space.centre = space.mean(&rows);
        let mut sampled = vec![0.0; axes::sample(n_items).count() * dim];
        for (item, out) in axes::sample(n_items).zip(sampled.chunks_exact_mut(dim)) {
            space.centred(row(item), space.exponent, out);
        }
        space.axes = axes(&sampled);
        let order = space.order(&rows, kernels);
        let loss = similarity == Similarity::Euclidean;
        let store = Store::new(&rows, &space, order, loss, kernels);
        let longest = space.longest(&rows);
        Ok(Self::assemble(rows, similarity, space, store, longest))
    }

    fn assemble(
        rows: Array<f32>,
        similarity: Similarity,
        space: Space,
        store: Store,
        longest: f64,
    ) -> Self {
        let n_items = store.order.len();
        let dim = space.centre.len();
        Self {
            needs: Needs {
                similarity,
                dim,
                longest,
            },
            numbers: Numbers::new(n_items, similarity, &space, longest),
            lanes: store.lanes(None),
            rows,
            similarity,
            space,
            store,
            n_items,
            places: OnceLock::new(),
            desks: Shelf::default(),
        }
    }

    /// Number of items.
    pub fn n_items(&self) -> usize {
        self.n_items
    }

    /// Width of a vector.
    pub fn dim(&self) -> usize {
        self.needs.dim
    }

    /// How items and queries compare.
    pub fn similarity(&self) -> Similarity {
        self.similarity
    }

    /// Place of each item in the scan.
    fn places(&self) -> &[u32] {
        self.places.get_or_init(|| {
            let mut places = vec![0; self.n_items];
            for (place, &item) in self.store.order.iter().enumerate() {
                places[item as usize] = place as u32;
            }
            places
        })
    }
}

/// Rows of unit length for cosine, else as they are; `spread` among threads.
fn prepared_rows(vectors: Matrix<'_>, similarity: Similarity, spread: bool) -> Cow<'_, [f32]> {
    if similarity != Similarity::Cosine {
        return Cow::Borrowed(vectors.data());
    }
    let mut rows = vectors.data().to_vec();
    let (dim, work) = (vectors.n_cols(), canonical::to_unit_length);
    if spread {
        rows.par_chunks_exact_mut(dim).for_each(work);
    } else {
        rows.chunks_exact_mut(dim).for_each(work);
    }
    Cow::Owned(rows)
}

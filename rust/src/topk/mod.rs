//! Exact top-k over dense vectors.
//!
//! A scan of 8-bit copies of the items (`store`, `kernels`) with a proven bound (`bound`) leaves a few more items
//! than are asked for; the canonical score (`canonical`) of these alone decides the list. The scan keeps two
//! numbers for each query and panel of 16 items, never the scores.

mod axes;
mod bound;
mod canonical;
mod find;
mod gather;
mod kernels;
mod plan;
mod quantise;
mod query;
mod rank;
mod saving;
mod seed;
mod space;
mod store;

use std::borrow::Cow;
use std::sync::OnceLock;

use rayon::prelude::*;

pub use canonical::Similarity;
pub use kernels::Layout;
pub use saving::{FORMAT, VERSION};

use crate::error::{CoreError, Result};
use crate::helper::{Helper, with_helper};
use crate::lists::{Lists, write_row};
use crate::mapped::Array;
use crate::matrix::Matrix;
use crate::parallel::Stop;
use crate::sessions::{Sessions, check_mask};
use crate::shelf::Shelf;
use bound::Needs;
use find::{Finder, Scratch};
use gather::{Gatherer, Scanned};
use kernels::{BLOCK, Kernels};
use plan::Plan;
use query::Group;
use rank::Ranker;
use saving::Numbers;
use space::{Axes, Space, length};
use store::Store;

/// Byte products that are done before another thread would have started.
const SHORT: usize = 1 << 23;
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
    shelf: Shelf<Worker>,
}

/// Buffers of one worker.
#[derive(Debug, Default)]
struct Worker {
    group: Group,
    maxima: Vec<i32>,
    scratch: Scratch,
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
    /// `Data` if there is no item or more than an int32 can number, `Config` for rows of more than 65,536
    /// values.
    pub fn new(vectors: Matrix<'_>, similarity: Similarity) -> Result<Self> {
        let (n_items, dim) = (vectors.n_rows(), vectors.n_cols());
        let kernels = Kernels::chosen()?;
        Self::made(vectors, similarity, |sampled| {
            axes::choose(sampled, dim, n_items, CACHE, kernels)
        })
    }

    /// As [`Self::new`], scanned by so many axes, of which up to `few` queries read the front alone: that decides how
    /// items are read, not what is found.
    ///
    /// # Errors
    /// As [`Self::new`], and `Config` for axes that are no multiple of 32 or more than the rows are wide, or fewer
    /// than the front has.
    pub fn with_axes(
        vectors: Matrix<'_>,
        similarity: Similarity,
        n_axes: usize,
        front: Layout,
        few: usize,
    ) -> Result<Self> {
        let dim = vectors.n_cols();
        let fits = n_axes > 0 && n_axes.is_multiple_of(BLOCK) && n_axes <= dim;
        if !fits || !front.is_whole() || front.width() > n_axes {
            return Err(CoreError::Config(format!(
                "rows of {dim} values cannot be scanned by {n_axes} axes with a front of {front:?}"
            )));
        }
        Self::made(vectors, similarity, |sampled| {
            axes::of(sampled, dim, n_axes, front, few)
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
        let rows = Array::copy_of(&prepared_rows(vectors, similarity));
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
        let longest = space.longest(&rows, kernels);
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
            shelf: Shelf::default(),
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

    /// Whether a search of so many queries is over before other threads would have started; it then runs
    /// in the calling thread, and in a helper that is awake.
    pub fn is_short(&self, n_queries: usize) -> bool {
        n_queries.saturating_mul(self.n_items * self.store.width) <= SHORT
    }

    /// The best `k` items of each query by canonical score, ties to the lower index.
    ///
    /// # Errors
    /// `Config` for `k` = 0 or a CPU path that this machine lacks, `Shape` for queries, exclusions or a mask
    /// of another size, `Stopped`.
    pub fn search(
        &self,
        queries: Matrix<'_>,
        k: usize,
        allowed: Allowed<'_>,
        stop: &Stop,
    ) -> Result<Lists> {
        self.search_helped(queries, k, allowed, stop, false)
    }

    /// As [`Self::search`]; the helper, if it is `welcome` and awake, does half of a short search.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn search_helped(
        &self,
        queries: Matrix<'_>,
        k: usize,
        allowed: Allowed<'_>,
        stop: &Stop,
        welcome: bool,
    ) -> Result<Lists> {
        let (n_queries, dim) = (queries.n_rows(), self.dim());
        if queries.n_cols() != dim {
            return Err(CoreError::Shape(format!(
                "queries must have {dim} columns like the item vectors, got {}",
                queries.n_cols()
            )));
        }
        if let Some(exclude) = allowed.exclude {
            exclude.expect_rows(n_queries, "exclude", "queries")?;
        }
        check_mask(allowed.candidates, self.n_items)?;
        let mut lists = Lists::empty(n_queries, k)?;
        let lanes = allowed.candidates.map(|mask| self.store.lanes(Some(mask)));
        let lanes = lanes.as_deref().unwrap_or(&self.lanes);
        let is_short = self.is_short(n_queries);
        let plan = Plan::of(n_queries, lanes.len(), is_short);
        let shared = welcome && is_short;
        let kernels = Kernels::chosen()?;
        let finder = Finder {
            gatherer: Gatherer {
                kernels,
                store: &self.store,
                dim,
                loss: self.similarity == Similarity::Euclidean,
                lanes,
                from: 0,
                to: lanes.len(),
                chunk: plan.chunk,
                shared: plan.shared,
            },
            ranker: Ranker {
                kernels,
                rows: &self.rows,
                order: &self.store.order,
                needs: self.needs,
                k,
            },
        };
        let prepared = prepared_rows(queries, self.similarity);
        let of_group = plan.group * k;
        let places = lists.items.chunks_mut(of_group);
        let places = places.zip(lists.scores.chunks_mut(of_group));
        let queries = prepared.chunks(plan.group * dim).enumerate();
        let groups = queries.zip(places);
        let work = |((number, queries), (items, scores)): (_, (&mut [i32], &mut [f32]))| {
            stop.check()?;
            let first = number * plan.group;
            let places = items.chunks_exact_mut(k).zip(scores.chunks_exact_mut(k));
            self.search_group(finder, shared, queries, first, allowed.exclude, places);
            Ok(())
        };
        if plan.spread {
            let groups: Vec<_> = groups.collect();
            groups.into_par_iter().try_for_each(work)?;
        } else {
            for group in groups {
                work(group)?;
            }
        }
        Ok(lists)
    }

    /// Make the lists of some queries, of which the first is number `first`.
    fn search_group<'a>(
        &self,
        finder: Finder<'_>,
        shared: bool,
        queries: &[f32],
        first: usize,
        exclude: Option<Sessions<'_>>,
        lists: impl Iterator<Item = (&'a mut [i32], &'a mut [f32])>,
    ) {
        let find = |finder: Finder<'_>, worker: &mut Worker| {
            self.find(finder, queries, first, exclude, worker);
        };
        let mut worker = self.shelf.lend(Worker::default);
        let mut search = |company: Option<(&Helper, [Finder<'_>; 2])>| {
            let Some((helper, [own, other])) = company else {
                return worker.work(|worker| find(finder, worker));
            };
            let mut second = self.shelf.lend(Worker::default);
            helper.beside(
                || worker.work(|worker| find(own, worker)),
                || second.work(|worker| find(other, worker)),
            );
            worker.work(|worker| {
                let (n_queries, k) = (worker.group.known.len(), finder.ranker.k);
                second.work(|second| worker.scratch.join(&second.scratch, n_queries, k));
            });
        };
        match finder.halves().filter(|_| shared) {
            Some(halves) => with_helper(|helper| search(helper.map(|helper| (helper, halves)))),
            None => search(None),
        }
        worker.work(|worker| {
            for (ranking, (items, scores)) in worker.scratch.rankings.iter().zip(lists) {
                write_row(&ranking.best, items, scores);
            }
        });
    }

    /// Rank what the finder's panels hold for some queries, of which the first is number `first`.
    fn find(
        &self,
        finder: Finder<'_>,
        queries: &[f32],
        first: usize,
        exclude: Option<Sessions<'_>>,
        worker: &mut Worker,
    ) {
        let Worker {
            group,
            maxima,
            scratch,
        } = worker;
        let (gatherer, longest) = (finder.gatherer, self.needs.longest);
        let (space, similarity) = (&self.space, self.similarity);
        let kernels = gatherer.kernels;
        kernels.compiled(
            #[inline(always)]
            || group.prepare(queries, space, similarity, longest, kernels),
        );
        gatherer.scan(group, maxima);
        let n_queries = group.known.len();
        scratch.fit(n_queries);
        for (number, wanted) in scratch.wanted.iter_mut().enumerate().take(n_queries) {
            wanted.excluded.clear();
            if let Some(exclude) = exclude {
                let (items, places) = (exclude.row(first + number), self.places());
                let excluded = items.iter().map(|&item| places[item as usize]);
                wanted.excluded.extend(excluded);
                wanted.excluded.sort_unstable();
            }
        }
        let codes: Vec<_> = group.codes().collect();
        let scanned = Scanned {
            group,
            codes: &codes,
            maxima,
        };
        finder.find(scanned, queries, scratch);
    }

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

/// Rows of unit length for cosine, else as they are.
fn prepared_rows(vectors: Matrix<'_>, similarity: Similarity) -> Cow<'_, [f32]> {
    if similarity != Similarity::Cosine {
        return Cow::Borrowed(vectors.data());
    }
    let mut rows = vectors.data().to_vec();
    let (dim, work) = (vectors.n_cols(), canonical::to_unit_length);
    if rows.len() < SHORT / 8 {
        rows.chunks_exact_mut(dim).for_each(work);
    } else {
        rows.par_chunks_exact_mut(dim).for_each(work);
    }
    Cow::Owned(rows)
}

//! From the maxima of a group of queries to their lists.
//!
//! Twice the panels whose bound reaches something are scored again: first to find, for each query, the items
//! that look best, whose canonical scores say what a listed item needs; then to find all that may have that.

use std::ops::Range;

use rayon::prelude::*;

use super::bound::Needs;
use super::canonical::{Similarity, score_of};
use super::kernels::{Hit, Kernels, LANES, Look, Maxima};
use super::query::Group;
use super::seed::Seed;
use super::store::Store;
use crate::lists::{Scored, keep_best};
use crate::simd::prefetch;

/// Rows that are asked for together before they are read.
const BATCH: usize = 16;

/// What all queries of a search share.
#[derive(Debug, Clone, Copy)]
pub struct Finder<'a> {
    pub kernels: Kernels,
    pub store: &'a Store,
    /// Original rows (of unit length for cosine), (item, dim).
    pub rows: &'a [f32],
    pub needs: Needs,
    /// Lanes of each panel that may be listed.
    pub lanes: &'a [u16],
    /// Panels of a chunk of maxima, which hold a row for each query.
    pub chunk: usize,
    /// Places of a list.
    pub k: usize,
    /// Whether a group's chunks are shared among threads.
    pub shared: bool,
}

/// One query on its way to its list.
#[derive(Debug, Default)]
pub struct Search {
    /// Places of the scan that must not be listed, ascending.
    pub excluded: Vec<u32>,
    /// The best so far, best first; in the end the list.
    pub best: Vec<Scored>,
    /// In float64, as canonical sums read it.
    query: Vec<f64>,
    /// No product with an item is larger.
    reach: f64,
    candidates: Vec<Hit>,
    /// Places that have been scored, ascending.
    seen: Vec<u32>,
    /// What a bound must reach.
    needed: f32,
}

/// Buffers of one worker.
#[derive(Debug, Default)]
pub struct Scratch {
    /// One for each query of the group, and more that wait for a larger group.
    pub searches: Vec<Search>,
    reached: Reached,
}

/// Panels whose bound reaches what a query needs.
#[derive(Debug, Default)]
struct Reached {
    /// Query by query.
    pairs: Vec<Pair>,
    /// Panel by panel.
    sorted: Vec<Pair>,
    /// Where each panel's pairs begin.
    starts: Vec<u32>,
    /// What the panels hold.
    found: Vec<Hit>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    panel: u32,
    query: u32,
}

impl Search {
    /// Begin with a query as it came (of unit length for cosine); `excluded` is filled by the caller.
    fn start(&mut self, query: &[f32], reach: f64) {
        self.reach = reach;
        self.best.clear();
        self.seen.clear();
        self.candidates.clear();
        self.query.clear();
        self.query
            .extend(query.iter().map(|&value| f64::from(value)));
    }

    /// Lanes of a panel without the excluded places.
    fn listable(&self, panel: u32, mut lanes: u16) -> u16 {
        let first = panel * LANES as u32;
        let from = self.excluded.partition_point(|&place| place < first);
        for &place in &self.excluded[from..] {
            if place - first >= LANES as u32 {
                break;
            }
            lanes &= !(1 << (place - first));
        }
        lanes
    }

    /// Forget the candidates that have been scored; those with the highest bounds first.
    fn order(&mut self) {
        let Self {
            seen, candidates, ..
        } = self;
        if !seen.is_empty() {
            candidates.retain(|candidate| seen.binary_search(&candidate.place).is_err());
        }
        candidates.sort_unstable_by(|left, right| right.most.total_cmp(&left.most));
    }
}

impl Finder<'_> {
    /// Make the lists of a group's queries.
    pub fn find(self, group: &Group, queries: &[f32], maxima: &[i32], scratch: &mut Scratch) {
        let n_queries = group.known.len();
        let Scratch { searches, reached } = scratch;
        let searches = &mut searches[..n_queries];
        let rows = queries.chunks_exact(self.needs.dim);
        for (number, (search, query)) in searches.iter_mut().zip(rows).enumerate() {
            search.start(query, group.known[number].asked.reach());
            search.needed = self.seed(group, number, maxima, search.excluded.len());
        }
        self.gather(group, maxima, false, searches, reached);
        for search in searches.iter_mut() {
            self.choose(search);
        }
        for number in 0..n_queries {
            if let Some(next) = searches.get(number + 1) {
                self.expect(&next.candidates);
            }
            self.plant(group, number, &mut searches[number]);
        }
        self.gather(group, maxima, true, searches, reached);
        for search in searches.iter_mut() {
            search.order();
        }
        for number in 0..n_queries {
            if let Some(next) = searches.get(number + 1) {
                self.expect(&next.candidates);
            }
            self.settle(group, number, &mut searches[number]);
        }
    }

    /// Ask for the rows of a first batch.
    fn expect(self, candidates: &[Hit]) {
        for candidate in candidates.iter().take(BATCH) {
            prefetch(self.row(candidate.place));
        }
    }

    /// Row of the item at a place.
    fn row(&self, place: u32) -> &[f32] {
        let item = self.store.order[place as usize] as usize;
        &self.rows[item * self.needs.dim..(item + 1) * self.needs.dim]
    }

    /// Keep the `k` candidates that look best.
    fn choose(self, search: &mut Search) {
        let candidates = &mut search.candidates;
        if candidates.len() > self.k {
            let by_most = |left: &Hit, right: &Hit| right.most.total_cmp(&left.most);
            candidates.select_nth_unstable_by(self.k - 1, by_most);
            candidates.truncate(self.k);
        }
    }

    /// A level that enough panels reach to hold `k` items that are not excluded.
    fn seed(self, group: &Group, number: usize, maxima: &[i32], n_excluded: usize) -> f32 {
        let mut seed = Seed::default();
        for chunk in 0..self.n_chunks() {
            let (panels, row) = self.chunk(group, number, chunk);
            let step = group.known[number].step;
            seed.add(&maxima[row], self.store.stats(panels, group.depth), step);
        }
        seed.reached_by(self.k.saturating_add(n_excluded), self.kernels)
    }

    /// Score the chosen candidates, so that a k-th best score is known.
    fn plant(self, group: &Group, number: usize, search: &mut Search) {
        for start in (0..search.candidates.len()).step_by(BATCH) {
            self.score(start, search);
        }
        let Search {
            seen, candidates, ..
        } = search;
        seen.extend(candidates.iter().map(|candidate| candidate.place));
        seen.sort_unstable();
        candidates.clear();
        search.needed = self.needed(group, number, search);
    }

    /// Score what was gathered, the highest bounds first, until no bound reaches the list.
    fn settle(self, group: &Group, number: usize, search: &mut Search) {
        for start in (0..search.candidates.len()).step_by(BATCH) {
            if !search.candidates[start].reaches(self.needed(group, number, search)) {
                break;
            }
            self.score(start, search);
        }
        keep_best(&mut search.best, self.k);
    }

    /// What the bound of an item must reach to belong to the best so far.
    fn needed(self, group: &Group, number: usize, search: &Search) -> f32 {
        let Some(last) = search.best.get(self.k - 1) else {
            return f32::NEG_INFINITY;
        };
        let known = &group.known[number];
        let needed = self.needs.of(known.asked, last.score) - known.extra;
        (needed as f32).next_down()
    }

    /// Give each search the candidates whose bound, with or without its `errors`, reaches what is needed.
    fn gather(
        self,
        group: &Group,
        maxima: &[i32],
        errors: bool,
        searches: &mut [Search],
        reached: &mut Reached,
    ) {
        let all = &*searches;
        if self.shared {
            let chunks = (0..self.n_chunks()).into_par_iter().flat_map_iter(|chunk| {
                let mut reached = Reached::default();
                self.reach(group, maxima, chunk, errors, all, &mut reached);
                reached.found
            });
            reached.found.clear();
            reached.found.par_extend(chunks);
        } else {
            self.reach(group, maxima, 0, errors, all, reached);
        }
        for &hit in &reached.found {
            searches[hit.query as usize].candidates.push(hit);
        }
    }

    /// What one chunk holds of all searches' candidates.
    fn reach(
        self,
        group: &Group,
        maxima: &[i32],
        chunk: usize,
        errors: bool,
        searches: &[Search],
        reached: &mut Reached,
    ) {
        let Reached {
            pairs,
            sorted,
            starts,
            found,
        } = reached;
        pairs.clear();
        for (number, search) in searches.iter().enumerate() {
            self.sweep(group, number, maxima, chunk, errors, search.needed, pairs);
        }
        let (panels, _) = self.chunk(group, 0, chunk);
        by_panel(pairs, panels.clone(), starts, sorted);
        found.clear();
        let stats = self.store.stats(panels.clone(), self.store.width);
        // Where the scan reads a part of an item, what is left may lower all that looked good.
        let guess = !errors && group.depth < self.store.width;
        let mut looks = Vec::with_capacity(searches.len());
        let mut panels_left = sorted
            .chunk_by(|left, right| left.panel == right.panel)
            .peekable();
        while let Some(same) = panels_left.next() {
            let panel = same[0].panel;
            if let Some(next) = panels_left.peek() {
                let bytes = self.store.panel(next[0].panel as usize);
                prefetch(bytes);
            }
            looks.clear();
            looks.extend(same.iter().map(|pair| {
                let number = pair.query as usize;
                let known = &group.known[number];
                let factors = if errors { known.factors } else { [0.0; 3] };
                Look {
                    query: group.row(number),
                    start: group.starts[number],
                    side: stats.side(panel as usize - panels.start, known.step, factors),
                    needed: if guess {
                        f32::NEG_INFINITY
                    } else {
                        searches[number].needed
                    },
                    lanes: searches[number].listable(panel, self.lanes[panel as usize]),
                    number: pair.query,
                    first: panel * LANES as u32,
                }
            }));
            let bytes = self.store.panel(panel as usize);
            self.kernels.look(bytes, &looks, found);
        }
        if self.store.has_codes() {
            let queries: Vec<_> = group.codes().collect();
            let loss = self.needs.similarity == Similarity::Euclidean;
            let rows = self.store.code_rows(self.needs.dim, loss);
            self.kernels.closer(rows, &queries, found);
            if errors {
                found.retain(|hit| hit.reaches(searches[hit.query as usize].needed));
            }
        }
    }

    /// Panels of a chunk whose bound reaches what is needed.
    #[allow(clippy::too_many_arguments)]
    fn sweep(
        self,
        group: &Group,
        number: usize,
        maxima: &[i32],
        chunk: usize,
        errors: bool,
        needed: f32,
        found: &mut Vec<Pair>,
    ) {
        let (panels, row) = self.chunk(group, number, chunk);
        let query = number as u32;
        if needed == f32::NEG_INFINITY {
            let listable = panels.filter(|&panel| self.lanes[panel] != 0);
            found.extend(listable.map(|panel| Pair {
                panel: panel as u32,
                query,
            }));
            return;
        }
        let first = panels.start as u32;
        let known = &group.known[number];
        let [of_length, of_rounding, _] = known.factors;
        let factors = [of_length, of_rounding, known.scan_rest];
        let maxima = Maxima {
            values: &maxima[row],
            stats: self.store.stats(panels, group.depth),
            step: known.step,
            factors: if errors { factors } else { [0.0; 3] },
            needed,
        };
        self.kernels.sweep(maxima, &mut |panel| {
            found.push(Pair {
                panel: first + panel as u32,
                query,
            });
        });
    }

    fn n_chunks(self) -> usize {
        self.lanes.len().div_ceil(self.chunk)
    }

    /// Panels of a chunk, and where a query's maxima of them stand.
    fn chunk(self, group: &Group, number: usize, chunk: usize) -> (Range<usize>, Range<usize>) {
        let panels = chunk * self.chunk..self.lanes.len().min((chunk + 1) * self.chunk);
        let start = panels.start * group.known.len() + number * panels.len();
        let row = start..start + panels.len();
        (panels, row)
    }

    /// Canonical scores of a batch of candidates, the good ones into the best.
    fn score(self, start: usize, search: &mut Search) {
        let Search {
            best,
            query,
            reach,
            candidates,
            ..
        } = search;
        let batch = |first: usize| {
            let end = candidates.len().min(first + BATCH);
            candidates.get(first..end).unwrap_or_default()
        };
        self.expect(batch(start + BATCH));
        let last = best.get(self.k - 1);
        let floor = last.map_or(f32::NEG_INFINITY, |last| last.score);
        let before = best.len();
        for candidate in batch(start) {
            let row = self.row(candidate.place);
            let score = score_of(self.needs.similarity, self.kernels, row, query, *reach);
            let item = self.store.order[candidate.place as usize];
            let found = Scored::new(item, score);
            if found.score >= floor {
                best.push(found);
            }
        }
        if best.len() > before && best.len() >= self.k {
            keep_best(best, self.k);
        }
    }
}

/// Sort pairs by panel; queries of a panel keep their order.
fn by_panel(pairs: &[Pair], panels: Range<usize>, starts: &mut Vec<u32>, sorted: &mut Vec<Pair>) {
    starts.clear();
    starts.resize(panels.len() + 1, 0);
    for pair in pairs {
        starts[pair.panel as usize - panels.start + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    sorted.clear();
    sorted.resize(pairs.len(), Pair::default());
    for pair in pairs {
        let place = &mut starts[pair.panel as usize - panels.start];
        sorted[*place as usize] = *pair;
        *place += 1;
    }
}

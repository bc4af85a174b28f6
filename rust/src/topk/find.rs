//! From the maxima of a group of queries to their lists.
//!
//! The items that look best of each panel are scored first: their canonical scores say what a listed item needs.
//! Then all that may have that are gathered, and scored as long as their bounds reach it.

use rayon::prelude::*;

use super::gather::{Gatherer, Reached, Scanned, Wanted};
use super::kernels::Hit;
use super::rank::{Ranker, Ranking};
use super::seed::Seed;
use super::store::PADDING;
use crate::lists::keep_best;

/// Panels from which on two threads are quicker than one.
const SHARED: usize = 192;

/// What all queries of a search share.
#[derive(Debug, Clone, Copy)]
pub struct Finder<'a> {
    pub gatherer: Gatherer<'a>,
    pub ranker: Ranker<'a>,
}

/// Buffers of one worker.
#[derive(Debug, Default)]
pub struct Scratch {
    /// One for each query of the group; `excluded` is filled by the caller.
    pub wanted: Vec<Wanted>,
    /// As many.
    pub rankings: Vec<Ranking>,
    reached: Reached,
}

impl Scratch {
    /// Make room for a group of queries; more room waits for a larger group.
    pub fn fit(&mut self, n_queries: usize) {
        let n_places = n_queries.max(self.wanted.len());
        self.wanted.resize_with(n_places, Default::default);
        self.rankings.resize_with(n_places, Default::default);
    }

    /// Take in what was found among other items for the same queries.
    pub fn join(&mut self, other: &Self, n_queries: usize, k: usize) {
        let pairs = self.rankings.iter_mut().zip(&other.rankings);
        for (ranking, other) in pairs.take(n_queries) {
            ranking.best.extend_from_slice(&other.best);
            keep_best(&mut ranking.best, k);
        }
    }
}

impl Finder<'_> {
    /// Two finders that have half of the panels each; `None` if these are too few to be worth it.
    pub fn halves(self) -> Option<[Self; 2]> {
        let Gatherer { from, to, .. } = self.gatherer;
        let n_panels = to - from;
        if n_panels < SHARED {
            return None;
        }
        let middle = from + (n_panels / 2).next_multiple_of(PADDING);
        Some([(from, middle), (middle, to)].map(|(from, to)| {
            let mut half = self;
            half.gatherer.from = from;
            half.gatherer.to = to;
            half.gatherer.chunk = to - from;
            half
        }))
    }

    /// Make the lists of a group's queries, for which the scratch has room.
    pub fn find(self, scanned: Scanned<'_>, queries: &[f32], scratch: &mut Scratch) {
        let Self { gatherer, ranker } = self;
        let (known, dim) = (&scanned.group.known, ranker.needs.dim);
        let reached = &mut scratch.reached;
        let wanted = &mut scratch.wanted[..known.len()];
        let rankings = &mut scratch.rankings[..known.len()];
        self.each(wanted, rankings, |first, wanted, rankings| {
            let mut seed = Seed::default();
            let numbers = first..;
            for (number, (wanted, ranking)) in
                numbers.zip(wanted.iter_mut().zip(rankings.iter_mut()))
            {
                let query = &queries[number * dim..][..dim];
                ranking.start(query, known[number].asked.reach(), ranker.kernels);
                gatherer.seed(scanned, number, ranker.k, wanted, &mut seed);
                ranker.choose(&mut wanted.candidates);
            }
            for (at, ranking) in rankings.iter_mut().enumerate() {
                if let Some(next) = wanted.get(at + 1) {
                    ranker.expect(&next.candidates);
                }
                let wanted = &mut wanted[at];
                ranker.plant(&wanted.candidates, ranking);
                let planted = wanted.candidates.drain(..);
                wanted
                    .excluded
                    .extend(planted.map(|candidate| candidate.place));
                wanted.excluded.sort_unstable();
                wanted.needed = ranker.needed(&known[first + at], ranking);
            }
        });
        gatherer.gather(scanned, wanted, reached);
        self.each(wanted, rankings, |first, wanted, rankings| {
            for wanted in wanted.iter_mut() {
                let by_most = |left: &Hit, right: &Hit| right.most.total_cmp(&left.most);
                wanted.candidates.sort_unstable_by(by_most);
            }
            for (at, ranking) in rankings.iter_mut().enumerate() {
                if let Some(next) = wanted.get(at + 1) {
                    ranker.expect(&next.candidates);
                }
                ranker.settle(&known[first + at], &wanted[at].candidates, ranking);
            }
        });
    }

    /// Do some work for every query, in parts of which each thread takes one where threads share the group;
    /// the work is told the number of its part's first query.
    fn each(
        self,
        wanted: &mut [Wanted],
        rankings: &mut [Ranking],
        work: impl Fn(usize, &mut [Wanted], &mut [Ranking]) + Sync,
    ) {
        if !self.gatherer.shared {
            return work(0, wanted, rankings);
        }
        let size = rankings.len().div_ceil(rayon::current_num_threads());
        let parts = wanted.par_chunks_mut(size);
        let parts = parts.zip(rankings.par_chunks_mut(size)).enumerate();
        parts.for_each(|(part, (wanted, rankings))| work(part * size, wanted, rankings));
    }
}

//! From the maxima of a group of queries to their lists.
//!
//! Twice the panels whose bound reaches something are scored again: first to find, for each query, the items
//! that look best, whose canonical scores say what a listed item needs; then to find all that may have that.

use super::gather::{Gatherer, Reached, Scanned, Wanted};
use super::rank::{Ranker, Ranking};

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
}

impl Finder<'_> {
    /// Make the lists of a group's queries, for which the scratch has room.
    pub fn find(self, scanned: Scanned<'_>, queries: &[f32], scratch: &mut Scratch) {
        let Self { gatherer, ranker } = self;
        let known = &scanned.group.known;
        let reached = &mut scratch.reached;
        let wanted = &mut scratch.wanted[..known.len()];
        let rankings = &mut scratch.rankings[..known.len()];
        let rows = queries.chunks_exact(ranker.needs.dim);
        for (number, (ranking, query)) in rankings.iter_mut().zip(rows).enumerate() {
            let wanted = &mut wanted[number];
            let n_excluded = wanted.excluded.len();
            ranking.start(query, known[number].asked.reach());
            wanted.candidates.clear();
            wanted.needed = gatherer.seed(scanned, number, ranker.k, n_excluded);
        }
        gatherer.gather(scanned, false, wanted, reached);
        for wanted in wanted.iter_mut() {
            ranker.choose(&mut wanted.candidates);
        }
        for (number, ranking) in rankings.iter_mut().enumerate() {
            if let Some(next) = wanted.get(number + 1) {
                ranker.expect(&next.candidates);
            }
            let wanted = &mut wanted[number];
            ranker.plant(&wanted.candidates, ranking);
            wanted.candidates.clear();
            wanted.needed = ranker.needed(&known[number], ranking);
        }
        gatherer.gather(scanned, true, wanted, reached);
        for (wanted, ranking) in wanted.iter_mut().zip(rankings.iter()) {
            ranking.order(&mut wanted.candidates);
        }
        for (number, ranking) in rankings.iter_mut().enumerate() {
            if let Some(next) = wanted.get(number + 1) {
                ranker.expect(&next.candidates);
            }
            ranker.settle(&known[number], &wanted[number].candidates, ranking);
        }
    }
}

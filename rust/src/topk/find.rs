//! From the maxima of a group of queries to their lists.
//!
//! The items that look best of each panel are scored first: their canonical scores say what a listed item needs.
//! Then all that may have that are gathered, and scored as long as their bounds reach it. Hands that share a group
//! look for it among the chunks that each has scanned, and tell each other what they scored first.

use super::gather::{Gatherer, Reached, Scanned, Wanted};
use super::kernels::Hit;
use super::rank::{Planted, Ranker, Ranking};
use super::seed::Seed;
use crate::crew::Hand;

/// Numbers that hands tell each other of each query.
pub const WORDS: usize = 2;

/// What all queries of a search share.
#[derive(Debug, Clone, Copy)]
pub struct Finder<'a> {
    pub gatherer: Gatherer<'a>,
    pub ranker: Ranker<'a>,
}

/// Buffers of one hand.
#[derive(Debug, Default)]
pub struct Scratch {
    /// One for each query of the group; `excluded` is filled by the caller.
    pub wanted: Vec<Wanted>,
    /// As many.
    pub rankings: Vec<Ranking>,
    seed: Seed,
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
    /// Rank what the scanned chunks hold for a group's queries, for which the scratch has room.
    pub fn find(
        self,
        scanned: Scanned<'_>,
        queries: &[f32],
        hand: &Hand<'_>,
        scratch: &mut Scratch,
    ) {
        let Self { gatherer, ranker } = self;
        let (known, dim) = (&scanned.group.known, ranker.needs.dim);
        let wanted = &mut scratch.wanted[..known.len()];
        let rankings = &mut scratch.rankings[..known.len()];
        let each = wanted.iter_mut().zip(rankings.iter_mut());
        for (number, (wanted, ranking)) in each.enumerate() {
            let query = &queries[number * dim..][..dim];
            ranking.start(query, known[number].asked.reach(), ranker.kernels);
            gatherer.seed(scanned, number, ranker.k, wanted, &mut scratch.seed);
        }
        ranker.expect(&wanted[0].candidates);
        for (at, ranking) in rankings.iter_mut().enumerate() {
            if let Some(next) = wanted.get(at + 1) {
                ranker.expect(&next.candidates);
            }
            let wanted = &mut wanted[at];
            ranker.plant(&wanted.candidates, ranking);
            let places = wanted.candidates.drain(..);
            let places = places.map(|candidate| candidate.place);
            wanted.excluded.extend(places);
            wanted.excluded.sort_unstable();
        }
        if hand.n_hands() > 1 {
            let n = gatherer.share(scanned, ranker.k);
            let told = rankings.iter_mut().flat_map(|ranking| ranking.tells(n));
            hand.meet(told.map(u64::from));
            for (number, ranking) in rankings.iter_mut().enumerate() {
                let heard = |which| hand.heard(WORDS * number + which).map(Planted::from);
                ranking.hears([heard(0), heard(1)], ranker.k);
            }
        }
        for (at, wanted) in wanted.iter_mut().enumerate() {
            wanted.needed = ranker.needed(&known[at], &rankings[at]);
        }
        gatherer.gather(scanned, wanted, &mut scratch.reached);
        for wanted in wanted.iter_mut() {
            let by_most = |left: &Hit, right: &Hit| right.most.total_cmp(&left.most);
            wanted.candidates.sort_unstable_by(by_most);
        }
        ranker.expect(&wanted[0].candidates);
        for (at, ranking) in rankings.iter_mut().enumerate() {
            if let Some(next) = wanted.get(at + 1) {
                ranker.expect(&next.candidates);
            }
            ranker.settle(&known[at], &wanted[at].candidates, ranking);
        }
    }
}

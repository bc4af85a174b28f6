//! Candidates by their canonical scores, which alone decide a list.

use super::bound::Needs;
use super::canonical::score_of;
use super::kernels::{Hit, Kernels};
use super::query::Known;
use crate::lists::{Scored, keep_best};
use crate::simd::prefetch;

/// Candidates that are scored before the best so far are looked at again.
const BATCH: usize = 16;
/// Rows that are asked for before they are read: memory brings one while another is multiplied.
const AHEAD: usize = 8;

/// What all queries of a search rank by.
#[derive(Debug, Clone, Copy)]
pub struct Ranker<'a> {
    pub kernels: Kernels,
    /// Original rows (of unit length for cosine), (item, dim).
    pub rows: &'a [f32],
    /// Item at each place of the scan.
    pub order: &'a [u32],
    pub needs: Needs,
    /// Places of a list.
    pub k: usize,
}

/// One query on its way to its list.
#[derive(Debug, Default)]
pub struct Ranking {
    /// The best so far, best first; in the end the list.
    pub best: Vec<Scored>,
    /// A score that `k` items are known to have, −∞ without such.
    pub floor: f32,
    /// In float64, as canonical sums read it.
    query: Vec<f64>,
    /// No product with an item is larger.
    reach: f64,
}

/// So many items of a hand have this score at least: what it tells the others of a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Planted {
    n: u32,
    score: f32,
}

impl From<Planted> for u64 {
    fn from(planted: Planted) -> Self {
        Self::from(planted.n) << 32 | Self::from(planted.score.to_bits())
    }
}

impl From<u64> for Planted {
    fn from(word: u64) -> Self {
        Self {
            n: (word >> 32) as u32,
            score: f32::from_bits(word as u32),
        }
    }
}

impl Ranking {
    /// Begin with a query as it came (of unit length for cosine).
    pub fn start(&mut self, query: &[f32], reach: f64, kernels: Kernels) {
        self.reach = reach;
        self.floor = f32::NEG_INFINITY;
        self.best.clear();
        self.query.resize(query.len(), 0.0);
        kernels.compiled(
            #[inline(always)]
            || {
                for (out, &value) in self.query.iter_mut().zip(query) {
                    *out = f64::from(value);
                }
            },
        );
    }

    /// What the best `n` have, and what all have.
    pub fn tells(&mut self, n: usize) -> [Planted; 2] {
        let most = self.best.len();
        keep_best(&mut self.best, most);
        [n.min(most), most].map(|n| Planted {
            n: n as u32,
            score: n
                .checked_sub(1)
                .map_or(f32::INFINITY, |last| self.best[last].score),
        })
    }

    /// Raise the floor to what `k` items of all hands have. What `told` gives are shares of `k` first, the higher score, and
    /// then all: a hand with many excluded items may have less than its share, and another more.
    pub fn hears<I: Iterator<Item = Planted>>(&mut self, told: [I; 2], k: usize) {
        let sums = told.map(|told| {
            told.fold((0, f32::INFINITY), |(n, least), planted| {
                (n + planted.n as usize, least.min(planted.score))
            })
        });
        if let Some((_, score)) = sums.into_iter().find(|&(n, _)| n >= k) {
            self.floor = self.floor.max(score);
        }
    }
}

/// Keep the `n` candidates that look best.
pub fn choose(candidates: &mut Vec<Hit>, n: usize) {
    if candidates.len() > n {
        let by_most = |left: &Hit, right: &Hit| right.most.total_cmp(&left.most);
        candidates.select_nth_unstable_by(n, by_most);
        candidates.truncate(n);
    }
}

impl Ranker<'_> {
    /// Ask for the first rows.
    pub fn expect(self, candidates: &[Hit]) {
        for candidate in candidates.iter().take(AHEAD) {
            prefetch(self.row(candidate.place));
        }
    }

    /// Row of the item at a place.
    fn row(&self, place: u32) -> &[f32] {
        let item = self.order[place as usize] as usize;
        &self.rows[item * self.needs.dim..(item + 1) * self.needs.dim]
    }

    /// Score the chosen candidates, so that a k-th best score is known.
    pub fn plant(self, candidates: &[Hit], ranking: &mut Ranking) {
        for start in (0..candidates.len()).step_by(BATCH) {
            self.score(start, candidates, ranking);
        }
    }

    /// Score what was gathered, the highest bounds first, until no bound reaches the list.
    pub fn settle(self, known: &Known, candidates: &[Hit], ranking: &mut Ranking) {
        for start in (0..candidates.len()).step_by(BATCH) {
            if !candidates[start].reaches(self.needed(known, ranking)) {
                break;
            }
            self.score(start, candidates, ranking);
        }
        keep_best(&mut ranking.best, self.k);
    }

    /// What the bound of an item must reach to belong to the best so far.
    pub fn needed(self, known: &Known, ranking: &Ranking) -> f32 {
        let needed = self.needs.of(known.asked, ranking.floor) - known.extra;
        (needed as f32).next_down()
    }

    /// Canonical scores of a batch of candidates, the good ones into the best.
    fn score(self, start: usize, candidates: &[Hit], ranking: &mut Ranking) {
        let Ranking {
            best,
            floor,
            query,
            reach,
        } = ranking;
        let before = best.len();
        for at in start..candidates.len().min(start + BATCH) {
            if let Some(later) = candidates.get(at + AHEAD) {
                prefetch(self.row(later.place));
            }
            let candidate = &candidates[at];
            let row = self.row(candidate.place);
            let score = score_of(self.needs.similarity, self.kernels, row, query, *reach);
            let item = self.order[candidate.place as usize];
            let found = Scored::new(item, score);
            if found.score >= *floor {
                best.push(found);
            }
        }
        if best.len() > before && best.len() >= self.k {
            keep_best(best, self.k);
            *floor = floor.max(best[self.k - 1].score);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With scores from `first` downwards.
    fn ranking(n: usize, first: f32) -> Ranking {
        let scored = (0..n).map(|at| Scored {
            item: at as u32,
            score: first - at as f32,
        });
        Ranking {
            best: scored.rev().collect(),
            floor: f32::NEG_INFINITY,
            ..Ranking::default()
        }
    }

    #[test]
    fn hands_know_what_all_have() {
        let k = 20;
        // As many as asked; one with less than its share, another with more; too few.
        for (n_own, n_other, floor) in [
            (10, 10, Some(51.0)),
            (13, 12, Some(51.0)),
            (9, 11, Some(50.0)),
            (9, 10, None),
        ] {
            let mut hands = [ranking(n_own, 100.0), ranking(n_other, 60.0)];
            let told = hands.each_mut().map(|hand| hand.tells(10));
            let words = told
                .as_flattened()
                .iter()
                .map(|&planted| u64::from(planted));
            let words: Vec<u64> = words.collect();
            for hand in &mut hands {
                let heard = [0, 1].map(|which| [words[which], words[2 + which]]);
                hand.hears(heard.map(|words| words.into_iter().map(Planted::from)), k);
                assert_eq!(
                    hand.floor,
                    floor.unwrap_or(f32::NEG_INFINITY),
                    "{n_own} {n_other}"
                );
            }
        }
    }
}

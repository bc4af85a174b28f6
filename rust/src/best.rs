//! The best of a stream of items.

use crate::lists::{Scored, keep_best};

/// Collects a list; what cannot be on it any more is turned away early.
#[derive(Debug, Default)]
pub struct Best {
    kept: Vec<Scored>,
    k: usize,
    /// Score of the k-th best so far.
    floor: Option<f32>,
}

impl Best {
    /// Begin a list of `k` places.
    pub fn start(&mut self, k: usize) {
        self.kept.clear();
        self.k = k;
        self.floor = None;
    }

    /// Whether such a score may still be on the list.
    #[inline]
    pub fn admits(&self, score: f32) -> bool {
        self.floor.is_none_or(|floor| score >= floor)
    }

    /// Take an item that is admitted.
    #[inline]
    pub fn push(&mut self, scored: Scored) {
        self.kept.push(scored);
        if self.kept.len() >= 4 * self.k.max(16) {
            keep_best(&mut self.kept, self.k);
            self.floor = self.kept.last().map(|last| last.score);
        }
    }

    /// End the list: at most `k`, in their order.
    pub fn finish(&mut self) {
        keep_best(&mut self.kept, self.k);
    }
}

impl AsRef<[Scored]> for Best {
    fn as_ref(&self) -> &[Scored] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_sorting_everything() {
        let scores = (0..1000_u32).map(|item| Scored::new(item, f64::from(item * 7919 % 97)));
        let mut best = Best::default();
        for k in [1, 5, 40, 2000] {
            best.start(k);
            for scored in scores.clone() {
                if best.admits(scored.score) {
                    best.push(scored);
                }
            }
            best.finish();
            let mut expected: Vec<Scored> = scores.clone().collect();
            expected.sort_by(Scored::best_first);
            expected.truncate(k);
            assert_eq!(best.as_ref(), expected);
        }
    }
}

//! What the scan leaves of one query: the items that may still belong to its list.

use super::bound::{Bound, reaches};
use super::panels::{LANES, Panels};

/// Items of one query that the bound has not ruled out.
#[derive(Debug, Default)]
pub struct Survivors {
    /// Scanned score and item.
    found: Vec<(f32, u32)>,
    lowers: Vec<f64>,
    /// `k` items are known to reach this canonical score.
    floor: f64,
    /// Length of `found` at which it is worth looking again.
    limit: usize,
    query_norm: f64,
    /// Items that must not be listed, ascending.
    excluded: Vec<i32>,
}

impl Survivors {
    /// Forget everything; start with another query.
    pub fn start(&mut self, k: usize, query_norm: f64, excluded: &[i32]) {
        self.found.clear();
        self.floor = f64::NEG_INFINITY;
        self.limit = k.saturating_add(k.max(128));
        self.query_norm = query_norm;
        self.excluded.clear();
        self.excluded.extend_from_slice(excluded);
        self.excluded.sort_unstable();
    }

    /// The items in no particular order.
    pub fn items(&self) -> impl Iterator<Item = u32> {
        self.found.iter().map(|found| found.1)
    }

    /// Take in the scanned scores of a panel.
    pub fn add(
        &mut self,
        scores: &[f32; LANES],
        panel: usize,
        panels: &Panels,
        bound: &Bound,
        allowed: impl Fn(usize) -> bool,
        k: usize,
    ) {
        let cutoff = bound.cutoff(self.floor, (self.query_norm, panels.norm(panel)));
        // A fold without a branch: nearly every panel ends here.
        if !scores
            .iter()
            .fold(false, |any, &score| any | reaches(score, cutoff))
        {
            return;
        }
        for (lane, &score) in scores.iter().enumerate() {
            let item = panel * LANES + lane;
            if reaches(score, cutoff)
                && allowed(item)
                && self.excluded.binary_search(&(item as i32)).is_err()
            {
                self.found.push((score, item as u32));
            }
        }
        if self.found.len() >= self.limit {
            self.tighten(panels, bound, k);
            self.limit = self.limit.max(2 * self.found.len());
        }
    }

    /// Raise the floor to the k-th best lower bound and drop what cannot reach it.
    pub fn tighten(&mut self, panels: &Panels, bound: &Bound, k: usize) {
        if self.found.len() <= k {
            return;
        }
        let query_norm = self.query_norm;
        let norms = |item: u32| (query_norm, panels.norm(item as usize / LANES));
        self.lowers.clear();
        let lowers = self
            .found
            .iter()
            .map(|&(score, item)| bound.lower(score, norms(item)));
        self.lowers.extend(lowers);
        let (_, kth, _) = self
            .lowers
            .select_nth_unstable_by(k - 1, |left, right| right.total_cmp(left));
        let floor = *kth;
        self.floor = floor;
        self.found
            .retain(|&(score, item)| reaches(score, bound.cutoff(floor, norms(item))));
    }
}

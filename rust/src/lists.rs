//! Ranked lists: the one order of scores, and the table that every kernel fills.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::error::{CoreError, Result};
use crate::parallel::{Stop, filled};

/// Marks a missing place at the end of a short list.
pub const MISSING: i32 = -1;

/// An item and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Item index.
    pub item: u32,
    /// Score; never NaN, never −0.0.
    pub score: f32,
}

impl Scored {
    /// Round the score once to float32; adding 0.0 makes −0.0 equal to 0.0.
    pub fn new(item: u32, score: f64) -> Self {
        Self {
            item,
            score: score as f32 + 0.0,
        }
    }

    /// Order of a list: higher score first, equal scores by the lower index.
    pub fn best_first(&self, other: &Self) -> Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then(self.item.cmp(&other.item))
    }
}

/// Keep the best `k`, in their order.
pub fn keep_best(scored: &mut Vec<Scored>, k: usize) {
    if k == 0 {
        scored.clear();
    } else if scored.len() > k {
        scored.select_nth_unstable_by(k - 1, Scored::best_first);
        scored.truncate(k);
    }
    scored.sort_unstable_by(Scored::best_first);
}

/// `k` places a row; a missing place is item −1 with score −inf.
#[derive(Debug, Clone, PartialEq)]
pub struct Lists {
    /// Places in a row.
    pub k: usize,
    /// Items, row after row.
    pub items: Vec<i32>,
    /// Scores, row after row.
    pub scores: Vec<f32>,
}

impl Lists {
    /// `n_rows` lists of `k` missing places.
    ///
    /// # Errors
    /// `Config` if `k` is 0 or the table does not fit into memory.
    pub fn empty(n_rows: usize, k: usize) -> Result<Self> {
        check_k(k)?;
        Ok(Self {
            k,
            items: filled(n_rows, k, MISSING, "lists")?,
            scores: filled(n_rows, k, f32::NEG_INFINITY, "lists")?,
        })
    }

    /// Fill `n_rows` lists in parallel: `work(scratch, row)` leaves the row's items, best first and at
    /// most `k`, where `found(scratch)` reads them. `init` makes the scratch of one worker.
    ///
    /// # Errors
    /// `Config` if `k` is 0 or the table does not fit into memory, `Stopped` on request.
    pub fn fill<S, I, W>(n_rows: usize, k: usize, stop: &Stop, init: I, work: W) -> Result<Self>
    where
        S: AsRef<[Scored]>,
        I: Fn() -> S + Sync + Send,
        W: Fn(&mut S, usize) + Sync + Send,
    {
        let mut lists = Self::empty(n_rows, k)?;
        lists
            .items
            .par_chunks_exact_mut(k)
            .zip(lists.scores.par_chunks_exact_mut(k))
            .enumerate()
            .with_min_len(8)
            .try_for_each_init(init, |scratch, (row, (items, scores))| {
                stop.check()?;
                work(scratch, row);
                write_row((*scratch).as_ref(), items, scores);
                Ok(())
            })?;
        Ok(lists)
    }
}

/// Refuse a list without places.
///
/// # Errors
/// `Config` if `k` is 0.
pub fn check_k(k: usize) -> Result<()> {
    if k == 0 {
        return Err(CoreError::Config("k must be at least 1, got 0".into()));
    }
    Ok(())
}

/// Copy a list into its places; the places behind it keep what they hold.
pub fn write_row(best: &[Scored], items: &mut [i32], scores: &mut [f32]) {
    for ((found, item), score) in best.iter().zip(items).zip(scores) {
        *item = found.item as i32;
        *score = found.score;
    }
}

/// The part of a list before its first missing place.
pub fn present(list: &[i32]) -> &[i32] {
    let end = list.iter().position(|&item| item == MISSING);
    &list[..end.unwrap_or(list.len())]
}

/// Like [`present`], but nothing where [`check_list`] would refuse more than repeats.
#[inline]
pub fn well_ended(list: &[i32]) -> Option<&[i32]> {
    let lowest = list.iter().fold(0, |lowest, &item| lowest.min(item));
    if lowest == 0 {
        return Some(list);
    }
    let (held, missing) = list.split_at(present(list).len());
    let named = held.iter().all(|&item| item >= 0);
    let ends = missing.iter().all(|&item| item == MISSING);
    (named && ends).then_some(held)
}

/// Refuse a list that holds an item twice, an item below −1, or an item behind a missing place.
///
/// # Errors
/// `Data` that names the row.
pub fn check_list(list: &[i32], what: &str, row: usize, sorted: &mut Vec<i32>) -> Result<()> {
    let held = present(list);
    if list[held.len()..].iter().any(|&item| item != MISSING) {
        return Err(CoreError::Data(format!(
            "{what}: row {row} holds an item behind a missing place (-1)"
        )));
    }
    sorted.clear();
    sorted.extend_from_slice(held);
    sorted.sort_unstable();
    if let Some(&lowest) = sorted.first().filter(|&&item| item < 0) {
        return Err(CoreError::Data(format!(
            "{what}: row {row} holds item {lowest}; items are numbered from 0, -1 is a missing place"
        )));
    }
    if let Some([twice, ..]) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(CoreError::Data(format!(
            "{what}: row {row} holds item {twice} twice"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_ended_list_is_not_refused() {
        let mut sorted = Vec::new();
        for list in [
            [3, 0, 1],
            [3, 0, -1],
            [-1, -1, -1],
            [3, -1, 0],
            [3, 0, -2],
            [-2, 0, -1],
        ] {
            let refused = check_list(&list, "lists", 0, &mut sorted).is_err();
            assert_eq!(well_ended(&list), (!refused).then_some(present(&list)));
        }
    }

    #[test]
    fn equal_scores_rank_by_index() {
        let mut scored: Vec<Scored> = [(3, 0.0), (1, -0.0), (2, 1.0), (0, -1.0)]
            .map(|(item, score)| Scored::new(item, score))
            .to_vec();
        keep_best(&mut scored, 3);
        let items: Vec<u32> = scored.iter().map(|found| found.item).collect();
        assert_eq!(items, [2, 1, 3]);
    }
}

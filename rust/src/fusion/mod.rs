//! Many models' lists into one.

mod row;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::cpu::Cpu;
use crate::error::{CoreError, Result};
use crate::lists::{Lists, check_k, check_list, present, well_ended};
use crate::parallel::Stop;
use crate::simd::compiled_for;
use row::{Fuse, Scratch};

/// How places or scores become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fusion {
    /// `Σ w / (c + rank)`, rank from 1, over the lists that hold the item.
    ReciprocalRank,
    /// `Σ w z`, z the score standardised within its list (population deviation; all 0 where the scores
    /// do not differ); a list without the item gives its lowest z, an empty list gives 0.
    ZScore,
}

impl Fusion {
    /// Every method by its name.
    pub const NAMES: [&str; 2] = ["rrf", "zscore"];

    /// Look a name up.
    ///
    /// # Errors
    /// `Config` with the names that exist.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "rrf" => Ok(Self::ReciprocalRank),
            "zscore" => Ok(Self::ZScore),
            _ => Err(CoreError::unknown("fusion method", name, &Self::NAMES)),
        }
    }
}

/// One model's lists: items and scores in the same places.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    items: &'a [i32],
    scores: &'a [f32],
    k: usize,
    weight: f64,
}

impl<'a> Member<'a> {
    /// Wrap lists of `k` places; `number` names the member in errors.
    ///
    /// # Errors
    /// `Shape` if the tables differ, `Config` for a weight below 0 or not finite.
    pub fn new(
        items: &'a [i32],
        scores: &'a [f32],
        k: usize,
        weight: f64,
        number: usize,
    ) -> Result<Self> {
        if items.len() != scores.len()
            || (k == 0 && !items.is_empty())
            || (k > 0 && !items.len().is_multiple_of(k))
        {
            return Err(CoreError::Shape(format!(
                "lists {number}: items and scores must both be (n_sessions, {k}), got {} and {} values",
                items.len(),
                scores.len()
            )));
        }
        if !(weight.is_finite() && weight >= 0.0) {
            return Err(CoreError::Config(format!(
                "weights must be finite and at least 0, got {weight} for lists {number}"
            )));
        }
        Ok(Self {
            items,
            scores,
            k,
            weight,
        })
    }

    /// A list and its scores, or nothing where [`Self::check`] refuses more than repeats.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn list(&self, row: usize) -> Option<(&'a [i32], &'a [f32])> {
        let places = row * self.k..(row + 1) * self.k;
        let list = well_ended(&self.items[places.clone()])?;
        let scores = &self.scores[places][..list.len()];
        let finite = scores
            .iter()
            .fold(true, |all, score| all & score.is_finite());
        finite.then_some((list, scores))
    }

    /// Refuse a list that holds an item twice, an item below −1, an item behind a missing place, or a
    /// score that is not finite.
    fn check(&self, n_sessions: usize, number: usize) -> Result<()> {
        let (what, mut sorted) = (format!("lists {number}"), Vec::new());
        for row in 0..n_sessions {
            let places = row * self.k..(row + 1) * self.k;
            let list = &self.items[places.clone()];
            check_list(list, &what, row, &mut sorted)?;
            let mut scores = self.scores[places][..present(list).len()].iter();
            if let Some(score) = scores.find(|score| !score.is_finite()) {
                return Err(CoreError::Data(format!(
                    "{what}: row {row} holds the score {score}; scores must be finite"
                )));
            }
        }
        Ok(())
    }
}

/// Fuse lists of the same sessions; ranked by the float32 score, ties to the lower index.
///
/// Lists of weight 0 are left out. An item's sum runs in float64 in the order of the members.
///
/// # Errors
/// `Config` if there is no list with a weight above 0, `k` is 0 or `c` is below 0, `Shape` if the members
/// hold different numbers of sessions, `Data` for a list that holds an item twice, an item below −1, an
/// item behind a missing place, or a score not finite, `Stopped`.
pub fn fuse_lists(
    members: &[Member<'_>],
    n_sessions: usize,
    k: usize,
    fusion: Fusion,
    c: f64,
    stop: &Stop,
) -> Result<Lists> {
    check_k(k)?;
    if !(c.is_finite() && c >= 0.0) {
        return Err(CoreError::Config(format!(
            "c must be finite and at least 0, got {c}"
        )));
    }
    if let Some(number) = members
        .iter()
        .position(|member| member.items.len() != n_sessions * member.k)
    {
        return Err(CoreError::Shape(format!(
            "lists {number} hold another number of sessions than the {n_sessions} of lists 0"
        )));
    }
    if members.iter().all(|member| member.weight == 0.0) {
        return Err(CoreError::Config(
            "fusion needs at least one list with a weight above 0".into(),
        ));
    }
    let cpu = Cpu::chosen()?;
    let fuse = Fuse::new(members, fusion, c, k);
    let wrong = AtomicBool::new(false);
    let lengths = members.iter().map(|member| member.k);
    let longest = lengths.clone().max().unwrap_or(0);
    let init = || Scratch::new(lengths.clone().sum(), longest);
    let fused = Lists::fill(n_sessions, k, stop, init, |scratch, row| {
        let fine = compiled_for(
            cpu,
            #[inline(always)]
            || fuse.row(row, scratch),
        );
        if fine.is_none() {
            wrong.store(true, Ordering::Relaxed);
        }
    })?;
    if wrong.into_inner() {
        for (number, member) in members.iter().enumerate() {
            member.check(n_sessions, number)?;
        }
    }
    Ok(fused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fuse(fusion: Fusion, scores: [&[f32]; 2]) -> Lists {
        let members = [
            Member::new(&[4, 2, -1], scores[0], 3, 1.0, 0).unwrap(),
            Member::new(&[2, 7], scores[1], 2, 2.0, 1).unwrap(),
        ];
        fuse_lists(&members, 1, 4, fusion, 1.0, &Stop::default()).unwrap()
    }

    #[test]
    fn reciprocal_ranks_by_hand() {
        let fused = fuse(Fusion::ReciprocalRank, [&[0.0; 3], &[0.0; 2]]);
        // 2: 1/3 + 2/2; 7: 2/3; 4: 1/2.
        assert_eq!(fused.items, [2, 7, 4, -1]);
        assert_eq!(fused.scores[..3], [4.0 / 3.0, 2.0 / 3.0, 0.5]);
    }

    #[test]
    fn z_scores_by_hand() {
        let fused = fuse(
            Fusion::ZScore,
            [&[5.0, 3.0, f32::NEG_INFINITY], &[9.0, 1.0]],
        );
        // z: 4 → +1, 2 → −1 and +1, 7 → −1. 2: −1 + 2; 4: 1 − 2; 7: −1 − 2.
        assert_eq!(fused.items, [2, 4, 7, -1]);
        assert_eq!(fused.scores[..3], [1.0, -1.0, -3.0]);
    }

    #[test]
    fn wrong_lists_are_refused() {
        assert!(Member::new(&[1, 2], &[0.0; 2], 2, -1.0, 0).is_err());
        assert!(Member::new(&[1, 2, 3], &[0.0; 3], 2, 1.0, 0).is_err());
        let fine = Member::new(&[1, 2, 3, 4], &[0.0; 4], 2, 1.0, 0).unwrap();
        for (items, score, says) in [
            ([0, 1, 1, 1], 0.0, "lists 1: row 1 holds item 1 twice"),
            ([0, 1, -1, 1], 0.0, "lists 1: row 1 holds an item behind"),
            ([0, 1, -2, 1], 0.0, "lists 1: row 1 holds item -2"),
            ([0, 1, 2, 1], f32::NAN, "lists 1: row 1 holds the score NaN"),
        ] {
            for weight in [0.0, 1.0] {
                let scores = [0.0, 0.0, 0.0, score];
                let wrong = Member::new(&items, &scores, 2, weight, 1).unwrap();
                let fused = fuse_lists(&[fine, wrong], 2, 2, Fusion::ZScore, 1.0, &Stop::default());
                assert!(fused.unwrap_err().to_string().starts_with(says));
            }
        }
    }
}

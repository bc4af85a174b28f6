//! Many models' lists into one.

use crate::error::{CoreError, Result};
use crate::lists::{Lists, Scored, check_k, check_list, keep_best, present};
use crate::parallel::Stop;

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

/// One model's lists, checked: same places in both tables, no item twice in a list.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    items: &'a [i32],
    scores: &'a [f32],
    k: usize,
    weight: f64,
}

impl<'a> Member<'a> {
    /// Check and wrap lists of `k` places; `number` names the member in errors.
    ///
    /// # Errors
    /// `Shape` if the tables differ, `Config` for a weight below 0 or not finite, `Data` for a list that
    /// holds an item twice, an item below −1, an item behind a missing place, or a score not finite.
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
        let what = format!("lists {number}");
        let mut sorted = Vec::new();
        for row in 0..items.len() / k.max(1) {
            let list = present(&items[row * k..(row + 1) * k]);
            check_list(&items[row * k..(row + 1) * k], &what, row, &mut sorted)?;
            if let Some(score) = scores[row * k..][..list.len()]
                .iter()
                .find(|s| !s.is_finite())
            {
                return Err(CoreError::Data(format!(
                    "{what}: row {row} holds the score {score}; scores must be finite"
                )));
            }
        }
        Ok(Self {
            items,
            scores,
            k,
            weight,
        })
    }

    fn list(&self, row: usize) -> (&'a [i32], &'a [f32]) {
        let list = present(&self.items[row * self.k..(row + 1) * self.k]);
        (list, &self.scores[row * self.k..][..list.len()])
    }
}

#[derive(Debug, Default)]
struct Scratch {
    /// Item, member, what the member gives it.
    shares: Vec<(i32, usize, f64)>,
    /// What each member gives an item that it does not hold.
    absent: Vec<f64>,
    best: Vec<Scored>,
}

impl AsRef<[Scored]> for Scratch {
    fn as_ref(&self) -> &[Scored] {
        &self.best
    }
}

/// Fuse lists of the same sessions; ranked by the float32 score, ties to the lower index.
///
/// Lists of weight 0 are left out. An item's sum runs in float64 in the order of the members.
///
/// # Errors
/// `Config` if there is no list with a weight above 0, `k` is 0 or `c` is below 0, `Shape` if the members
/// hold different numbers of sessions, `Stopped`.
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
    let members: Vec<Member<'_>> = members
        .iter()
        .filter(|member| member.weight > 0.0)
        .copied()
        .collect();
    if members.is_empty() {
        return Err(CoreError::Config(
            "fusion needs at least one list with a weight above 0".into(),
        ));
    }
    Lists::fill(n_sessions, k, stop, Scratch::default, |scratch, row| {
        fuse_row(&members, row, k, fusion, c, scratch);
    })
}

fn fuse_row(
    members: &[Member<'_>],
    row: usize,
    k: usize,
    fusion: Fusion,
    c: f64,
    scratch: &mut Scratch,
) {
    scratch.shares.clear();
    scratch.absent.clear();
    for (number, member) in members.iter().enumerate() {
        let (items, scores) = member.list(row);
        let first = scratch.shares.len();
        match fusion {
            Fusion::ReciprocalRank => {
                let share = |place: usize| member.weight / (c + (place + 1) as f64);
                let ranked = items.iter().enumerate();
                (scratch.shares).extend(ranked.map(|(place, &item)| (item, number, share(place))));
                scratch.absent.push(0.0);
            }
            Fusion::ZScore => {
                let (mean, deviation) = mean_and_deviation(scores);
                let share = |score: f32| {
                    let centred = f64::from(score) - mean;
                    member.weight
                        * if deviation > 0.0 {
                            centred / deviation
                        } else {
                            0.0
                        }
                };
                let found = items.iter().zip(scores);
                (scratch.shares).extend(found.map(|(&item, &score)| (item, number, share(score))));
                let shares = scratch.shares[first..].iter().map(|share| share.2);
                scratch.absent.push(shares.reduce(f64::min).unwrap_or(0.0));
            }
        }
    }
    scratch
        .shares
        .sort_unstable_by_key(|&(item, number, _)| (item, number));
    scratch.best.clear();
    for shares in scratch.shares.chunk_by(|left, right| left.0 == right.0) {
        let mut sum = 0.0;
        let mut held = shares.iter().peekable();
        for (number, &absent) in scratch.absent.iter().enumerate() {
            sum += held
                .next_if(|share| share.1 == number)
                .map_or(absent, |share| share.2);
        }
        scratch.best.push(Scored::new(shares[0].0 as u32, sum));
    }
    keep_best(&mut scratch.best, k);
}

/// Mean and population standard deviation; float64 sums in the order of the list.
fn mean_and_deviation(scores: &[f32]) -> (f64, f64) {
    let n = scores.len().max(1) as f64;
    let mean = scores.iter().map(|&score| f64::from(score)).sum::<f64>() / n;
    let squares = scores.iter().map(|&score| {
        let centred = f64::from(score) - mean;
        centred * centred
    });
    (mean, (squares.sum::<f64>() / n).sqrt())
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
        assert!(Member::new(&[1, 1], &[0.0; 2], 2, 1.0, 0).is_err());
        assert!(Member::new(&[-1, 1], &[0.0; 2], 2, 1.0, 0).is_err());
        assert!(Member::new(&[1, 2], &[0.0, f32::NAN], 2, 1.0, 0).is_err());
        assert!(Member::new(&[1, 2], &[0.0; 2], 2, -1.0, 0).is_err());
    }
}

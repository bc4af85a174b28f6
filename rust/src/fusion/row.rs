//! Fuses the lists of one session.

use super::{Fusion, Member};
use crate::best::Best;
use crate::lists::Scored;
use crate::slots::Slots;

/// What all sessions share.
#[derive(Debug)]
pub struct Fuse<'a> {
    members: &'a [Member<'a>],
    fusion: Fusion,
    /// What each member gives the item at each place, where that does not hang on scores.
    by_place: Vec<Vec<f64>>,
    k: usize,
}

/// The sum of an item so far.
#[derive(Debug, Clone, Copy)]
struct Sum {
    item: i32,
    /// Members that it holds already.
    n_members: u32,
    value: f64,
}

impl Sum {
    /// Add what the members give that came since and do not hold the item.
    #[inline]
    fn add_absent(&mut self, absent: &[f64]) {
        for share in &absent[self.n_members as usize..] {
            self.value += share;
        }
    }
}

/// Buffers of one worker.
#[derive(Debug)]
pub struct Scratch {
    slots: Slots,
    /// For a member of weight 0: its lists are checked, not fused.
    aside: Slots,
    sums: Vec<Sum>,
    /// What the members before give an item that they do not hold: each alone, and all together.
    absent: Vec<f64>,
    absent_sums: Vec<f64>,
    shares: Vec<f64>,
    best: Best,
}

impl Scratch {
    /// For at most `n_items` different items a session, `longest` in one list.
    pub fn new(n_items: usize, longest: usize) -> Self {
        Self {
            slots: Slots::new(n_items),
            aside: Slots::new(longest),
            sums: Vec::with_capacity(n_items),
            absent: Vec::new(),
            absent_sums: Vec::new(),
            shares: Vec::new(),
            best: Best::default(),
        }
    }
}

impl AsRef<[Scored]> for Scratch {
    fn as_ref(&self) -> &[Scored] {
        self.best.as_ref()
    }
}

impl<'a> Fuse<'a> {
    /// Fuse to lists of `k`.
    pub fn new(members: &'a [Member<'a>], fusion: Fusion, c: f64, k: usize) -> Self {
        let by_place = |member: &Member<'_>| match fusion {
            Fusion::ReciprocalRank => (1..=member.k)
                .map(|rank| member.weight / (c + rank as f64))
                .collect(),
            Fusion::ZScore => Vec::new(),
        };
        Self {
            by_place: members.iter().map(by_place).collect(),
            members,
            fusion,
            k,
        }
    }

    /// Fuse one session's lists into `scratch`; nothing if one of them is not as it must be.
    // Always inlined, so that the caller's path of the CPU holds for it.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub fn row(&self, row: usize, scratch: &mut Scratch) -> Option<()> {
        scratch.slots.clear();
        scratch.sums.clear();
        scratch.absent.clear();
        scratch.absent_sums.clear();
        scratch.absent_sums.push(0.0);
        for (member, by_place) in self.members.iter().zip(&self.by_place) {
            let (items, scores) = member.list(row)?;
            if member.weight == 0.0 {
                scratch.aside.distinct(items).then_some(())?;
                continue;
            }
            match self.fusion {
                // Nothing for the absent: there is no need to add it.
                Fusion::ReciprocalRank => add::<false>(scratch, items, by_place, 0.0)?,
                Fusion::ZScore => {
                    let mut shares = std::mem::take(&mut scratch.shares);
                    let lowest = standardise(scores, member.weight, &mut shares);
                    add::<true>(scratch, items, &shares, lowest)?;
                    scratch.shares = shares;
                }
            }
        }
        scratch.best.start(self.k);
        let has_absent = self.fusion == Fusion::ZScore;
        for sum in &mut scratch.sums {
            if has_absent {
                sum.add_absent(&scratch.absent);
            }
            let scored = Scored::new(sum.item as u32, sum.value);
            if scratch.best.admits(scored.score) {
                scratch.best.push(scored);
            }
        }
        scratch.best.finish();
        Some(())
    }
}

/// Add what the next member gives: `shares` to its items, in their order, `absent` to all others;
/// nothing if an item stands twice.
#[allow(clippy::inline_always)]
#[inline(always)]
fn add<const ABSENT: bool>(
    scratch: &mut Scratch,
    items: &[i32],
    shares: &[f64],
    absent: f64,
) -> Option<()> {
    let before = scratch.absent.len();
    for (&item, share) in items.iter().zip(shares) {
        let (number, is_new) = scratch.slots.number(item);
        let n_members = before as u32 + 1;
        if is_new {
            let value = scratch.absent_sums[before] + share;
            scratch.sums.push(Sum {
                item,
                n_members,
                value,
            });
            continue;
        }
        let sum = &mut scratch.sums[number];
        if sum.n_members == n_members {
            return None;
        }
        if ABSENT {
            sum.add_absent(&scratch.absent);
        }
        sum.value += share;
        sum.n_members = n_members;
    }
    scratch.absent.push(absent);
    let all = scratch.absent_sums[before] + absent;
    scratch.absent_sums.push(all);
    Some(())
}

/// `weight · z` of each score by mean and population deviation, float64 sums in the order of the list;
/// the lowest of them, 0 for an empty list.
#[allow(clippy::inline_always)]
#[inline(always)]
fn standardise(scores: &[f32], weight: f64, shares: &mut Vec<f64>) -> f64 {
    let n = scores.len().max(1) as f64;
    let mean = scores.iter().map(|&score| f64::from(score)).sum::<f64>() / n;
    let squares = scores.iter().map(|&score| {
        let centred = f64::from(score) - mean;
        centred * centred
    });
    let deviation = (squares.sum::<f64>() / n).sqrt();
    shares.clear();
    if deviation > 0.0 {
        let share = |&score: &f32| weight * ((f64::from(score) - mean) / deviation);
        shares.extend(scores.iter().map(share));
    } else {
        shares.resize(scores.len(), 0.0);
    }
    shares.iter().copied().reduce(f64::min).unwrap_or(0.0)
}

//! Pieces of a work that is dealt out to hands.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::meeting::Apart;

/// Parts of a work. Each hand has its own, much the same at every call, and takes others' when these are done.
#[derive(Debug)]
pub struct Parts(Vec<Apart<Left>>);

/// What is left of one hand's: where it begins and ends, in one number.
#[derive(Debug)]
struct Left(AtomicU64);

impl Parts {
    /// So many, fewer than 2³², for so many hands.
    pub fn new(n_parts: usize, n_hands: usize) -> Self {
        let start = |hand: usize| hand * n_parts / n_hands;
        let left = (0..n_hands).map(|hand| Apart(Left::of(start(hand)..start(hand + 1))));
        Self(left.collect())
    }

    /// The next for the hand of this number.
    pub fn take(&self, number: usize) -> Option<usize> {
        let own = self.0[number].take(Range::next);
        own.or_else(|| {
            loop {
                let most = self.0.iter().max_by_key(|left| left.range().len())?;
                let taken = most.take(Range::next_back);
                if taken.is_some() || self.0.iter().all(|left| left.range().is_empty()) {
                    return taken;
                }
            }
        })
    }
}

impl Left {
    fn of(parts: Range<usize>) -> Self {
        Self(AtomicU64::new(packed(&parts)))
    }

    fn range(&self) -> Range<usize> {
        unpacked(self.0.load(Ordering::Relaxed))
    }

    fn take(&self, which: impl Fn(&mut Range<usize>) -> Option<usize>) -> Option<usize> {
        let mut taken = None;
        let less = |parts: u64| {
            let mut left = unpacked(parts);
            taken = which(&mut left);
            taken.map(|_| packed(&left))
        };
        let order = Ordering::Relaxed;
        self.0.fetch_update(order, order, less).ok()?;
        taken
    }
}

fn packed(parts: &Range<usize>) -> u64 {
    (parts.start as u64) << 32 | parts.end as u64
}

fn unpacked(parts: u64) -> Range<usize> {
    (parts >> 32) as usize..(parts & u64::from(u32::MAX)) as usize
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_hand_begins_with_its_own_and_ends_with_others() {
        let parts = Parts::new(4, 2);
        let taken = [0, 1, 0, 0, 1].map(|number| parts.take(number));
        assert_eq!(taken, [Some(0), Some(2), Some(1), Some(3), None]);
    }

    #[test]
    fn threads_take_every_part_once() {
        let parts = Parts::new(10_000, 3);
        let all = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for number in [0, 1] {
                let (parts, all) = (&parts, &all);
                scope.spawn(move || {
                    let taken: Vec<usize> = std::iter::from_fn(|| parts.take(number)).collect();
                    all.lock().unwrap().extend(taken);
                });
            }
        });
        let mut all = all.into_inner().unwrap();
        all.sort_unstable();
        assert_eq!(all, (0..10_000).collect::<Vec<_>>());
    }
}

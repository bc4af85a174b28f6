//! Numbers the different items of a list or two: a small hash table that is emptied for free.

/// Slots for each item: two items seldom want the same one, and the table of 500 stays in the first cache.
const SPARSE: usize = 4;

/// Open addressing with linear probing.
#[derive(Debug)]
pub struct Slots {
    table: Vec<Slot>,
    /// A slot of another round is empty.
    round: u32,
    shift: u32,
    n_items: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    round: u32,
    item: i32,
    number: u32,
}

impl Slots {
    /// Room for `most` different items.
    pub fn new(most: usize) -> Self {
        let n_slots = (SPARSE * most).next_power_of_two().max(2);
        Self {
            table: vec![Slot::default(); n_slots],
            round: 0,
            shift: u64::BITS - n_slots.trailing_zeros(),
            n_items: 0,
        }
    }

    /// Forget all items.
    #[inline]
    pub fn clear(&mut self) {
        self.n_items = 0;
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.table.fill(Slot::default());
            self.round = 1;
        }
    }

    /// Number of an item, counted from 0 in the order of their first coming, and whether it is new.
    #[inline]
    pub fn number(&mut self, item: i32) -> (usize, bool) {
        let mut at = self.first(item);
        loop {
            let slot = &mut self.table[at];
            if slot.round != self.round {
                let number = self.n_items;
                *slot = Slot {
                    round: self.round,
                    item,
                    number,
                };
                self.n_items += 1;
                return (number as usize, true);
            }
            if slot.item == item {
                return (slot.number as usize, false);
            }
            at = self.next(at);
        }
    }

    /// Number of an item that came before.
    #[inline]
    pub fn find(&self, item: i32) -> Option<usize> {
        let mut at = self.first(item);
        loop {
            let slot = self.table[at];
            if slot.round != self.round {
                return None;
            }
            if slot.item == item {
                return Some(slot.number as usize);
            }
            at = self.next(at);
        }
    }

    #[inline]
    fn first(&self, item: i32) -> usize {
        // Fibonacci hashing: the upper bits of the product are well mixed.
        let hash = u64::from(item as u32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash >> self.shift) as usize & (self.table.len() - 1)
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.table.len() - 1)
    }

    /// Whether no item stands in a list twice; then an item's number is its place.
    #[inline]
    pub fn distinct(&mut self, list: &[i32]) -> bool {
        self.clear();
        list.iter()
            .fold(true, |all, &item| self.number(item).1 & all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_first_coming() {
        let mut slots = Slots::new(3);
        slots.clear();
        let numbers = [9, 4, 9, i32::MAX, 4].map(|item| slots.number(item));
        assert_eq!(
            numbers,
            [(0, true), (1, true), (0, false), (2, true), (1, false)]
        );
    }

    #[test]
    fn a_full_table_still_finds_its_items() {
        let items: Vec<i32> = (0..1000).map(|item| item * 4096).collect();
        let mut slots = Slots::new(1000);
        assert!(slots.distinct(&items));
        for place in [1, 500, 999] {
            let mut twice = items.clone();
            twice[place] = items[place / 2];
            assert!(!slots.distinct(&twice));
        }
        assert!(slots.distinct(&items) && slots.distinct(&[]));
    }

    #[test]
    fn rounds_begin_again() {
        let mut slots = Slots::new(1);
        slots.distinct(&[5]);
        slots.round = u32::MAX;
        slots.clear();
        assert_eq!((slots.round, slots.number(5)), (1, (0, true)));
    }
}

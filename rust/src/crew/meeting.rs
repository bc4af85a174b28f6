//! Where the hands of one work wait for each other, and what they tell each other there.
//!
//! A line of the cache takes long from one core to another, a microsecond for a handful. So each hand has lines of its
//! own that it alone writes, and the others read them once.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};

/// Looks at whether the others are there before the system may give the core to somebody else.
const SPINS: usize = 1 << 12;

/// What does not share its lines of the cache with anything else.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Apart<T>(pub T);

/// Numbers that fit into it.
const LINE: usize = 16;

/// Where all hands wait for each other, once. Each has a place: how far it is, and a few numbers for the others.
#[derive(Debug)]
pub struct Meeting {
    lines: Vec<Apart<[AtomicU64; LINE]>>,
    lines_of_each: usize,
}

/// How far a hand is.
const ABSENT: u64 = 0;
const AT_WORK: u64 = 1;
const HAS_MET: u64 = 2;
const DONE: u64 = 3;

/// One of those who work together. Dropped, it is done; nobody waits for one who panicked.
#[derive(Debug)]
pub struct Hand<'a> {
    meeting: &'a Meeting,
    number: usize,
}

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Apart<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl Meeting {
    /// For up to so many hands, each of which may tell so many numbers.
    pub fn new(n_hands: usize, n_words: usize) -> Self {
        let lines_of_each = (1 + n_words).div_ceil(LINE);
        let lines = (0..n_hands * lines_of_each).map(|_| Apart::default());
        Self {
            lines: lines.collect(),
            lines_of_each,
        }
    }

    /// The hand of this number takes part. Number 0 does so first, and meets the others when nobody joins any more.
    pub fn join(&self, number: usize) -> Hand<'_> {
        self.state(number).store(AT_WORK, Ordering::Release);
        Hand {
            meeting: self,
            number,
        }
    }

    /// Those who take part or did.
    pub fn present(&self) -> impl Iterator<Item = usize> {
        let is_present = |&number: &usize| self.state(number).load(Ordering::Acquire) != ABSENT;
        (0..self.lines.len() / self.lines_of_each).filter(is_present)
    }

    /// How far a hand is.
    fn state(&self, number: usize) -> &AtomicU64 {
        self.place(number, 0)
    }

    /// A number that a hand tells.
    fn word(&self, number: usize, which: usize) -> &AtomicU64 {
        self.place(number, 1 + which)
    }

    fn place(&self, number: usize, at: usize) -> &AtomicU64 {
        debug_assert!(at < self.lines_of_each * LINE, "the next hand's place");
        &self.lines[number * self.lines_of_each + at / LINE][at % LINE]
    }
}

impl<'a> Hand<'a> {
    /// Whose hand it is.
    pub fn meeting(&self) -> &'a Meeting {
        self.meeting
    }

    /// How many work together.
    pub fn n_hands(&self) -> usize {
        self.meeting.present().count()
    }

    /// Tell the others some numbers and wait until all are here, at most once.
    pub fn meet(&self, words: impl Iterator<Item = u64>) {
        for (which, word) in words.enumerate() {
            let place = self.meeting.word(self.number, which);
            place.store(word, Ordering::Relaxed);
        }
        let own = self.meeting.state(self.number);
        own.store(HAS_MET, Ordering::Release);
        self.wait_for(0, HAS_MET);
        for number in self.meeting.present() {
            self.wait_for(number, HAS_MET);
        }
    }

    /// What each of those who have met tells at this place; 0 of one who told nothing.
    pub fn heard(&self, which: usize) -> impl Iterator<Item = u64> {
        let word = move |number| self.meeting.word(number, which).load(Ordering::Relaxed);
        self.meeting.present().map(word)
    }

    /// Look for a moment whether all others are done: who sleeps until they are is late.
    pub fn look_for_the_others(&self) {
        let mut others = self
            .meeting
            .present()
            .filter(|&number| number != self.number);
        others.all(|number| self.sees(number, DONE));
    }

    fn wait_for(&self, number: usize, state: u64) {
        while !self.sees(number, state) {
            std::thread::yield_now();
        }
    }

    /// Whether a hand is so far, or will be in a moment.
    fn sees(&self, number: usize, state: u64) -> bool {
        for _ in 0..SPINS {
            if self.meeting.state(number).load(Ordering::Acquire) >= state {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        let own = self.meeting.state(self.number);
        own.store(DONE, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_hear_what_all_tell() {
        for n_words in [0, 1, LINE - 1, LINE, 3 * LINE] {
            let meeting = Meeting::new(4, n_words);
            let word = |number: usize, which: usize| (number * 1000 + which) as u64;
            let hands = [0, 1, 3].map(|number| meeting.join(number));
            std::thread::scope(|scope| {
                for hand in hands {
                    scope.spawn(move || {
                        let own = hand.number;
                        hand.meet((0..n_words).map(|which| word(own, which)));
                        for which in 0..n_words {
                            let heard: Vec<u64> = hand.heard(which).collect();
                            assert_eq!(heard, [0, 1, 3].map(|number| word(number, which)));
                        }
                    });
                }
            });
            assert_eq!(meeting.present().collect::<Vec<_>>(), [0, 1, 3]);
        }
    }

    #[test]
    fn nobody_waits_for_one_who_is_gone() {
        let meeting = Meeting::new(2, 1);
        let own = meeting.join(0);
        drop(meeting.join(1));
        own.meet(std::iter::once(7));
        assert_eq!(own.heard(0).collect::<Vec<_>>(), [7, 0]);
        own.look_for_the_others();
    }
}

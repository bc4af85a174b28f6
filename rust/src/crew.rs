//! Those who do one call's work: the calling thread, and helpers that are awake.
//!
//! No call waits for a thread that sleeps. A short one works alone, and asks the helpers to wake up for those to come
//! where it follows another; a long one asks them at once, begins alone, and shares what is left when they are there.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::helper::{Helper, LINGER};
use crate::parallel::available_threads;

/// Looks at whether the others are there before the system may give the core to somebody else.
const SPINS: usize = 1 << 12;

/// The helpers of a process, for one call at a time. Threads do not survive a fork, so that a child makes its own.
#[derive(Debug)]
struct Home {
    process: u32,
    helpers: Mutex<Vec<Arc<Helper>>>,
    taken: AtomicBool,
    born: Instant,
    /// When the last call ended, in nanoseconds since `born`.
    last: AtomicU64,
}

/// The helpers in one call's hands; perhaps none.
#[derive(Debug, Default)]
pub struct Crew {
    helpers: Vec<Arc<Helper>>,
    /// For those that sleep, too.
    waits: bool,
    /// Where they go back to.
    home: Option<Arc<Home>>,
}

/// One of those who work together.
#[derive(Debug)]
pub struct Hand<'a> {
    meeting: &'a Meeting,
    /// The caller is number 0.
    pub number: usize,
    has_met: Cell<bool>,
}

/// Parts of a work. Each hand has its own, much the same at every call, and takes others' when these are done.
#[derive(Debug)]
pub struct Parts(Mutex<Vec<Range<usize>>>);

/// Where all hands wait for each other, once.
#[derive(Debug)]
struct Meeting {
    expected: AtomicUsize,
    arrived: AtomicUsize,
    /// Helpers that are done.
    done: AtomicUsize,
}

impl Crew {
    /// Up to so many hands, of which the caller is one; fewer where there are fewer cores, or where another call has
    /// the helpers. `long`: work that takes longer than waking up.
    pub fn of(n_hands: usize, long: bool) -> Self {
        Self::of_any(n_hands.min(available_threads()), long)
    }

    /// As [`Self::of`], for more hands than cores too.
    fn of_any(n_hands: usize, long: bool) -> Self {
        if n_hands < 2 {
            return Self::default();
        }
        let home = Home::of_process();
        if home.taken.swap(true, Ordering::Acquire) {
            return Self::default();
        }
        let helpers = home.some(n_hands - 1);
        let since = home.now() - home.last.load(Ordering::Relaxed);
        if long || since < LINGER.as_nanos() as u64 {
            helpers.iter().for_each(Helper::wake);
        }
        Self {
            helpers,
            waits: false,
            home: Some(home),
        }
    }

    /// So many hands that wait for each other, so that a test knows who works.
    #[cfg(test)]
    pub fn patient(n_hands: usize) -> Self {
        loop {
            let mut crew = Self::of_any(n_hands, true);
            if crew.n_hands() == n_hands {
                crew.waits = true;
                return crew;
            }
            std::thread::yield_now();
        }
    }

    /// How many may work together.
    pub fn n_hands(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Whether all that may are there.
    pub fn is_awake(&self) -> bool {
        self.helpers.iter().all(|helper| self.has(helper))
    }

    fn has(&self, helper: &Helper) -> bool {
        self.waits || helper.is_awake()
    }

    /// Do `own` in the calling thread, and `other` in each helper that is awake.
    pub fn together(&self, own: impl FnOnce(Hand<'_>), other: impl Fn(Hand<'_>) + Sync) {
        let meeting = Meeting {
            expected: AtomicUsize::new(1),
            arrived: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
        };
        self.gather(&self.helpers, &meeting, own, &other);
    }

    /// One helper after another begins, then the caller.
    fn gather<O: FnOnce(Hand<'_>), W: Fn(Hand<'_>) + Sync>(
        &self,
        helpers: &[Arc<Helper>],
        meeting: &Meeting,
        own: O,
        other: &W,
    ) {
        let Some((helper, rest)) = helpers.split_first() else {
            own(meeting.hand(0));
            let n_others = meeting.expected.load(Ordering::Acquire) - 1;
            for _ in 0..SPINS {
                if meeting.done.load(Ordering::Acquire) == n_others {
                    break;
                }
                std::hint::spin_loop();
            }
            return;
        };
        if !self.has(helper) {
            return self.gather(rest, meeting, own, other);
        }
        let number = meeting.expected.fetch_add(1, Ordering::AcqRel);
        helper.beside(
            || other(meeting.hand(number)),
            || self.gather(rest, meeting, own, other),
        );
    }
}

impl Meeting {
    fn hand(&self, number: usize) -> Hand<'_> {
        Hand {
            meeting: self,
            number,
            has_met: Cell::new(false),
        }
    }
}

impl Parts {
    /// So many, for so many hands.
    pub fn new(n_parts: usize, n_hands: usize) -> Self {
        let start = |hand: usize| hand * n_parts / n_hands;
        let ranges = (0..n_hands).map(|hand| start(hand)..start(hand + 1));
        Self(Mutex::new(ranges.collect()))
    }

    /// The next for the hand of this number.
    pub fn take(&self, number: usize) -> Option<usize> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left[number].next().or_else(|| {
            let most = left.iter_mut().max_by_key(|parts| parts.end - parts.start);
            most?.next_back()
        })
    }
}

impl Hand<'_> {
    /// How many work together.
    pub fn n_hands(&self) -> usize {
        self.meeting.expected.load(Ordering::Acquire)
    }

    /// Wait until all hands are here. Only the first meeting waits.
    pub fn meet(&self) {
        if self.has_met.replace(true) {
            return;
        }
        // The caller, who is one of them, arrives when all others are counted.
        let Meeting {
            expected, arrived, ..
        } = self.meeting;
        arrived.fetch_add(1, Ordering::AcqRel);
        let mut spins = 0;
        while arrived.load(Ordering::Acquire) < expected.load(Ordering::Acquire) {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        // Nobody waits for one who panicked.
        if !self.has_met.get() {
            self.meeting.arrived.fetch_add(1, Ordering::AcqRel);
        }
        if self.number > 0 {
            self.meeting.done.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Home {
    fn of_process() -> Arc<Self> {
        static HOME: Mutex<Option<Arc<Home>>> = Mutex::new(None);
        let mut place = HOME.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if let Some(home) = place.as_ref().filter(|home| home.process == process) {
            return Arc::clone(home);
        }
        let home = Arc::new(Self {
            process,
            helpers: Mutex::default(),
            taken: AtomicBool::new(false),
            born: Instant::now(),
            last: AtomicU64::new(0),
        });
        *place = Some(Arc::clone(&home));
        home
    }

    /// So many helpers, or as many as the system gives.
    fn some(&self, n_helpers: usize) -> Vec<Arc<Helper>> {
        let mut helpers = self.helpers.lock().unwrap_or_else(PoisonError::into_inner);
        while helpers.len() < n_helpers {
            let Some(helper) = Helper::new() else { break };
            helpers.push(helper);
        }
        helpers.iter().take(n_helpers).cloned().collect()
    }

    fn now(&self) -> u64 {
        self.born.elapsed().as_nanos() as u64
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.last.store(home.now(), Ordering::Relaxed);
            home.taken.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn every_part_is_taken_once() {
        for n_hands in 1..5 {
            let parts = Parts::new(23, n_hands);
            let taken = Mutex::new(Vec::new());
            let work = |hand: Hand<'_>| {
                while let Some(part) = parts.take(hand.number) {
                    taken.lock().unwrap().push(part);
                }
            };
            Crew::patient(n_hands).together(work, work);
            let mut taken = taken.into_inner().unwrap();
            taken.sort_unstable();
            assert_eq!(taken, (0..23).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_hand_begins_with_its_own_and_ends_with_others() {
        let parts = Parts::new(4, 2);
        let taken = [0, 1, 0, 0, 1].map(|number| parts.take(number));
        assert_eq!(taken, [Some(0), Some(2), Some(1), Some(3), None]);
    }

    #[test]
    fn all_meet() {
        let crew = Crew::patient(3);
        for _ in 0..100 {
            let before = AtomicUsize::new(0);
            let work = |hand: Hand<'_>| {
                before.fetch_add(1, Ordering::AcqRel);
                hand.meet();
                assert_eq!(before.load(Ordering::Acquire), hand.n_hands());
            };
            crew.together(work, work);
        }
    }

    #[test]
    fn calls_that_follow_one_another_are_helped() {
        let started = Instant::now();
        let mut n_helped = 0;
        while n_helped < 100 && started.elapsed().as_secs() < 20 {
            let other = AtomicUsize::new(0);
            Crew::of_any(2, false).together(
                |hand| hand.meet(),
                |hand| {
                    hand.meet();
                    other.fetch_add(1, Ordering::AcqRel);
                },
            );
            n_helped += other.into_inner();
        }
        assert!(n_helped >= 100, "{n_helped}");
    }

    #[test]
    fn one_call_at_a_time() {
        let _crew = Crew::patient(2);
        assert_eq!(Crew::of_any(2, true).n_hands(), 1);
    }

    #[test]
    fn a_panic_comes_back_and_leaves_nobody_waiting() {
        let crew = Crew::patient(3);
        let panics = |hand: Hand<'_>| assert!(hand.number == 3, "as asked");
        for helpers_panic in [false, true] {
            let work = || {
                if helpers_panic {
                    crew.together(|hand| hand.meet(), panics);
                } else {
                    crew.together(panics, |hand| hand.meet());
                }
            };
            assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
        }
    }
}

//! Those who do one call's work: the calling thread, and helpers that come to it.
//!
//! No call waits for a thread that sleeps. The caller begins, and whoever of its helpers is awake, or wakes up while
//! there is work left, joins in. A call that takes longer than waking up wakes its helpers; a shorter one does where it
//! follows another, for those to come.

mod helper;
mod meeting;
mod parts;

#[cfg(test)]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::parallel::available_threads;
use helper::{Helper, LINGER};
use meeting::Meeting;

pub use meeting::{Apart, Hand};
pub use parts::Parts;

/// The helpers of a process, for one call at a time.
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
    /// At the beginning of each work.
    wakes: bool,
    /// Where they go back to.
    home: Option<Arc<Home>>,
    /// Looks at helpers until all count as awake, whether they are or not: a test knows then who works.
    #[cfg(test)]
    late: Option<AtomicUsize>,
}

/// What one hand does.
pub trait Work {
    /// Do a part of what all share; false if nothing is left.
    fn step(&mut self) -> bool;
    /// What comes after that.
    fn finish(&mut self, hand: &Hand<'_>);
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
        let since = home.now() - home.last.load(Ordering::Relaxed);
        Self {
            helpers: home.some(n_hands - 1),
            wakes: long || since < LINGER.as_nanos() as u64,
            home: Some(home),
            #[cfg(test)]
            late: None,
        }
    }

    /// So many hands, of which the helpers join after so many looks.
    #[cfg(test)]
    pub fn late(n_hands: usize, n_looks: usize) -> Self {
        loop {
            let mut crew = Self::of_any(n_hands, true);
            if crew.n_hands() == n_hands {
                crew.late = Some(AtomicUsize::new(n_looks));
                return crew;
            }
            std::thread::yield_now();
        }
    }

    /// How many may work together.
    pub fn n_hands(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Let hands work together until there is nothing left to do; `make` gives each its work, by its number. The
    /// caller is number 0. When they meet each may tell the others so many numbers. Says which helpers came.
    pub fn together<W: Work>(
        &self,
        n_words: usize,
        make: impl Fn(usize) -> W + Sync,
    ) -> Vec<usize> {
        if self.wakes {
            self.helpers.iter().for_each(Helper::wake);
        }
        let meeting = Meeting::new(self.n_hands(), n_words);
        let mut absent = self.helpers.iter().zip(1..).collect();
        self.go_on(&mut absent, meeting.join(0), make(0), &make);
        meeting.present().skip(1).collect()
    }

    /// The caller's work, with whoever of the absent comes to it.
    fn go_on<W: Work>(
        &self,
        absent: &mut Vec<(&Arc<Helper>, usize)>,
        hand: Hand<'_>,
        mut own: W,
        make: &(impl Fn(usize) -> W + Sync),
    ) {
        loop {
            let awake = absent.iter().position(|(helper, _)| self.has(helper));
            if let Some(at) = awake {
                let (helper, number) = absent.swap_remove(at);
                let joined = hand.meeting().join(number);
                let other = move || {
                    let mut work = make(number);
                    while work.step() {}
                    work.finish(&joined);
                };
                return helper.beside(other, move || self.go_on(absent, hand, own, make));
            }
            if !own.step() {
                break;
            }
        }
        own.finish(&hand);
        hand.look_for_the_others();
    }

    #[cfg_attr(not(test), allow(clippy::unused_self))]
    fn has(&self, helper: &Helper) -> bool {
        #[cfg(test)]
        if let Some(late) = &self.late {
            let less = |left: usize| left.checked_sub(1);
            let before = late.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
            return before.is_err();
        }
        helper.is_awake()
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

impl Home {
    /// Threads do not survive a fork, so that a child makes its own home. What it copied from its parent is left
    /// alone: to end threads that are not there could wait for them.
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
        std::mem::forget(place.replace(Arc::clone(&home)));
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

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// Takes parts, meets, and counts.
    struct Counter<'a> {
        number: usize,
        parts: &'a Parts,
        taken: &'a Mutex<Vec<usize>>,
        before: &'a AtomicUsize,
        panics: Option<usize>,
    }

    impl Work for Counter<'_> {
        fn step(&mut self) -> bool {
            let part = self.parts.take(self.number);
            self.taken.lock().unwrap().extend(part);
            part.is_some()
        }

        fn finish(&mut self, hand: &Hand<'_>) {
            assert!(self.panics != Some(self.number), "as asked");
            self.before.fetch_add(1, Ordering::AcqRel);
            hand.meet(std::iter::empty());
            let n_met = self.before.load(Ordering::Acquire);
            assert!(n_met == hand.n_hands() || self.panics.is_some());
        }
    }

    /// Parts in the order in which they were taken, and how many met.
    fn count(crew: &Crew, n_parts: usize, panics: Option<usize>) -> (Vec<usize>, usize) {
        let parts = Parts::new(n_parts, crew.n_hands());
        let (taken, before) = (Mutex::default(), AtomicUsize::new(0));
        crew.together(0, |number| Counter {
            number,
            parts: &parts,
            taken: &taken,
            before: &before,
            panics,
        });
        (taken.into_inner().unwrap(), before.into_inner())
    }

    #[test]
    fn every_part_is_taken_once_and_all_meet() {
        for n_hands in 1..5 {
            for n_looks in [0, 1, 2, 7, 40] {
                for _ in 0..20 {
                    let crew = Crew::late(n_hands, n_looks);
                    let (mut taken, n_met) = count(&crew, 23, None);
                    taken.sort_unstable();
                    assert_eq!(taken, (0..23).collect::<Vec<_>>());
                    if n_looks < 40 {
                        assert_eq!(n_met, n_hands);
                    }
                }
            }
        }
    }

    #[test]
    fn who_comes_late_finds_nothing_left() {
        let crew = Crew::late(3, usize::MAX);
        assert_eq!(count(&crew, 5, None), (vec![0, 4, 2, 3, 1], 1));
    }

    #[test]
    fn calls_that_follow_one_another_are_helped() {
        let started = Instant::now();
        let mut n_helped = 0;
        while n_helped < 100 && started.elapsed().as_secs() < 20 {
            n_helped += count(&Crew::of_any(2, false), 2, None).1 - 1;
        }
        assert_eq!(n_helped, 100);
    }

    #[test]
    fn one_call_at_a_time() {
        let _crew = Crew::late(2, 0);
        assert_eq!(Crew::of_any(2, true).n_hands(), 1);
    }

    #[test]
    fn a_panic_comes_back_and_leaves_nobody_waiting() {
        for panics in [0, 1] {
            let crew = Crew::late(3, 0);
            let work = || count(&crew, 9, Some(panics));
            assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
        }
    }
}

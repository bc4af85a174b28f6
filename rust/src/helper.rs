//! A thread that stays awake for a moment, so that short calls which follow one another share their work.
//!
//! To wake a thread takes longer than a short search: a call that finds the helper asleep works alone. Where it
//! follows another, it asks the helper to wake up for those to come. Awake, the helper looks for work without
//! sleeping, until there was none for a moment.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

use crate::parallel::{Movable, available_threads};

/// How long the helper stays awake after its last work, and how close calls must be to follow one another.
const LINGER: Duration = Duration::from_micros(500);
/// Looks at whether the helper has done its part before the caller sleeps until then.
const SPINS: usize = 1 << 12;

const ASLEEP: u8 = 0;
const WAKING: u8 = 1;
const AWAKE: u8 = 2;

/// One thread, for one call at a time.
#[derive(Debug)]
pub struct Helper {
    /// Of one thread.
    pool: ThreadPool,
    thread: Movable,
    state: AtomicU8,
    taken: AtomicBool,
    born: Instant,
    /// When the last call ended, in nanoseconds since `born`.
    last: AtomicU64,
}

/// Run `work` with the helper, if there is a core for it, it is awake and no other call has it.
pub fn with_helper<R>(work: impl FnOnce(Option<&Helper>) -> R) -> R {
    let helper = (available_threads() > 1).then(Helper::of_process);
    let Some(lent) = helper.flatten().and_then(Lent::take) else {
        return work(None);
    };
    let helper = &lent.0;
    let awake = helper.state.load(Ordering::Acquire) == AWAKE;
    if !awake && helper.now() - helper.last.load(Ordering::Relaxed) < LINGER.as_nanos() as u64 {
        wake(helper);
    }
    work(awake.then_some(helper))
}

impl Helper {
    /// The helper of this process, `None` if the system refuses to start a thread. Threads do not survive a
    /// fork, so that a child makes its own.
    fn of_process() -> Option<Arc<Self>> {
        static HELPER: Mutex<Option<(u32, Arc<Helper>)>> = Mutex::new(None);
        let mut place = HELPER.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if let Some((owner, helper)) = &*place
            && *owner == process
        {
            return Some(Arc::clone(helper));
        }
        let threads = ThreadPoolBuilder::new().num_threads(1);
        let pool = threads.thread_name(|_| "llmseq-helper".into()).build();
        let helper = Arc::new(Self {
            pool: pool.ok()?,
            thread: Movable::default(),
            state: AtomicU8::new(ASLEEP),
            taken: AtomicBool::new(false),
            born: Instant::now(),
            last: AtomicU64::new(0),
        });
        *place = Some((process, Arc::clone(&helper)));
        Some(helper)
    }

    /// Do two things at a time, one of them in the helper's thread.
    pub fn beside(&self, own: impl FnOnce(), other: impl FnOnce() + Send) {
        let done = AtomicBool::new(false);
        self.pool.in_place_scope(|scope| {
            scope.spawn(|_| {
                other();
                done.store(true, Ordering::Release);
            });
            own();
            for _ in 0..SPINS {
                if done.load(Ordering::Acquire) {
                    break;
                }
                std::hint::spin_loop();
            }
        });
    }

    fn now(&self) -> u64 {
        self.born.elapsed().as_nanos() as u64
    }
}

/// The helper in one call's hands.
struct Lent(Arc<Helper>);

impl Lent {
    fn take(helper: Arc<Helper>) -> Option<Self> {
        (!helper.taken.swap(true, Ordering::Acquire)).then_some(Self(helper))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.last.store(self.0.now(), Ordering::Relaxed);
        self.0.taken.store(false, Ordering::Release);
    }
}

/// Let the helper look for work, unless it already does.
fn wake(helper: &Arc<Helper>) {
    let asleep = helper
        .state
        .compare_exchange(ASLEEP, WAKING, Ordering::AcqRel, Ordering::Acquire);
    if asleep.is_err() {
        return;
    }
    helper.thread.leave_this_core();
    let own = Arc::clone(helper);
    helper.pool.spawn(move || {
        own.thread.is_here();
        own.state.store(AWAKE, Ordering::Release);
        let mut last = Instant::now();
        while last.elapsed() < LINGER {
            if rayon::yield_now() == Some(Yield::Executed) {
                last = Instant::now();
            } else {
                std::hint::spin_loop();
            }
        }
        // Work that comes now is found before the thread sleeps.
        own.state.store(ASLEEP, Ordering::Release);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_follow_one_another_are_helped() {
        if available_threads() < 2 {
            return;
        }
        let started = Instant::now();
        let mut n_shared = 0;
        while n_shared < 100 && started.elapsed() < Duration::from_secs(20) {
            let (mut own, mut other) = (0, 0);
            with_helper(|helper| {
                if let Some(helper) = helper {
                    helper.beside(|| own = 1, || other = 2);
                    assert_eq!((own, other), (1, 2));
                    n_shared += 1;
                }
            });
        }
        assert_eq!(n_shared, 100);
    }

    #[test]
    fn one_call_at_a_time() {
        with_helper(|_| with_helper(|helper| assert!(helper.is_none())));
    }

    #[test]
    fn a_panic_comes_back() {
        let Some(helper) = Helper::of_process() else {
            return;
        };
        let work = || helper.beside(|| {}, || panic!("as asked"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
    }
}

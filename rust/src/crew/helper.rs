//! A thread that stays awake for a moment, so that work which follows soon is shared without waiting for it.
//!
//! To wake a thread takes longer than a short search. Awake, a helper looks for work without sleeping, until there
//! was none for a moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

use crate::parallel::Movable;

/// How long a helper stays awake after its last work.
pub const LINGER: Duration = Duration::from_micros(500);

const ASLEEP: u8 = 0;
const WAKING: u8 = 1;
const AWAKE: u8 = 2;

/// One thread.
#[derive(Debug)]
pub struct Helper {
    /// Of one thread.
    pool: ThreadPool,
    thread: Movable,
    state: AtomicU8,
}

impl Helper {
    /// A new thread, asleep; `None` if the system refuses to start it.
    pub fn new() -> Option<Arc<Self>> {
        let threads = ThreadPoolBuilder::new().num_threads(1);
        let pool = threads.thread_name(|_| "llmseq-helper".into()).build();
        Some(Arc::new(Self {
            pool: pool.ok()?,
            thread: Movable::default(),
            state: AtomicU8::new(ASLEEP),
        }))
    }

    /// Whether it would begin at once.
    pub fn is_awake(&self) -> bool {
        self.state.load(Ordering::Acquire) == AWAKE
    }

    /// Let it look for work, unless it already does.
    pub fn wake(self: &Arc<Self>) {
        // Most calls find it awake, and only read.
        let is_asleep = || self.state.load(Ordering::Acquire) == ASLEEP;
        let wakes = || {
            let order = Ordering::AcqRel;
            let taken = self
                .state
                .compare_exchange(ASLEEP, WAKING, order, Ordering::Acquire);
            taken.is_ok()
        };
        if !is_asleep() || !wakes() {
            return;
        }
        self.thread.leave_this_core();
        let own = Arc::clone(self);
        self.pool.spawn(move || {
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

    /// Do something while the helper does `other`; both are done afterwards.
    pub fn beside(&self, other: impl FnOnce() + Send, own: impl FnOnce()) {
        self.pool.in_place_scope(|scope| {
            scope.spawn(|_| other());
            own();
        });
    }
}

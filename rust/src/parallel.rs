//! Thread pools, one per thread count, and the flag that stops long work.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};
#[cfg(target_os = "linux")]
use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

use crate::error::{CoreError, Result};

type Pools = Mutex<HashMap<(u32, usize), Arc<ThreadPool>>>;

/// The pool with this many threads, made at its first use and kept.
///
/// The key holds the process id, since threads do not survive a fork.
///
/// # Errors
/// `Config` if `n_threads` is 0 or the system refuses to start the threads.
pub fn pool(n_threads: usize) -> Result<Arc<ThreadPool>> {
    static POOLS: OnceLock<Pools> = OnceLock::new();
    if n_threads == 0 {
        return Err(CoreError::Config(
            "n_threads must be at least 1, got 0".into(),
        ));
    }
    let mut pools = POOLS
        .get_or_init(Pools::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let key = (std::process::id(), n_threads);
    if let Some(pool) = pools.get(&key) {
        return Ok(Arc::clone(pool));
    }
    let places = places(n_threads);
    let pool = ThreadPoolBuilder::new()
        .num_threads(n_threads)
        .thread_name(|number| format!("llmseq-{number}"))
        .start_handler(move |number| {
            if let Some(place) = places.get(number) {
                stay_on(*place);
            }
        })
        .build()
        .map_err(|error| CoreError::Config(format!("cannot start {n_threads} threads: {error}")))?;
    let pool = Arc::new(pool);
    pools.insert(key, Arc::clone(&pool));
    Ok(pool)
}

/// A core for each thread, if there are as many threads as cores; else the system places them.
///
/// Threads that were asleep are woken one by another while the caller still runs. Linux, which guesses from
/// the load of the moment before whether looking for an idle core is worth it, often puts all of them on one
/// of two cores and leaves the other idle until the call is over.
#[cfg(target_os = "linux")]
fn places(n_threads: usize) -> Vec<usize> {
    let Ok(allowed) = sched_getaffinity(None) else {
        return Vec::new();
    };
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|&core| allowed.is_set(core))
        .collect();
    if cores.len() == n_threads && n_threads > 1 {
        cores
    } else {
        Vec::new()
    }
}

#[cfg(not(target_os = "linux"))]
fn places(_: usize) -> Vec<usize> {
    Vec::new()
}

/// Keep the calling thread on a core; where the system refuses, it goes on placing the thread itself.
#[cfg(target_os = "linux")]
fn stay_on(core: usize) {
    let mut own = CpuSet::new();
    own.set(core);
    let _ = sched_setaffinity(None, &own);
}

#[cfg(not(target_os = "linux"))]
fn stay_on(_: usize) {}

/// A thread that others can move.
#[derive(Debug, Default)]
pub struct Movable {
    #[cfg(target_os = "linux")]
    thread: OnceLock<Pid>,
    /// Where it was last sent: to send it there again takes as long as a short search.
    #[cfg(target_os = "linux")]
    sent: Mutex<Option<CpuSet>>,
}

impl Movable {
    /// It is the calling thread.
    pub fn is_here(&self) {
        #[cfg(target_os = "linux")]
        self.thread.get_or_init(gettid);
    }

    /// Before it is woken: not on the caller's core, if there is another. Linux often puts it there though
    /// another is idle, and leaves it waiting for the caller for milliseconds.
    pub fn leave_this_core(&self) {
        #[cfg(target_os = "linux")]
        if let (Some(&thread), Ok(mut others)) = (self.thread.get(), sched_getaffinity(None)) {
            others.unset(sched_getcpu());
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            if others.count() > 0 && *sent != Some(others) {
                let moved = sched_setaffinity(Some(thread), &others);
                *sent = moved.is_ok().then_some(others);
            }
        }
    }
}

/// Threads this process may use: cores of its affinity mask, capped by its control group.
///
/// Counted at the first call: the files of the control group take as long to read as a short search.
pub fn available_threads() -> usize {
    static COUNTED: OnceLock<usize> = OnceLock::new();
    *COUNTED.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Where the number of threads is asked for; unset or empty is [`available_threads`].
pub const THREADS_VARIABLE: &str = "LLMSEQ_NUM_THREADS";

/// Threads of a call that names no number. The variable is read at every call.
///
/// # Errors
/// `Config` if the variable holds no whole number from 1 to 2³¹ − 1.
pub fn default_threads() -> Result<usize> {
    match std::env::var_os(THREADS_VARIABLE) {
        Some(text) => parse_threads(&text.to_string_lossy()),
        None => Ok(available_threads()),
    }
}

fn parse_threads(text: &str) -> Result<usize> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(available_threads());
    }
    let most = i32::MAX;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text
        .parse()
        .ok()
        .filter(|number| is_plain && (1..=most as usize).contains(number));
    number.ok_or_else(|| {
        CoreError::Config(format!(
            "{THREADS_VARIABLE} must be a whole number from 1 to {most}, got '{text}'"
        ))
    })
}

/// Raised when the answer is no longer wanted; the loops look at it at every row or group of rows.
#[derive(Debug, Default)]
pub struct Stop {
    requested: AtomicBool,
    watch: Option<Watch>,
}

/// Somebody to ask now and then.
struct Watch {
    every: Duration,
    last: Mutex<Instant>,
    ask: Box<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "every {:?}", self.every)
    }
}

impl Stop {
    /// One that asks whether to stop, where nobody else could tell.
    pub fn asking(every: Duration, ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let watch = Watch {
            every,
            last: Mutex::new(Instant::now()),
            ask: Box::new(ask),
        };
        Self {
            requested: AtomicBool::new(false),
            watch: Some(watch),
        }
    }

    /// Ask the work to end soon.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
    }

    /// Go on or not.
    ///
    /// # Errors
    /// `Stopped` once it was requested.
    pub fn check(&self) -> Result<()> {
        if let Some(watch) = &self.watch {
            let mut last = watch.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() >= watch.every {
                *last = Instant::now();
                if (watch.ask)() {
                    self.request();
                }
            }
        }
        if self.requested.load(Ordering::Relaxed) {
            return Err(CoreError::Stopped);
        }
        Ok(())
    }
}

/// Refuse a table that memory cannot hold, before somebody else makes it.
///
/// # Errors
/// `Config` that names the size.
pub fn check_room<T>(n_rows: usize, n_cols: usize, what: &str) -> Result<()> {
    room::<T>(n_rows, n_cols, what).map(drop)
}

/// A vector of `n_rows · n_cols` copies of `value`; a size that memory cannot hold is an error, not an
/// abort.
///
/// # Errors
/// `Config` that names the size.
pub fn filled<T: Clone>(n_rows: usize, n_cols: usize, value: T, what: &str) -> Result<Vec<T>> {
    let mut values = room(n_rows, n_cols, what)?;
    values.resize(n_rows * n_cols, value);
    Ok(values)
}

fn room<T>(n_rows: usize, n_cols: usize, what: &str) -> Result<Vec<T>> {
    let too_large = || {
        CoreError::Config(format!(
            "{what}: {n_rows} rows of {n_cols} do not fit into memory; ask for fewer"
        ))
    };
    let n_values = n_rows.checked_mul(n_cols).ok_or_else(too_large)?;
    let mut values = Vec::new();
    values
        .try_reserve_exact(n_values)
        .map_err(|_| too_large())?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_kept() {
        assert!(Arc::ptr_eq(&pool(2).unwrap(), &pool(2).unwrap()));
        assert!(pool(0).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn as_many_threads_as_cores_have_one_each() {
        let cores_of = |set: &CpuSet| -> Vec<usize> {
            let cores = 0..CpuSet::MAX_CPU;
            cores.filter(|&core| set.is_set(core)).collect()
        };
        let allowed = cores_of(&sched_getaffinity(None).unwrap());
        let of_threads = |n_threads: usize| {
            let pool = pool(n_threads).unwrap();
            pool.broadcast(|_| cores_of(&sched_getaffinity(None).unwrap()))
        };
        if allowed.len() > 1 {
            let own: Vec<Vec<usize>> = allowed.iter().map(|&core| vec![core]).collect();
            assert_eq!(of_threads(allowed.len()), own);
        }
        for n_threads in [1, allowed.len() + 1] {
            assert_eq!(of_threads(n_threads), vec![allowed.clone(); n_threads]);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_leaves_the_core_of_its_mover() {
        let allowed = sched_getaffinity(None).unwrap();
        if allowed.count() < 2 {
            return;
        }
        // The mover stays on a core of its own, so that the test knows which.
        let core = (0..CpuSet::MAX_CPU).find(|&core| allowed.is_set(core));
        let left = std::thread::spawn(move || {
            stay_on(core.unwrap());
            let moved = Movable::default();
            let (says, hears) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    moved.is_here();
                    sched_setaffinity(None, &allowed).unwrap();
                    says.send(()).unwrap();
                    std::thread::park();
                    sched_getaffinity(None).unwrap()
                });
                hears.recv().unwrap();
                // What the mover may use, not the thread, decides: here one core, so that nothing changes.
                moved.leave_this_core();
                let before = sched_getaffinity(Some(*moved.thread.get().unwrap())).unwrap();
                assert_eq!(before.count(), allowed.count());
                sched_setaffinity(None, &allowed).unwrap();
                moved.leave_this_core();
                thread.thread().unpark();
                thread.join().unwrap()
            })
        });
        assert_eq!(left.join().unwrap().count(), allowed.count() - 1);
    }

    #[test]
    fn a_number_of_threads_is_read() {
        assert_eq!(parse_threads(" 3 "), Ok(3));
        assert_eq!(parse_threads(" "), Ok(available_threads()));
        for text in ["0", "-1", "+3", "two", "1.5", "2147483648", "99999999999"] {
            let error = parse_threads(text).unwrap_err().to_string();
            assert!(error.starts_with("LLMSEQ_NUM_THREADS must be a whole number from 1 to"));
            assert!(error.ends_with(&format!("got '{text}'")), "{error}");
        }
    }

    #[test]
    fn a_stop_is_seen() {
        let stop = Stop::default();
        assert_eq!(stop.check(), Ok(()));
        stop.request();
        assert_eq!(stop.check(), Err(CoreError::Stopped));
    }

    #[test]
    fn a_stop_asks_now_and_then() {
        let never = Stop::asking(Duration::from_secs(3600), || true);
        assert_eq!(never.check(), Ok(()));
        let always = Stop::asking(Duration::ZERO, || true);
        assert_eq!(always.check(), Err(CoreError::Stopped));
    }

    #[test]
    fn a_size_beyond_memory_is_an_error() {
        assert!(filled(usize::MAX, 2, 0_i32, "lists").is_err());
        assert!(filled(1 << 40, 1 << 20, 0_i32, "lists").is_err());
        assert!(check_room::<u8>(1 << 40, 1 << 20, "lists").is_err());
    }
}

//! Thread pools, one per thread count, and the flag that stops long work.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

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
    let pool = ThreadPoolBuilder::new()
        .num_threads(n_threads)
        .thread_name(|number| format!("llmseq-{number}"))
        .build()
        .map_err(|error| CoreError::Config(format!("cannot start {n_threads} threads: {error}")))?;
    let pool = Arc::new(pool);
    pools.insert(key, Arc::clone(&pool));
    Ok(pool)
}

/// Threads this process may use: cores of its affinity mask, capped by its control group.
pub fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Raised by another thread when the answer is no longer wanted; the loops look at it at every row.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Ask the work to end soon.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Go on or not.
    ///
    /// # Errors
    /// `Stopped` once it was requested.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
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
    fn a_stop_is_seen() {
        let stop = Stop::default();
        assert_eq!(stop.check(), Ok(()));
        stop.request();
        assert_eq!(stop.check(), Err(CoreError::Stopped));
    }

    #[test]
    fn a_size_beyond_memory_is_an_error() {
        assert!(filled(usize::MAX, 2, 0_i32, "lists").is_err());
        assert!(filled(1 << 40, 1 << 20, 0_i32, "lists").is_err());
        assert!(check_room::<u8>(1 << 40, 1 << 20, "lists").is_err());
    }
}

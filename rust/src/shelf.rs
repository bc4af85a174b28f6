//! Scratch that is kept between calls, so that a single prompt pays for no fresh memory.

use std::sync::{Mutex, PoisonError};

use crate::lists::Scored;

/// Where idle scratch lies.
#[derive(Debug)]
pub struct Shelf<S>(Mutex<Vec<Box<S>>>);

impl<S> Default for Shelf<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S> Shelf<S> {
    /// Take idle scratch, or `make` new.
    pub fn lend(&self, make: impl FnOnce() -> S) -> Lent<'_, S> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Lent {
            scratch: Some(idle.unwrap_or_else(|| Box::new(make()))),
            shelf: self,
        }
    }
}

/// Scratch that goes back to its shelf.
#[derive(Debug)]
pub struct Lent<'a, S> {
    scratch: Option<Box<S>>,
    shelf: &'a Shelf<S>,
}

impl<S> Lent<'_, S> {
    /// Work in it.
    pub fn work(&mut self, work: impl FnOnce(&mut S)) {
        if let Some(scratch) = self.scratch.as_deref_mut() {
            work(scratch);
        }
    }
}

impl<S: AsRef<[Scored]>> AsRef<[Scored]> for Lent<'_, S> {
    fn as_ref(&self) -> &[Scored] {
        self.scratch.as_deref().map_or(&[], S::as_ref)
    }
}

impl<S> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        // A panic may leave sums behind that are not zero: such scratch is not used again.
        if let Some(scratch) = self.scratch.take().filter(|_| !std::thread::panicking()) {
            let mut idle = self.shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_scratch_is_used_again() {
        let shelf = Shelf::default();
        shelf.lend(|| 1).work(|value| *value = 7);
        let mut found = 0;
        shelf.lend(|| 1).work(|value| found = *value);
        assert_eq!(found, 7);
    }
}

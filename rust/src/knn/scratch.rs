//! What one search works in.

use super::prompt::Prompt;
use super::vectors::PromptVector;
use crate::best::Best;
use crate::lists::Scored;
use crate::sums::Sums;

/// A neighbour. Numbers above 0 order as their bits do, and flipped bits put the most similar first, equal
/// ones by the lower session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Near {
    flipped: u64,
    pub session: u32,
}

impl Near {
    /// `similarity` must be above 0.
    pub(super) fn new(similarity: f64, session: u32) -> Self {
        Self {
            flipped: !similarity.to_bits(),
            session,
        }
    }

    pub(super) fn similarity(self) -> f64 {
        f64::from_bits(!self.flipped)
    }
}

#[derive(Debug)]
pub(super) struct Scratch {
    pub prompt: Prompt,
    pub vector: PromptVector,
    /// Items of the whole prompt, ascending.
    pub seen: Vec<i32>,
    /// Weights of the shared items, a sum for each session.
    pub shared: Sums,
    /// Of sampling.
    pub marks: Sums,
    pub votes: Sums,
    /// 1-based place of each item in the reduced prompt, 0 elsewhere.
    pub places: Vec<u32>,
    pub neighbours: Vec<u32>,
    /// Sessions that vote, in the order of `neighbours`.
    pub nearest: Vec<Near>,
    /// Where the nearest are found.
    pub ranked: Vec<Near>,
    pub best: Best,
}

impl Scratch {
    pub(super) fn new(n_sessions: usize, n_items: usize) -> Self {
        Self {
            prompt: Prompt::default(),
            vector: PromptVector::default(),
            seen: Vec::new(),
            shared: Sums::new(n_sessions),
            marks: Sums::new(n_sessions),
            votes: Sums::new(n_items),
            places: vec![0; n_items],
            neighbours: Vec::new(),
            nearest: Vec::new(),
            ranked: Vec::new(),
            best: Best::default(),
        }
    }
}

impl AsRef<[Scored]> for Scratch {
    fn as_ref(&self) -> &[Scored] {
        self.best.as_ref()
    }
}

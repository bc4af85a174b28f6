//! What one search works in.

use super::prompt::Prompt;
use super::vectors::PromptVector;
use crate::lists::Scored;
use crate::sums::Sums;

#[derive(Debug)]
pub(super) struct Scratch {
    pub prompt: Prompt,
    pub vector: PromptVector,
    /// Items of the whole prompt, ascending.
    pub seen: Vec<i32>,
    /// Weights of the shared items, a sum for each session.
    pub shared: Sums,
    /// Their idf.
    pub idf: Sums,
    pub votes: Sums,
    /// 1-based place of each item in the reduced prompt, 0 elsewhere.
    pub places: Vec<u32>,
    pub neighbours: Vec<u32>,
    pub nearest: Vec<(f64, u32)>,
    pub best: Vec<Scored>,
}

impl Scratch {
    pub(super) fn new(n_sessions: usize, n_items: usize) -> Self {
        Self {
            prompt: Prompt::default(),
            vector: PromptVector::default(),
            seen: Vec::new(),
            shared: Sums::new(n_sessions),
            idf: Sums::new(n_sessions),
            votes: Sums::new(n_items),
            places: vec![0; n_items],
            neighbours: Vec::new(),
            nearest: Vec::new(),
            best: Vec::new(),
        }
    }
}

impl AsRef<[Scored]> for Scratch {
    fn as_ref(&self) -> &[Scored] {
        &self.best
    }
}

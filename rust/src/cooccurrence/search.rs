//! Scores of a prompt: its weights times (I + αT)·C·(I + βTᵀ) + γT, from left to right, so that no product
//! of two of the matrices is ever made.

use super::CooccurrenceIndex;
use crate::best::Best;
use crate::error::Result;
use crate::lists::{Lists, Scored};
use crate::parallel::Stop;
use crate::pooling::Pooling;
use crate::sessions::{Sessions, check_mask};
use crate::sums::Sums;

/// Settings of a search.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Places in a list.
    pub k: usize,
    /// Weight of a prompt's item by its position from the end; repeats add up.
    pub pooling: Pooling,
    /// Leave the prompt's items out of the list.
    pub exclude_seen: bool,
    /// One value an item; false leaves it out.
    pub candidates: Option<&'a [bool]>,
}

/// What one search works in.
#[derive(Debug)]
pub(super) struct Scratch {
    prompt: Sums,
    rows: Sums,
    scores: Sums,
    smoothed: Sums,
    seen: Vec<i32>,
    best: Best,
}

impl Scratch {
    fn new(n_items: usize) -> Self {
        Self {
            prompt: Sums::new(n_items),
            rows: Sums::new(n_items),
            scores: Sums::new(n_items),
            smoothed: Sums::new(n_items),
            seen: Vec::new(),
            best: Best::default(),
        }
    }
}

impl AsRef<[Scored]> for Scratch {
    fn as_ref(&self) -> &[Scored] {
        self.best.as_ref()
    }
}

impl CooccurrenceIndex {
    /// The best items for each prompt, only those with a score above 0; ties to the lower index, short
    /// lists end in missing places.
    ///
    /// # Errors
    /// `Config` if `k` is 0, `Shape` for a mask of another length, `Stopped`.
    pub fn search(&self, prompts: Sessions<'_>, query: &Query<'_>, stop: &Stop) -> Result<Lists> {
        check_mask(query.candidates, self.n_items())?;
        Lists::fill(
            prompts.len(),
            query.k,
            stop,
            || self.shelf.lend(|| Scratch::new(self.n_items())),
            |lent, row| lent.work(|scratch| self.search_one(prompts.row(row), query, scratch)),
        )
    }

    fn search_one(&self, session: &[i32], query: &Query<'_>, scratch: &mut Scratch) {
        let Scratch {
            prompt,
            rows,
            scores,
            smoothed,
            seen,
            best,
        } = scratch;
        for (place, &item) in session.iter().enumerate() {
            let position = session.len() - place;
            prompt.add(item as u32, query.pooling.weight(position, session.len()));
        }
        self.choose_rows(prompt, rows);
        for (row, weight) in rows.iter() {
            for (column, value) in self.pairs.row(row) {
                scores.add(column, weight * value);
            }
        }
        self.smooth(prompt, scores, smoothed);
        seen.clear();
        if query.exclude_seen {
            seen.extend_from_slice(session);
            seen.sort_unstable();
        }
        best.start(query.k);
        let found = if self.smoothing.is_some() {
            &*smoothed
        } else {
            &*scores
        };
        for (item, score) in found.iter() {
            let scored = Scored::new(item, score);
            let listed = best.admits(scored.score)
                && seen.binary_search(&(item as i32)).is_err()
                && query.candidates.is_none_or(|mask| mask[item as usize]);
            if listed {
                best.push(scored);
            }
        }
        best.finish();
        for sums in [prompt, rows, scores, smoothed] {
            sums.reset();
        }
    }

    /// Weights of the rows of C: those of the prompt's items, scaled, and α of them for their neighbours.
    fn choose_rows(&self, prompt: &Sums, rows: &mut Sums) {
        let scaled = || {
            prompt
                .iter()
                .map(|(item, weight)| (item, weight * self.scale[item as usize]))
        };
        for (item, weight) in scaled() {
            rows.add(item, weight);
        }
        if let Some(smoothing) = &self.smoothing {
            for (item, weight) in scaled() {
                let passed = smoothing.strengths[0] * weight;
                for (near, similarity) in smoothing.near.row(item) {
                    rows.add(near, passed * similarity);
                }
            }
        }
    }

    /// Scores, plus β of the scores of an item's neighbours, plus γ for the neighbours of the prompt.
    fn smooth(&self, prompt: &Sums, scores: &Sums, smoothed: &mut Sums) {
        let Some(smoothing) = &self.smoothing else {
            return;
        };
        for (item, score) in scores.iter() {
            smoothed.add(item, score);
        }
        for (item, score) in scores.iter() {
            let passed = smoothing.strengths[1] * score;
            for (other, similarity) in smoothing.near_to.row(item) {
                smoothed.add(other, passed * similarity);
            }
        }
        for (item, weight) in prompt.iter() {
            let passed = smoothing.strengths[2] * weight;
            for (near, similarity) in smoothing.near.row(item) {
                smoothed.add(near, passed * similarity);
            }
        }
    }
}

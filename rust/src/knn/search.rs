//! Neighbours, their similarities, and the items they vote for.

use super::SessionIndex;
use super::prompt::{Decay, Prompt};
use super::sampling::{Sampling, sample};
use crate::error::{CoreError, Result};
use crate::lists::{Lists, Scored, keep_best};
use crate::parallel::Stop;
use crate::sessions::{Sessions, check_mask};

/// How the prompt's weights and a neighbour's 0/1 vector compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionSimilarity {
    /// Sum of the shared items' weights, over the lengths of both vectors.
    Cosine,
    /// Sum of the shared items' weights.
    Dot,
}

impl SessionSimilarity {
    /// Every similarity by its name.
    pub const NAMES: [&str; 2] = ["cosine", "dot"];

    /// Look a name up.
    ///
    /// # Errors
    /// `Config` with the names that exist.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "cosine" => Ok(Self::Cosine),
            "dot" => Ok(Self::Dot),
            _ => Err(CoreError::unknown("similarity", name, &Self::NAMES)),
        }
    }
}

/// Settings of a search.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Places in a list.
    pub k_items: usize,
    /// Neighbours that vote.
    pub k: usize,
    /// Possible neighbours that are looked at.
    pub sample_size: usize,
    /// Which of them.
    pub sampling: Sampling,
    /// How they compare with the prompt.
    pub similarity: SessionSimilarity,
    /// Weight of a prompt item by position.
    pub decay: Decay,
    /// Multiply an item's score with its idf.
    pub idf_weighting: bool,
    /// Use only the last so many distinct known items of the prompt.
    pub last_n: Option<usize>,
    /// Of `Sampling::Random`.
    pub seed: u64,
    /// Leave the prompt's items (all of them) out of the list.
    pub exclude_seen: bool,
    /// One value an item; false leaves it out.
    pub candidates: Option<&'a [bool]>,
}

impl Query<'_> {
    fn check(&self, index: &SessionIndex) -> Result<()> {
        for (name, value) in [("k", self.k), ("last_n", self.last_n.unwrap_or(1))] {
            if value == 0 {
                return Err(CoreError::Config(format!(
                    "{name} must be at least 1, got 0"
                )));
            }
        }
        if self.k > self.sample_size {
            return Err(CoreError::Config(format!(
                "k = {} neighbours cannot be chosen from sample_size = {}; lower k or raise sample_size",
                self.k, self.sample_size
            )));
        }
        if self.sampling == Sampling::Recent && index.order.is_none() {
            return Err(CoreError::Config(
                "sampling \"recent\" needs to know which sessions are newer, but the index was made \
                 without order; use \"random\", \"idf\" or \"idf_greedy\""
                    .into(),
            ));
        }
        check_mask(self.candidates, index.n_items())
    }
}

/// Dense sums over few of many places: only touched ones are read and reset.
#[derive(Debug)]
struct Sums {
    values: Vec<f64>,
    touched: Vec<u32>,
}

impl Sums {
    fn new(n: usize) -> Self {
        Self {
            values: vec![0.0; n],
            touched: Vec::new(),
        }
    }

    /// Add a number above 0.
    fn add(&mut self, place: u32, value: f64) {
        let sum = &mut self.values[place as usize];
        if *sum == 0.0 {
            self.touched.push(place);
        }
        *sum += value;
    }

    fn get(&self, place: u32) -> f64 {
        self.values[place as usize]
    }

    fn reset(&mut self) {
        for &place in &self.touched {
            self.values[place as usize] = 0.0;
        }
        self.touched.clear();
    }
}

#[derive(Debug)]
struct Scratch {
    prompt: Prompt,
    /// Items of the whole prompt, ascending.
    seen: Vec<i32>,
    shared: Sums,
    idf: Sums,
    votes: Sums,
    neighbours: Vec<u32>,
    nearest: Vec<(f64, u32)>,
    best: Vec<Scored>,
}

impl AsRef<[Scored]> for Scratch {
    fn as_ref(&self) -> &[Scored] {
        &self.best
    }
}

impl SessionIndex {
    /// The best items for each prompt; ties to the lower index, short lists end in missing places.
    ///
    /// # Errors
    /// `Config` for numbers below 1, `k` above `sample_size` or `Recent` without an order, `Shape` for a
    /// mask of another length, `Stopped`.
    pub fn search(&self, prompts: Sessions<'_>, query: &Query<'_>, stop: &Stop) -> Result<Lists> {
        query.check(self)?;
        let scratch = || Scratch {
            prompt: Prompt::default(),
            seen: Vec::new(),
            shared: Sums::new(self.n_sessions()),
            idf: Sums::new(self.n_sessions()),
            votes: Sums::new(self.n_items()),
            neighbours: Vec::new(),
            nearest: Vec::new(),
            best: Vec::new(),
        };
        Lists::fill(
            prompts.len(),
            query.k_items,
            stop,
            scratch,
            |scratch, row| {
                self.search_one(prompts.row(row), query, scratch);
            },
        )
    }

    fn search_one(&self, session: &[i32], query: &Query<'_>, scratch: &mut Scratch) {
        let last_n = query.last_n.unwrap_or(usize::MAX);
        let known = |item: usize| self.idf[item] > 0.0;
        scratch.prompt.reduce(session, last_n, query.decay, known);
        self.find_nearest(query, scratch);
        self.collect_votes(scratch);
        scratch.seen.clear();
        if query.exclude_seen {
            scratch.seen.extend_from_slice(session);
            scratch.seen.sort_unstable();
        }
        scratch.best.clear();
        for &item in &scratch.votes.touched {
            let seen = scratch.seen.binary_search(&(item as i32)).is_ok();
            if seen || query.candidates.is_some_and(|mask| !mask[item as usize]) {
                continue;
            }
            let idf = if query.idf_weighting {
                self.idf[item as usize]
            } else {
                1.0
            };
            scratch
                .best
                .push(Scored::new(item, scratch.votes.get(item) * idf));
        }
        keep_best(&mut scratch.best, query.k_items);
        scratch.votes.reset();
    }

    /// Similarities of the sampled neighbours; sums run over the prompt's items, oldest first.
    fn find_nearest(&self, query: &Query<'_>, scratch: &mut Scratch) {
        let prompt = &scratch.prompt;
        for (&item, &weight) in prompt.items.iter().zip(&prompt.weights) {
            for &session in self.posting.row(item as usize) {
                scratch.shared.add(session, weight);
                if query.sampling == Sampling::Idf {
                    scratch.idf.add(session, self.idf[item as usize]);
                }
            }
        }
        scratch.neighbours.clone_from(&scratch.shared.touched);
        scratch.neighbours.sort_unstable();
        let idf_sum = |session| scratch.idf.get(session);
        let neighbours = &mut scratch.neighbours;
        sample(
            self,
            prompt,
            neighbours,
            query.sample_size,
            query.sampling,
            query.seed,
            idf_sum,
        );
        scratch.nearest.clear();
        for &session in &scratch.neighbours {
            let shared = scratch.shared.get(session);
            let similarity = match query.similarity {
                SessionSimilarity::Dot => shared,
                SessionSimilarity::Cosine => {
                    let n_held = self.held.row(session as usize).len() as f64;
                    shared / (prompt.norm * n_held.sqrt())
                }
            };
            scratch.nearest.push((similarity, session));
        }
        scratch.shared.reset();
        scratch.idf.reset();
        scratch
            .nearest
            .sort_unstable_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
        scratch.nearest.truncate(query.k);
    }

    /// Sum the similarities of the neighbours that hold an item, nearest neighbour first.
    fn collect_votes(&self, scratch: &mut Scratch) {
        for &(similarity, session) in &scratch.nearest {
            for &item in self.held.row(session as usize) {
                scratch.votes.add(item, similarity);
            }
        }
    }
}

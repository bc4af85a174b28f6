//! Neighbours, their similarities, and the items they vote for.

use super::SessionIndex;
use super::prompt::Decay;
use super::sampling::{Sampling, sample};
use super::scratch::{Near, Scratch};
use crate::error::{CoreError, Result};
use crate::lists::{Lists, Scored};
use crate::parallel::Stop;
use crate::pooling::Pooling;
use crate::sessions::{Sessions, check_mask};

/// How a prompt and a neighbour compare: the prompt's weights and the neighbour's 0/1 vector, or, where an
/// index has vectors, those of both sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionSimilarity {
    /// Inner product over the lengths of both.
    Cosine,
    /// Inner product.
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
#[allow(clippy::struct_excessive_bools)]
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
    /// How an index with vectors pools the prompt's.
    pub pooling: Pooling,
    /// Multiply a neighbour's vote with the place of its newest shared item over the prompt's length
    /// (S-SKNN).
    pub sequential_weighting: bool,
    /// List only items that directly follow the prompt's last item in train (SF-SKNN).
    pub only_followers: bool,
    /// Halve a similarity for every so many units of `order` that a session is older than the newest.
    pub half_life: Option<f64>,
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

impl Default for Query<'_> {
    /// SKNN of 50 neighbours.
    fn default() -> Self {
        Self {
            k_items: 20,
            k: 50,
            sample_size: 1500,
            sampling: Sampling::Idf,
            similarity: SessionSimilarity::Cosine,
            decay: Decay::None,
            pooling: Pooling::Mean,
            sequential_weighting: false,
            only_followers: false,
            half_life: None,
            idf_weighting: false,
            last_n: None,
            seed: 0,
            exclude_seen: true,
            candidates: None,
        }
    }
}

impl Query<'_> {
    fn check(&self, index: &SessionIndex) -> Result<()> {
        let config = |message: String| Err(CoreError::Config(message));
        for (name, value) in [("k", self.k), ("last_n", self.last_n.unwrap_or(1))] {
            if value == 0 {
                return config(format!("{name} must be at least 1, got 0"));
            }
        }
        if self.k > self.sample_size {
            return config(format!(
                "k = {} neighbours cannot be chosen from sample_size = {}; lower k or raise sample_size",
                self.k, self.sample_size
            ));
        }
        if self.sampling == Sampling::Recent && index.order.is_none() {
            return config(
                "sampling \"recent\" needs to know which sessions are newer, but the index was made \
                 without order; use \"random\", \"idf\" or \"idf_greedy\""
                    .into(),
            );
        }
        if let Some(half_life) = self.half_life {
            if !(half_life > 0.0 && half_life.is_finite()) {
                return config(format!("half_life must be above 0, got {half_life}"));
            }
            if index.order.is_none() {
                return config(
                    "half_life needs the times of the sessions, but the index was made without order"
                        .into(),
                );
            }
        }
        if self.only_followers && index.followers.is_none() {
            return config(
                "only_followers needs to know what follows what, but the index was made without \
                 followers"
                    .into(),
            );
        }
        if self.decay != Decay::None && index.vectors.is_some() {
            return config(
                "prompt_decay weighs shared items, but this index compares vectors: set prompt_pooling"
                    .into(),
            );
        }
        check_mask(self.candidates, index.n_items())
    }
}

impl SessionIndex {
    /// The best items for each prompt; ties to the lower index, short lists end in missing places.
    ///
    /// # Errors
    /// `Config` for numbers below 1, `k` above `sample_size` or what the index was made without, `Shape`
    /// for a mask of another length, `Stopped`.
    pub fn search(&self, prompts: Sessions<'_>, query: &Query<'_>, stop: &Stop) -> Result<Lists> {
        query.check(self)?;
        Lists::fill(
            prompts.len(),
            query.k_items,
            stop,
            || {
                let make = || Scratch::new(self.n_sessions(), self.n_items());
                self.shelf.lend(make)
            },
            |lent, row| lent.work(|scratch| self.search_one(prompts.row(row), query, scratch)),
        )
    }

    fn search_one(&self, session: &[i32], query: &Query<'_>, scratch: &mut Scratch) {
        let last_n = query.last_n.unwrap_or(usize::MAX);
        let known = |item: usize| self.idf[item] > 0.0;
        scratch.prompt.reduce(session, last_n, query.decay, known);
        self.sample_neighbours(query, scratch);
        self.keep_nearest(query, scratch);
        self.collect_votes(query, scratch);
        let newest = session.iter().rev().find(|&&item| known(item as usize));
        let followers = match (&self.followers, newest) {
            (Some(followers), Some(&item)) if query.only_followers => {
                Some(followers.row(item as usize))
            }
            _ => None,
        };
        scratch.seen.clear();
        if query.exclude_seen {
            scratch.seen.extend_from_slice(session);
            scratch.seen.sort_unstable();
        }
        let Scratch {
            votes, best, seen, ..
        } = scratch;
        best.start(query.k_items);
        votes.drain(|item, votes| {
            let weight = if query.idf_weighting {
                self.idf[item as usize]
            } else {
                1.0
            };
            let scored = Scored::new(item, votes * weight);
            let listed = best.admits(scored.score)
                && seen.binary_search(&(item as i32)).is_err()
                && query.candidates.is_none_or(|mask| mask[item as usize])
                && followers.is_none_or(|row| row.binary_search(&item).is_ok());
            if listed {
                best.push(scored);
            }
        });
        best.finish();
    }

    /// Sessions that share an item, cut to the sample; sums run over the prompt's items, oldest first.
    fn sample_neighbours(&self, query: &Query<'_>, scratch: &mut Scratch) {
        let prompt = &scratch.prompt;
        for (&item, &weight) in prompt.items.iter().zip(&prompt.weights) {
            scratch
                .shared
                .add_all(self.posting.row(item as usize), weight);
        }
        if query.sampling == Sampling::Idf && scratch.shared.touched().len() > query.sample_size {
            for &item in &prompt.items {
                let idf = self.idf[item as usize];
                scratch.idf.add_all(self.posting.row(item as usize), idf);
            }
        }
        scratch.neighbours.clear();
        scratch
            .neighbours
            .extend_from_slice(scratch.shared.touched());
        sample(
            self,
            prompt,
            &mut scratch.neighbours,
            query.sample_size,
            query.sampling,
            query.seed,
            |session| scratch.idf.get(session),
        );
        scratch.idf.reset();
    }

    /// The `k` most similar of the sample, nearest first; only those above 0, for others do not vote.
    fn keep_nearest(&self, query: &Query<'_>, scratch: &mut Scratch) {
        let (prompt, shared) = (&scratch.prompt, &scratch.shared);
        if let Some(vectors) = &self.vectors {
            vectors.pool(&prompt.items, query.pooling, &mut scratch.vector);
        }
        let rows = self.held.rows();
        let similarity = |session: u32| match (&self.vectors, query.similarity) {
            (Some(vectors), name) => vectors.similarity(&scratch.vector, session, name),
            (None, SessionSimilarity::Dot) => shared.get(session),
            (None, SessionSimilarity::Cosine) => {
                let n_held = rows.row(session as usize).len() as f64;
                shared.get(session) / (prompt.norm * n_held.sqrt())
            }
        };
        scratch.nearest.clear();
        for &session in &scratch.neighbours {
            let similarity = similarity(session) * self.youth(session, query.half_life);
            if similarity > 0.0 {
                scratch.nearest.push(Near::new(similarity, session));
            }
        }
        scratch.shared.reset();
        if scratch.nearest.len() > query.k {
            scratch.nearest.select_nth_unstable(query.k - 1);
            scratch.nearest.truncate(query.k);
        }
        scratch.nearest.sort_unstable();
    }

    /// 1 for the newest session, half of it a half-life earlier.
    fn youth(&self, session: u32, half_life: Option<f64>) -> f64 {
        match (&self.order, half_life) {
            (Some(order), Some(half_life)) => {
                let age = self.newest as f64 - order[session as usize] as f64;
                (-age / half_life).exp2()
            }
            _ => 1.0,
        }
    }

    /// Sum the similarities of the neighbours that hold an item, nearest neighbour first.
    fn collect_votes(&self, query: &Query<'_>, scratch: &mut Scratch) {
        let items = &scratch.prompt.items;
        if query.sequential_weighting {
            for (place, &item) in items.iter().enumerate() {
                scratch.places[item as usize] = place as u32 + 1;
            }
        }
        let rows = self.held.rows();
        for near in &scratch.nearest {
            let held = rows.row(near.session as usize);
            let vote = if query.sequential_weighting {
                let newest = held.iter().map(|&item| scratch.places[item as usize]).max();
                near.similarity() * (f64::from(newest.unwrap_or(0)) / items.len() as f64)
            } else {
                near.similarity()
            };
            scratch.votes.add_all(held, vote);
        }
        if query.sequential_weighting {
            for &item in items {
                scratch.places[item as usize] = 0;
            }
        }
    }
}

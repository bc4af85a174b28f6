//! What a search is asked.

use super::SessionIndex;
use super::prompt::Decay;
use super::sampling::Sampling;
use crate::error::{CoreError, Result};
use crate::pooling::Pooling;
use crate::sessions::check_mask;

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
    /// Weight of a neighbour's items that stand before its newest shared item, the prompt's newest that it
    /// holds; of the others it is 1.
    pub backward: f64,
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
            backward: 1.0,
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
    pub(super) fn check(&self, index: &SessionIndex) -> Result<()> {
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
        if !(self.backward >= 0.0 && self.backward.is_finite()) {
            return config(format!(
                "backward must be finite and not below 0, got {}",
                self.backward
            ));
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

//! A prompt as the session-kNN family sees it: distinct known items with weights.

use crate::error::{CoreError, Result};

/// How a prompt item counts by its position from the end (1 = newest).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decay {
    /// All alike.
    None,
    /// `max(1e-4, 1 − 0.1 (i − 1))`.
    Linear,
    /// `1 / (ln i + 1)`.
    Log,
    /// `1 / i`.
    Harmonic,
    /// `1 / i²`.
    Quadratic,
}

impl Decay {
    /// Every decay by its name; no decay has none.
    pub const NAMES: [&str; 4] = ["linear", "log", "harmonic", "quadratic"];

    /// Look a name up; `None` is no decay.
    ///
    /// # Errors
    /// `Config` with the names that exist.
    pub fn parse(name: Option<&str>) -> Result<Self> {
        Ok(match name {
            None => Self::None,
            Some("linear") => Self::Linear,
            Some("log") => Self::Log,
            Some("harmonic") => Self::Harmonic,
            Some("quadratic") => Self::Quadratic,
            Some(name) => return Err(CoreError::unknown("prompt_decay", name, &Self::NAMES)),
        })
    }

    fn weight(self, position: usize) -> f64 {
        let i = position as f64;
        match self {
            Self::None => 1.0,
            Self::Linear => (1.0 - 0.1 * (i - 1.0)).max(1e-4),
            Self::Log => 1.0 / (i.ln() + 1.0),
            Self::Harmonic => 1.0 / i,
            Self::Quadratic => 1.0 / (i * i),
        }
    }
}

/// Distinct known items, oldest first, each at its first occurrence, and their weights.
#[derive(Debug, Default)]
pub struct Prompt {
    pub items: Vec<u32>,
    pub weights: Vec<f64>,
    /// Length of the weight vector.
    pub norm: f64,
}

impl Prompt {
    /// Reduce a session to the last `last_n` of its distinct items that are `known`.
    pub fn reduce(
        &mut self,
        session: &[i32],
        last_n: usize,
        decay: Decay,
        known: impl Fn(usize) -> bool,
    ) {
        self.items.clear();
        for &item in session {
            if known(item as usize) && !self.items.contains(&(item as u32)) {
                self.items.push(item as u32);
            }
        }
        self.items.drain(..self.items.len().saturating_sub(last_n));
        self.weights.clear();
        let newest_last = (1..=self.items.len()).rev();
        self.weights
            .extend(newest_last.map(|position| decay.weight(position)));
        let squares = self.weights.iter().map(|weight| weight * weight);
        self.norm = squares.sum::<f64>().sqrt();
    }

    /// A number made from the seed and the items in their order.
    pub fn hash(&self, seed: u64) -> u64 {
        let items = self.items.iter();
        items.fold(mix(seed), |hash, &item| mix(hash ^ u64::from(item)))
    }
}

/// The step of `SplitMix64` (Steele, Lea and Flood 2014): a bijection that scatters well.
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_occurrence_keeps_its_place() {
        let mut prompt = Prompt::default();
        prompt.reduce(&[3, 9, 3, 5, 9], 2, Decay::Harmonic, |item| item != 8);
        assert_eq!(prompt.items, [9, 5]);
        assert_eq!(prompt.weights, [0.5, 1.0]);
        prompt.reduce(&[8, 8], 2, Decay::Harmonic, |item| item != 8);
        assert!(prompt.items.is_empty());
    }

    #[test]
    fn mixing_matches_the_published_generator() {
        // First output of SplitMix64 with seed 0.
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
    }
}

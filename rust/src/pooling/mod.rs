//! Pooling: how much each item of a session counts, and the session vectors that follow.

mod means;

use crate::error::{CoreError, Result};

pub(crate) use means::pool_one;
pub use means::{pool_into, pool_sessions};

/// How much an item counts by its position from the end (1 = newest).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Only the newest item.
    Last,
    /// All alike.
    Mean,
    /// `max(1e-5, 1 − 0.1 (i − 1))`.
    ConstantLinear,
    /// `max(1e-5, 1 − (i − 1) / n)`.
    ScalingLinear,
    /// The above, squared.
    ScalingQuadratic,
    /// The above, cubed.
    ScalingCubic,
    /// `1 / (ln i + 1)`.
    Log,
    /// `1 / i`.
    Harmonic,
    /// `1 / i²`.
    HarmonicSquared,
}

impl Pooling {
    /// Every pooling by its name.
    pub const NAMES: [&str; 9] = [
        "last",
        "mean",
        "constant_linear",
        "scaling_linear",
        "scaling_quadratic",
        "scaling_cubic",
        "log",
        "harmonic",
        "harmonic_squared",
    ];

    /// Look a name up.
    ///
    /// # Errors
    /// `Config` with the names that exist.
    pub fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "last" => Self::Last,
            "mean" => Self::Mean,
            "constant_linear" => Self::ConstantLinear,
            "scaling_linear" => Self::ScalingLinear,
            "scaling_quadratic" => Self::ScalingQuadratic,
            "scaling_cubic" => Self::ScalingCubic,
            "log" => Self::Log,
            "harmonic" => Self::Harmonic,
            "harmonic_squared" => Self::HarmonicSquared,
            _ => return Err(CoreError::unknown("pooling", name, &Self::NAMES)),
        })
    }

    /// Weight of the item at `position` from the end (from 1) in a session of `length`.
    pub fn weight(self, position: usize, length: usize) -> f64 {
        let i = position as f64;
        let scaling = || (1.0 - (i - 1.0) / length as f64).max(1e-5);
        match self {
            Self::Last => f64::from(u8::from(position == 1)),
            Self::Mean => 1.0,
            Self::ConstantLinear => (1.0 - 0.1 * (i - 1.0)).max(1e-5),
            Self::ScalingLinear => scaling(),
            Self::ScalingQuadratic => scaling() * scaling(),
            Self::ScalingCubic => scaling() * scaling() * scaling(),
            Self::Log => 1.0 / (i.ln() + 1.0),
            Self::Harmonic => 1.0 / i,
            Self::HarmonicSquared => 1.0 / (i * i),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;
    use crate::parallel::Stop;
    use crate::sessions::Sessions;

    #[test]
    fn harmonic_by_hand() {
        let vectors = Matrix::new(&[1.0, 0.0, 0.0, 4.0], 2, 2, "vectors").unwrap();
        let sessions = Sessions::new(&[0, 1], &[0, 2, 2], 2, "sessions").unwrap();
        let pooled = pool_sessions(vectors, sessions, Pooling::Harmonic, &Stop::default()).unwrap();
        // Weights 1/2 and 1, sum 3/2; the second session is empty.
        assert_eq!(pooled, [1.0 / 3.0, 8.0 / 3.0, 0.0, 0.0]);
    }

    #[test]
    fn every_name_parses() {
        for name in Pooling::NAMES {
            assert!(Pooling::parse(name).unwrap().weight(1, 3) > 0.0);
        }
        assert!(Pooling::parse("median").is_err());
    }
}

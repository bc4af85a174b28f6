//! Session vectors: weighted means of item vectors.

use rayon::prelude::*;

use crate::error::{CoreError, Result};
use crate::matrix::Matrix;
use crate::parallel::{Stop, filled};
use crate::sessions::Sessions;

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

/// Weighted mean of each session's item vectors, (`n_sessions`, `dim`); an empty session gives zeros.
///
/// Sums run in float64 from the oldest item to the newest, are divided by the sum of the weights and
/// rounded once to float32.
///
/// # Errors
/// `Config` if the result does not fit into memory, `Stopped` on request.
pub fn pool_sessions(
    vectors: Matrix<'_>,
    sessions: Sessions<'_>,
    pooling: Pooling,
    stop: &Stop,
) -> Result<Vec<f32>> {
    let dim = vectors.n_cols();
    let mut pooled = filled(sessions.len(), dim, 0.0_f32, "session vectors")?;
    pooled
        .par_chunks_exact_mut(dim)
        .enumerate()
        .with_min_len(16)
        .try_for_each_init(
            || vec![0.0_f64; dim],
            |sums, (row, out)| {
                stop.check()?;
                pool_one(vectors, sessions.row(row), pooling, sums, out);
                Ok(())
            },
        )?;
    Ok(pooled)
}

/// Pool one session into `out`; `sums` is scratch as wide as a vector.
pub(crate) fn pool_one(
    vectors: Matrix<'_>,
    session: &[i32],
    pooling: Pooling,
    sums: &mut [f64],
    out: &mut [f32],
) {
    let Some(&last) = session.last() else { return };
    if pooling == Pooling::Last {
        out.copy_from_slice(vectors.row(last as usize));
        return;
    }
    sums.fill(0.0);
    let mut total = 0.0;
    for (place, &item) in session.iter().enumerate() {
        let weight = pooling.weight(session.len() - place, session.len());
        total += weight;
        for (sum, &value) in sums.iter_mut().zip(vectors.row(item as usize)) {
            *sum += weight * f64::from(value);
        }
    }
    for (out, &sum) in out.iter_mut().zip(&*sums) {
        *out = (sum / total) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! The one score that lists are ranked by. Every path ends here.

use super::kernels::{BATCH, Kernels};
use crate::error::{CoreError, Result};

/// How a query and an item compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Similarity {
    /// Inner product.
    Dot,
    /// Inner product of the rows after [`to_unit_length`].
    Cosine,
    /// `1 / (1 + distance)`.
    Euclidean,
}

impl Similarity {
    /// Every similarity by its name.
    pub const NAMES: [&str; 3] = ["dot", "cosine", "euclidean"];

    /// Look a name up.
    ///
    /// # Errors
    /// `Config` with the names that exist.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "dot" => Ok(Self::Dot),
            "cosine" => Ok(Self::Cosine),
            "euclidean" => Ok(Self::Euclidean),
            _ => Err(CoreError::unknown("similarity", name, &Self::NAMES)),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Canonical score before it is rounded to float32: float64 sums in index order.
    pub fn score(self, query: &[f32], item: &[f32]) -> f64 {
        match self {
            Self::Dot | Self::Cosine => dot(query, item),
            Self::Euclidean => from_squared_distance(squared_distance(query, item)),
        }
    }
}

/// Canonical scores of one query and up to [`BATCH`] rows, side by side; other places hold anything.
pub fn scores_of(
    similarity: Similarity,
    kernels: Kernels,
    rows: &[&[f32]],
    query: &[f64],
) -> [f64; BATCH] {
    match similarity {
        Similarity::Dot | Similarity::Cosine => kernels.dots(rows, query),
        Similarity::Euclidean => squared_distances(rows, query).map(from_squared_distance),
    }
}

fn squared_distances(rows: &[&[f32]], query: &[f64]) -> [f64; BATCH] {
    let mut sums = [0.0; BATCH];
    for (column, &query) in query.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(rows) {
            let difference = query - f64::from(row[column]);
            *sum += difference * difference;
        }
    }
    sums
}

fn dot(left: &[f32], right: &[f32]) -> f64 {
    let mut sum = 0.0;
    for (&a, &b) in left.iter().zip(right) {
        sum += f64::from(a) * f64::from(b);
    }
    sum
}

fn squared_distance(left: &[f32], right: &[f32]) -> f64 {
    let mut sum = 0.0;
    for (&a, &b) in left.iter().zip(right) {
        let difference = f64::from(a) - f64::from(b);
        sum += difference * difference;
    }
    sum
}

/// Euclidean score of a squared distance; falls with it.
pub fn from_squared_distance(squared: f64) -> f64 {
    1.0 / (1.0 + squared.sqrt())
}

/// Length of a row, float64 sum in index order.
pub fn norm(row: &[f32]) -> f64 {
    dot(row, row).sqrt()
}

/// Divide a row by its length in float64, each value rounded once to float32; a zero row stays zero.
pub fn to_unit_length(row: &mut [f32]) {
    let norm = norm(row);
    if norm > 0.0 {
        for value in row {
            *value = (f64::from(*value) / norm) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let (a, b) = ([3.0, 4.0], [0.0, 8.0]);
        assert_eq!(Similarity::Dot.score(&a, &b), 32.0);
        assert_eq!(Similarity::Euclidean.score(&a, &b), 1.0 / 6.0);
        let mut unit = a;
        to_unit_length(&mut unit);
        assert_eq!(unit, [0.6, 0.8]);
    }

    #[test]
    fn zero_rows_stay_zero() {
        let mut zero = [0.0; 3];
        to_unit_length(&mut zero);
        assert_eq!(zero, [0.0; 3]);
    }
}

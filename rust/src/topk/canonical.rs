//! The one score that lists are ranked by. Every path ends here.

use super::bound::UP;
use super::kernels::Kernels;
use crate::error::{CoreError, Result};

/// How a query and an item compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Similarity {
    /// Inner product.
    Dot,
    /// Inner product of the rows brought to unit length.
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

/// A number that rounds to the same float32 as the canonical score of a row.
///
/// With u = 2⁻⁵³, two float64 sums of the same d products, which are exact, differ by at most
/// 2 d u ‖q‖ ‖e‖, whatever the order (Cauchy–Schwarz); of d squared differences s, none of them negative, by
/// 2 (d + 1) u s. A sum in any order, and with it the quicker one, is as good as the canonical sum where all
/// within that distance rounds alike: nearly always, for a float32 is 2²⁹ times as coarse. Else the canonical
/// sum is made.
///
/// `reach` is at least ‖q‖ ‖e‖; `dot` and `cosine` use it.
pub fn score_of(
    similarity: Similarity,
    kernels: Kernels,
    row: &[f32],
    query: &[f64],
    reach: f64,
) -> f64 {
    // Two more for the roundings of what is compared, and `UP` for all of second order.
    let share = (query.len() + 3) as f64 * f64::EPSILON * UP;
    let (score, low, high) = match similarity {
        Similarity::Dot | Similarity::Cosine => {
            let (sum, slack) = (kernels.dot(row, query), share * reach);
            (sum, sum - slack, sum + slack)
        }
        Similarity::Euclidean => {
            let sum = kernels.squared_distance(row, query);
            let of = |shift: f64| from_squared_distance(sum + shift * sum);
            (of(0.0), of(share), of(-share))
        }
    };
    if low as f32 == high as f32 {
        return score;
    }
    let pairs = row.iter().zip(query);
    match similarity {
        Similarity::Dot | Similarity::Cosine => {
            pairs.fold(0.0, |sum, (&value, &query)| sum + f64::from(value) * query)
        }
        Similarity::Euclidean => from_squared_distance(pairs.fold(0.0, |sum, (&value, &query)| {
            let difference = query - f64::from(value);
            sum + difference * difference
        })),
    }
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

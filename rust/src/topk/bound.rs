//! How far a scanned score may lie from the canonical one, in the worst case.
//!
//! Write u = 2⁻²⁴ (float32) and γ(n) = n u / (1 − n u); products and sums of the scan round once each.
//!
//! **Dot.** Let s = Σ qⱼ eⱼ without rounding and A = Σ |qⱼ eⱼ| ≤ ‖q‖ ‖e‖ (Cauchy–Schwarz).
//! * The scan adds d rounded products one after the other: |scan − s| ≤ γ(d) A + d t, where t bounds what
//!   a product below the normal numbers loses (2⁻¹⁴⁹; 2⁻¹²⁶ where a thread flushes such numbers to 0).
//! * The float64 sum differs from s by less than d 2⁻⁵³ (1 + d 2⁻⁵³) A; its rounding to float32 adds at
//!   most u A (1 + 2⁻²⁴) + t.
//! * As γ(d) + u ≤ γ(d + 1), |scan − canonical| ≤ γ(d + 2) A + (d + 1) t for d < 2²⁰.
//!
//! **Euclidean.** All terms of D = Σ (qⱼ − eⱼ)² are positive, so the errors are relative: a term rounds
//! twice before the sums do, |scan − D| ≤ γ(d + 2) D + d t. The canonical score g(D) = 1 / (1 + √D) falls
//! with D; it is computed in float64 and rounded once, a relative error below 2⁻²³. A bound on D thus
//! becomes one on the score, and a bound on the score one on D.
//!
//! The code takes γ(d + 4): the two steps more outweigh the float64 roundings in the norms and in these
//! formulas. Where the scan might overflow, or d ≥ 2²⁰, the bound is infinite: every item survives and
//! the canonical score alone decides.

use std::cmp::Ordering;

use super::canonical::from_squared_distance;

const UNIT: f64 = 1.0 / (1 << 24) as f64;
const LARGEST_DIM: usize = 1 << 20;

/// Bounds for vectors of one width and one kind of similarity.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// γ(d + 4).
    relative: f64,
    /// (2 d + 2) t.
    absolute: f64,
    euclidean: bool,
}

impl Bound {
    /// For vectors of width `dim`.
    pub fn new(dim: usize, euclidean: bool) -> Self {
        let steps = (dim + 4) as f64 * UNIT;
        let absolute = (2 * dim + 2) as f64 * f64::from(f32::MIN_POSITIVE);
        Self {
            relative: if dim < LARGEST_DIM {
                steps / (1.0 - steps)
            } else {
                f64::INFINITY
            },
            absolute,
            euclidean,
        }
    }

    /// The canonical score is not below this; `norms` are those of the query and of the longest item.
    pub fn lower(&self, scan: f32, norms: (f64, f64)) -> f64 {
        let scan = f64::from(scan);
        if !self.is_safe(norms) {
            f64::NEG_INFINITY
        } else if self.euclidean {
            let largest = (self.absolute - scan) / (1.0 - self.relative);
            from_squared_distance(largest) * (1.0 - 4.0 * UNIT)
        } else {
            scan - self.error(norms)
        }
    }

    /// Only a scanned score of at least this can belong to a canonical score of at least `floor`.
    pub fn cutoff(&self, floor: f64, norms: (f64, f64)) -> f32 {
        if floor == f64::NEG_INFINITY || !self.is_safe(norms) {
            f32::NEG_INFINITY
        } else if self.euclidean {
            let distance = 1.0 / (floor * (1.0 - 4.0 * UNIT)) - 1.0;
            let largest = distance * distance * (1.0 + 2.0 * self.relative) + self.absolute;
            (-largest as f32).next_down()
        } else {
            ((floor - self.error(norms)) as f32).next_down()
        }
    }

    fn error(&self, norms: (f64, f64)) -> f64 {
        self.relative * norms.0 * norms.1 + self.absolute
    }

    /// Whether no partial sum of the scan can leave the range of float32, with a factor to spare.
    fn is_safe(&self, (query, item): (f64, f64)) -> bool {
        let largest = if self.euclidean {
            (query + item) * (query + item)
        } else {
            query * item
        };
        self.relative.is_finite() && largest < f64::from(f32::MAX) / 4.0
    }
}

/// Whether a scanned score may belong to the floor; also true for NaN, which only a scan that
/// overflows gives, and there the cutoff is −inf.
pub fn reaches(scan: f32, cutoff: f32) -> bool {
    !matches!(scan.partial_cmp(&cutoff), Some(Ordering::Less))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lists::Scored;
    use crate::matrix::Matrix;
    use crate::topk::canonical::{Similarity, norm};
    use crate::topk::panels::{Panels, Tile};

    #[test]
    fn nothing_is_cut_where_the_scan_may_overflow() {
        let bound = Bound::new(8, false);
        assert_eq!(bound.lower(1.0, (1e30, 1e30)), f64::NEG_INFINITY);
        assert_eq!(bound.cutoff(1.0, (1e30, 1e30)), f32::NEG_INFINITY);
        let wide = Bound::new(LARGEST_DIM, false);
        assert_eq!(wide.cutoff(1.0, (1.0, 1.0)), f32::NEG_INFINITY);
    }

    /// A row of one size: random values, or the same one again and again, whose errors add up.
    fn row(dim: usize) -> impl Strategy<Value = Vec<f32>> {
        let scale = prop::sample::select(vec![1e-23, 1e-10, 1e-4, 1.0, 1e3, 1e19, 1e38]);
        let values = prop_oneof![
            prop::collection::vec(-1.0_f32..1.0, dim),
            (0.1_f32..1.0).prop_map(move |value| vec![value; dim]),
        ];
        (values, scale).prop_map(|(mut values, scale)| {
            for value in &mut values {
                *value *= scale;
            }
            values
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn the_canonical_score_lies_within(
            (query, item) in (1_usize..300).prop_flat_map(|dim| (row(dim), row(dim))),
            nearby in any::<bool>(),
            similarity in prop::sample::select(vec![Similarity::Dot, Similarity::Euclidean]),
        ) {
            let dim = query.len();
            let shifted: Vec<f32> = query.iter().zip(&item).map(|(q, e)| q + e * 1e-6).collect();
            let item = if nearby { shifted } else { item };
            prop_assume!(item.iter().all(|value| value.is_finite()));
            let euclidean = similarity == Similarity::Euclidean;
            let panels = Panels::new(Matrix::new(&item, 1, dim, "item").unwrap());
            let tile = Tile::new(Matrix::new(&query, 1, dim, "query").unwrap(), 0);
            let scan = panels.scores(0, &tile, euclidean)[0][0];
            let canonical = f64::from(Scored::new(0, similarity.score(&query, &item)).score);
            let (bound, norms) = (Bound::new(dim, euclidean), (norm(&query), panels.norm(0)));
            prop_assert!(bound.lower(scan, norms) <= canonical);
            // An item whose own canonical score is the floor must survive.
            let cutoff = bound.cutoff(canonical, norms);
            prop_assert!(reaches(scan, cutoff), "scan {scan}, cutoff {cutoff}, canonical {canonical}");
        }
    }
}

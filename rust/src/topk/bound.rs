//! How far a score may lie above what the 8-bit scan says of it, in the worst case.
//!
//! Write u = 2⁻²⁴, q for a query and e for an item, both after a multiplication by a
//! power of two that brings the largest length to at most 1 (which rounds nothing but values that it makes
//! subnormal; `TINY` pays for these and for all other underflow).
//!
//! **Centring.** z = fl(e − μ) with the float32 vector μ, so |(e − μ − z)ⱼ| ≤ u |zⱼ| and
//! q·e = q·μ + q·z + O, |O| ≤ u ‖q‖ ‖z‖ (Cauchy–Schwarz, as below).
//!
//! **Projection.** The columns of P (d × w) are integers A times 2⁻ᵉ and nearly orthonormal: ‖PᵀP − I‖ ≤ δ, computed
//! in float64 when the index is made, as ‖M‖⁴ = ‖M⁴‖ ≤ ‖M⁴‖_F. A vector x is first rounded to x̂, integers X of 16 bits times
//! a step s, and the dots of integers are exact: |X·A_a| ≤ ‖X‖ ‖A_a‖ ≤ (‖x‖ / s + √d / 2) 2ᵉ (1 + δ), which the choice of s
//! keeps below 2³¹. s is ‖x‖ times at most σ, the larger of 1 / 32767 and what this needs; x / s, below 2¹⁵, is rounded
//! by 2⁻⁸ at most before it is rounded to integers, so that ‖x − x̂‖ ≤ 0.504 √d s. The dots are rounded to float64 and to float32.
//! So for p = fl(Pᵀq̂) and a = fl(Pᵀẑ), ‖p − Pᵀq‖ ≤ η ‖q‖ with η = (1 + δ) (0.51 √d σ + 4 u), and ‖a − Pᵀz‖ ≤ η ‖z‖. With t = q − P p and
//! r = z − P a
//!
//! * q·z = (t + P p)·(r + P a) = t·r + t·P a + P p·r + P p·P a;
//! * t·P a = (Pᵀq − PᵀP p)·a, so |t·P a| ≤ (η ‖q‖ + δ ‖p‖) ‖a‖, and likewise |P p·r| ≤ (η ‖z‖ + δ ‖a‖) ‖p‖;
//! * |P p·P a − p·a| ≤ δ ‖p‖ ‖a‖;
//! * so q·z ≤ p·a + ‖t‖ ‖r‖ + η (‖q‖ ‖a‖ + ‖z‖ ‖p‖) + 3 δ ‖p‖ ‖a‖, where
//! * ‖t‖² = ‖q‖² − 2 p·Pᵀq + p·PᵀP p ≤ ‖q‖² − ‖p‖² + 2 η ‖q‖ ‖p‖ + δ ‖p‖², and the same for r.
//!
//! Without a projection p = q, a = z, t = r = 0, η = δ = 0.
//!
//! **Eight bits.** p̂ and â are integers times a step; their dot is exact in integers. p·a = p̂·â +
//! (p − p̂)·a + p̂·(a − â) ≤ p̂·â + ‖p − p̂‖ ‖a‖ + ‖p̂‖ ‖a − â‖. The same holds for q and z in all dimensions,
//! which is the second, closer look at what the first leaves.
//!
//! **Front.** A scan for few queries reads the first coordinates alone, as if P had only these columns: η and δ of
//! all columns are no smaller, nor is ‖p − p̂‖ of all coordinates. ‖t‖ and ‖r‖ are made anew from the lengths of the
//! fronts. The first coordinates of a front, a₁, have 8 bits, the others, a₂, have 4 (whose integers count eight
//! times, so that all have one step): p̂·(a − â) ≤ ‖p̂₁‖ ‖a₁ − â₁‖ + ‖p̂₂‖ ‖a₂ − â₂‖, part by part since the second
//! rounding is coarse where p is small. ‖a‖ ≤ (1 + η + δ) ‖z‖ is taken of the longest z, which its small factors allow.
//!
//! **Lane.** The scan keeps a dot as 16 times the integer plus the lane, below 2³¹, and reads it with a sixteenth of
//! the step: the lane adds less than one step of the product, never takes from it; the division by 16 rounds
//! nothing but subnormal steps, by 2⁻¹⁵⁰ at most, and 2³¹ times that is far below `TINY`. Made a float32, the
//! kept dot rounds once, as the integer alone would.
//!
//! **What is needed.** c, the canonical score, is a float64 sum of d exact products (|c₆₄ − q·e| ≤ ε ‖q‖ ‖e‖,
//! ε = d 2⁻⁵² outweighs its second order) rounded once: c ≥ T only if c₆₄ ≥ T − u |T| − 2⁻¹⁵⁰, or c₆₄ ≥ f32::MAX where
//! T is infinite. So q·z must reach that less q·μ and the errors above.
//!
//! **Euclidean.** With y = fl(q − μ), ‖q − e‖ differs from ‖y − z‖ by at most u (‖y‖ + ‖z‖). c = 1 / (1 + √D), computed
//! in float64 (relative error ≤ d 2⁻⁵¹) and rounded once, reaches T only if √D is at most
//! R = 1 / (T (1 − 4 u)) − 1, so only if ‖y − z‖² = ‖y‖² + ‖z‖² − 2 y·z ≤ (R (1 + d 2⁻⁵⁰) + u (‖y‖ + ‖z‖))²: a bound on y·z, with
//! a loss ‖z‖² / 2 of each item.
//!
//! Lengths are float64 sums, multiplied by `UP`, which outweighs their own rounding for d < 2²⁰, and are
//! rounded upwards to float32. The sum of a bound's terms, none above 8 (8 ‖y‖ where a far query makes ‖y‖ > 1), is
//! made in float32: its fewer than 16 roundings are below `SUM`.

#![allow(clippy::doc_markdown)] // formulas

use ndarray::Array2;

use super::canonical::Similarity;

const UNIT: f64 = 1.0 / (1 << 24) as f64;
/// More than d 2⁻⁵² for all widths that are scanned.
pub const UP: f64 = 1.0 + 1e-9;
/// Roundings of the float32 sums of a bound.
const SUM: f64 = 16.0 * 8.0 * UNIT;
/// More than all underflow together, for lengths of about 1.
const TINY: f64 = 1e-30;
/// Centred queries from this length on, in the scale of the items, are not scanned.
pub const FAR: f64 = 1e15;

/// Rounded upwards.
pub fn above(value: f64) -> f32 {
    ((value * UP + TINY) as f32).next_up()
}

/// Errors of a projection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Projection {
    /// η
    pub rounding: f64,
    /// δ
    pub skew: f64,
    /// Steps of a vector's length, at most.
    room: f64,
}

impl Projection {
    /// Of columns for which PᵀP − I is this, of so many integers times 2 to the power of −`exponent` each.
    pub fn of(skews: &Array2<f64>, dim: usize, exponent: i32) -> Self {
        let squared = skews.dot(skews);
        let fourth = squared.dot(&squared);
        let sum: f64 = fourth.iter().map(|value| value * value).sum();
        Self::new(sum.powf(0.125) * 1.001 + 1e-12, dim, exponent)
    }

    /// From δ, as [`Self::of`].
    pub fn new(skew: f64, dim: usize, exponent: i32) -> Self {
        let widest = (dim as f64).sqrt();
        let room = (2.0_f64.powi(31 - exponent) / (1.0 + skew) - widest) * 0.999;
        let finest = f64::max(1.0 / f64::from(i16::MAX), 1.001 / room);
        Self {
            rounding: (1.0 + skew) * (0.51 * widest * finest + 4.0 * UNIT),
            skew,
            room,
        }
    }

    /// The least step for a vector of this length.
    pub fn step(self, length: f64) -> f32 {
        (length / self.room * 1.000_1) as f32
    }

    /// ‖t‖ or ‖r‖ at most, from the lengths of a vector and of its projection.
    pub fn rest(self, whole: f64, part: f64) -> f64 {
        let errors = 2.0 * self.rounding * whole * part + self.skew * part * part;
        // The difference of squares rounds like its larger term.
        let squared = whole * whole * UP - part * part / UP + errors;
        squared.max(0.0).sqrt()
    }

    /// ‖a‖ at most, from ‖z‖.
    pub fn part(self, whole: f64) -> f64 {
        whole * (1.0 + self.rounding + self.skew)
    }

    /// Factor of ‖a‖ and, by the longest z, what is left of the projection's errors.
    pub fn errors(self, query: f64, part: f64, longest: f64) -> (f64, f64) {
        (
            self.rounding * query + 3.0 * self.skew * part,
            self.rounding * longest * part,
        )
    }
}

/// One query's lengths, as the rule for what is needed reads them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// ‖q‖, or ‖y‖ for euclidean.
    pub length: f64,
    /// q·μ; 0 for euclidean.
    pub on_centre: f64,
    /// A product of scaled vectors times this is the product of the vectors as they came.
    pub unit: f64,
}

impl Asked {
    /// ‖q‖ ‖e‖ at most, of the vectors as they came: no scaled item is longer than 1. Not for euclidean.
    pub fn reach(self) -> f64 {
        self.length * self.unit * UP
    }
}

/// What holds for a whole catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    pub similarity: Similarity,
    /// Width of an item.
    pub dim: usize,
    /// Longest z.
    pub longest: f64,
}

impl Needs {
    /// What q·z (less half of ‖z‖² for euclidean) must reach for a canonical score of at least `floor`.
    pub fn of(self, asked: Asked, floor: f32) -> f64 {
        let Asked { length, unit, .. } = asked;
        if floor == f32::NEG_INFINITY {
            return f64::NEG_INFINITY;
        }
        let sums = self.dim as f64 * f64::EPSILON;
        let needed = if self.similarity == Similarity::Euclidean {
            // Scores that are nearly subnormal, and queries so far away that float32 sums could overflow.
            if floor < 1e-30 || length >= FAR || length.is_nan() {
                return f64::NEG_INFINITY;
            }
            let radius = 1.0 / (f64::from(floor) * (1.0 - 4.0 * UNIT)) - 1.0;
            let shift = UNIT * (length + self.longest) * UP;
            let radius = radius * (1.0 + 4.0 * sums) / unit.sqrt() + shift;
            (length * length / UP - radius * radius * UP) / 2.0
        } else {
            let floor = f64::from(floor).min(f64::from(f32::MAX));
            let floor = floor - floor.abs() * UNIT - 2.0_f64.powi(-150);
            // ‖e‖ and ‖μ‖ are at most 1.
            floor / unit - asked.on_centre - length * (2.0 * sums + UNIT * self.longest) * UP
        };
        needed - SUM * length.max(1.0) - TINY
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lists::Scored;
    use crate::matrix::Matrix;
    use crate::topk::ItemIndex;
    use crate::topk::kernels::{
        COARSE, Hit, Kept, Kernels, LANES, Layout, Look, Maxima, Panels, Queries,
    };
    use crate::topk::project::Front;
    use crate::topk::query::Group;
    use crate::topk::store::Store;

    /// Rows of one size: random, about a few points, or along few directions far from zero.
    fn rows(n: usize, dim: usize) -> impl Strategy<Value = Vec<f32>> {
        let scale = prop::sample::select(vec![1e-40, 1e-30, 1e-10, 1.0, 1e5, 1e18, 1e36]);
        let values = prop::collection::vec(-1.0_f32..1.0, n * dim);
        (values, scale, 0..4_u8).prop_map(move |(mut values, scale, kind)| {
            let first = values[..dim].to_vec();
            for (number, row) in values.chunks_exact_mut(dim).enumerate() {
                for (value, &first) in row.iter_mut().zip(&first) {
                    *value = match kind {
                        0 => *value,
                        1 => first + 1e-6 * *value,
                        2 => 50.0 + first * (number % 7) as f32,
                        _ => *value * 0.5_f32.powi(number as i32 % 40),
                    } * scale;
                }
            }
            values
        })
    }

    /// Dot of a query and a lane of a panel, value by value.
    fn plain_dot(
        panels: Panels<'_>,
        queries: Queries<'_>,
        number: usize,
        (panel, lane): (usize, usize),
    ) -> i32 {
        let Layout { fine, coarse } = panels.layout;
        let width = fine + coarse;
        let bytes = &panels.bytes[panel * LANES * panels.layout.n_bytes()..];
        let byte = |line: usize, at: usize| i32::from(bytes[(line * LANES + lane) * 4 + at]);
        let value = |at: usize| {
            if at < fine {
                return byte(at / 4, at % 4) - 128;
            }
            let at = at - fine;
            let half = byte(fine / 4 + at / 8, at % 4) >> (at % 8 / 4 * 4) & 15;
            (half - 8) * i32::from(COARSE)
        };
        let query = &queries.values[number * width..][..width];
        query
            .iter()
            .zip(0..)
            .map(|(&own, at)| i32::from(own) * value(at))
            .sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

        /// An item whose own canonical score is what is needed must be found by the panels' bound and by
        /// the rows', and its panel by the sweep, whatever is at the edge of float32 or of 8 bits.
        #[test]
        fn no_bound_lies_below_its_item(
            (items, queries, dim) in prop_oneof![1..24_usize, 86..90_usize].prop_flat_map(|dim| {
                let n = if dim > 80 { 160 } else { 40 };
                (rows(n, dim), rows(3, dim), Just(dim))
            }),
            similarity in prop::sample::select(vec![Similarity::Dot, Similarity::Euclidean]),
            front in prop::sample::select(vec![
                Layout::fine(64),
                Layout::fine(40),
                Layout { fine: 32, coarse: 24 },
                Layout { fine: 4, coarse: 56 },
                Layout { fine: 0, coarse: 64 },
            ]),
            most_kept in prop::sample::select(vec![0, 1000]),
        ) {
            let n_items = items.len() / dim;
            let matrix = Matrix::new(&items, n_items, dim, "items").unwrap();
            // Wide rows get axes, of which few queries read a front.
            let index = if dim > 80 {
                let front = Front {
                    layout: front,
                    few: 3,
                    most_kept,
                };
                ItemIndex::with_axes(matrix, similarity, 64, front)
            } else {
                ItemIndex::new(matrix, similarity)
            };
            let index = index.unwrap();
            let kernels = Kernels::chosen().unwrap();
            let mut group = Group::default();
            group.prepare(&queries, &index.space, index.needs, index.lanes.len(), kernels);
            prop_assert_eq!(group.fronts, dim > 80 && front != Layout::fine(64));
            prop_assert_eq!(group.keeps, group.fronts && most_kept > 0);
            for (number, query) in queries.chunks_exact(dim).enumerate() {
                let known = &group.known[number];
                for (place, &item) in index.store.order.iter().enumerate() {
                    let row = &items[item as usize * dim..(item as usize + 1) * dim];
                    let floor = Scored::new(item, similarity.score(query, row)).score;
                    let needed = (index.needs.of(known.asked, floor) - known.extra) as f32;
                    let needed = needed.next_down();
                    if needed == f32::NEG_INFINITY {
                        continue; // nothing is ruled out
                    }
                    let (panel, lane) = (place / LANES, place % LANES);
                    let mut hits = vec![Hit {
                        query: number as u32,
                        place: place as u32,
                        most: 0.0,
                    }];
                    if !group.keeps {
                        hits.clear();
                        let stats = index.store.stats(panel..panel + 1, false);
                        let look = Look {
                            query: group.row(number),
                            start: group.starts[number],
                            side: stats.side(0, known.step, known.factors),
                            needed,
                            lanes: 1 << lane,
                            number: number as u32,
                            first: (panel * LANES) as u32,
                        };
                        kernels.look(index.store.panel(panel), &[look], &mut hits);
                        prop_assert_eq!(hits.len(), 1, "{} of {}", floor, needed);
                    }
                    // The same as far as a scan for few queries reads.
                    let fronts = group.fronts;
                    let stats = index.store.stats(panel..panel + 1, fronts);
                    let mut lanes = vec![0; Store::n_panels(n_items)];
                    lanes[panel] = 1 << lane;
                    let scanned = index.store.panels(&lanes, 0..lanes.len(), fronts);
                    let dot = plain_dot(scanned, group.scan(), number, (panel, lane));
                    let side = stats.side(0, known.step, known.scan_factors);
                    prop_assert!(side.bound(dot) + known.scan_extra >= needed);
                    // And as the scan keeps it and the sweep reads it, the item's lane alone listable.
                    let mut dots = vec![0; 2 * lanes.len() * group.known.len()];
                    let n_kept = if group.keeps { dots.len() / 2 * LANES } else { 0 };
                    let mut kept = vec![0; n_kept];
                    kernels.maxima(scanned, group.scan(), &mut dots, &mut kept);
                    let rows = &dots[2 * lanes.len() * number..][..2 * lanes.len()];
                    let (firsts, seconds) = rows.split_at(lanes.len());
                    prop_assert_eq!(firsts[panel], dot * LANES as i32 + lane as i32);
                    let maxima = Maxima {
                        firsts,
                        seconds,
                        stats: index.store.stats(0..lanes.len(), fronts),
                        step: known.step,
                        factors: known.scan_factors,
                        needed: (needed - known.scan_extra).next_down(),
                    };
                    let mut tops = Vec::new();
                    kernels.sweep(maxima, |top| tops.push((top.panel, top.lane)));
                    prop_assert!(tops.contains(&(panel, lane as u32)));
                    if group.keeps {
                        let n = lanes.len() * LANES;
                        let kept = Kept {
                            dots: &kept[n * number..][..n],
                            lanes: &lanes,
                            first: 0,
                        };
                        let mut places = vec![0; n];
                        let n_places = kernels.reaching(maxima, kept, &mut places);
                        prop_assert_eq!(&places[..n_places], &[place as u32]);
                    }
                    if index.store.has_codes() {
                        let rows = index.store.code_rows(dim, similarity == Similarity::Euclidean);
                        let queries: Vec<_> = group.codes().collect();
                        kernels.closer(rows, &queries, &mut hits);
                        prop_assert!(Hit::reaches(&hits[0], needed));
                    }
                }
            }
        }
    }
}

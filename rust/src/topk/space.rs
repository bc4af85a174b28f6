//! Where the scan sees items and queries: scaled, centred, and projected onto a few axes.

// Compiled for each path of the CPU, see `Kernels::compiled`.
#![allow(clippy::inline_always)]

use rayon::prelude::*;

use super::kernels::{FEW, Kernels, LANES, Layout};
use super::project::{Axes, Projected};
use super::quantise::largest;

/// Rows that a thread takes at once.
const PART: usize = 256;
/// Parts that panels are dealt out to.
const HANDS: usize = 64;

/// The multiplication and the centre.
#[derive(Debug, Clone)]
pub struct Space {
    /// μ, scaled.
    pub centre: Vec<f32>,
    /// Items are multiplied by 2 to this power.
    pub exponent: i32,
    /// Without any, the scan reads all dimensions.
    pub axes: Option<Axes>,
}

impl Space {
    /// The power of two that brings a vector of this length to a length of 0.5 to 1.
    pub fn exponent_of(longest: f64) -> i32 {
        if longest > 0.0 {
            -(longest.log2().floor() as i32) - 1
        } else {
            0
        }
    }

    /// Coordinates of an item in the scan.
    pub fn width(&self) -> usize {
        let plain = self.centre.len().next_multiple_of(4);
        self.axes.as_ref().map_or(plain, |axes| axes.number)
    }

    /// What a scan for few queries reads of an item.
    pub fn front(&self) -> Layout {
        let whole = Layout::fine(self.width());
        self.axes.as_ref().map_or(whole, |axes| axes.front.layout)
    }

    /// Whether so many queries read fronts.
    pub fn reads_fronts(&self, n_queries: usize) -> bool {
        n_queries <= self.few() && self.has_fronts()
    }

    /// What a scan for so many queries reads.
    pub fn scanned(&self, n_queries: usize) -> Layout {
        if self.reads_fronts(n_queries) {
            self.front()
        } else {
            Layout::fine(self.width())
        }
    }

    /// Whether fronts are less than all.
    pub fn has_fronts(&self) -> bool {
        self.front() != Layout::fine(self.width())
    }

    /// So many queries read fronts.
    pub fn few(&self) -> usize {
        self.axes.as_ref().map_or(0, |axes| axes.front.few)
    }

    /// Whether all dots of so many queries with so many panels are kept: of those that read fronts.
    pub fn keeps(&self, n_queries: usize, n_panels: usize) -> bool {
        let most = self.axes.as_ref().map_or(0, |axes| axes.front.most_kept);
        self.reads_fronts(n_queries)
            && n_queries <= FEW
            && n_queries.saturating_mul(n_panels) <= most
    }

    /// Mean of the scaled rows.
    pub fn mean(&self, rows: &[f32]) -> Vec<f32> {
        let dim = self.centre.len();
        let part = |rows: &[f32]| {
            let mut sums = vec![0.0_f64; dim];
            let mut row = vec![0.0; dim];
            for values in rows.chunks_exact(dim) {
                scaled(values, self.exponent, &mut row);
                for (sum, &value) in sums.iter_mut().zip(&row) {
                    *sum += f64::from(value);
                }
            }
            sums
        };
        // Parts of a fixed size, added in order: the index does not depend on the threads.
        let parts: Vec<Vec<f64>> = rows.par_chunks(dim * PART).map(part).collect();
        let n_rows = (rows.len() / dim) as f64;
        let column = |column: usize| parts.iter().map(|part| part[column]).sum::<f64>();
        (0..dim).map(|at| (column(at) / n_rows) as f32).collect()
    }

    /// Items panel by panel. Panels of equals have the tightest bounds: an item's place is by the length of what a scan
    /// for few queries does not read, without axes by its largest value, which decides the step of a panel. The
    /// panels are dealt out, so that every part of them leaves about as much to look at.
    pub fn order(&self, rows: &[f32], kernels: Kernels) -> Vec<u32> {
        let keys = self.per_item(rows, kernels, |row, rest| {
            rest.unwrap_or_else(|| largest(row).into())
        });
        let mut order: Vec<u32> = (0..keys.len() as u32).collect();
        order.par_sort_unstable_by(|&left, &right| {
            let (a, b) = (keys[left as usize], keys[right as usize]);
            b.total_cmp(&a).then(left.cmp(&right))
        });
        // One that is not full stays the last.
        let (panels, rest) = order.as_chunks::<LANES>();
        let dealt = (0..HANDS).flat_map(|hand| panels.iter().skip(hand).step_by(HANDS));
        dealt.flatten().chain(rest).copied().collect()
    }

    /// Length of the longest z.
    pub fn longest(&self, rows: &[f32]) -> f64 {
        let dim = self.centre.len();
        let rows = rows.par_chunks_exact(dim);
        let lengths = rows.map_init(
            || vec![0.0; dim],
            |centred, row| {
                self.centred(row, self.exponent, centred);
                length(centred)
            },
        );
        lengths.reduce(|| 0.0, f64::max)
    }

    /// A value of each item, made of z and, with axes, of the length of what a scan for few queries leaves
    /// unread.
    fn per_item(
        &self,
        rows: &[f32],
        kernels: Kernels,
        value: impl Fn(&[f32], Option<f64>) -> f64 + Sync,
    ) -> Vec<f64> {
        let dim = self.centre.len();
        let part = |rows: &[f32]| {
            let mut centred = vec![0.0; rows.len()];
            for (row, out) in rows.chunks_exact(dim).zip(centred.chunks_exact_mut(dim)) {
                self.centred(row, self.exponent, out);
            }
            let mut projected = Projected::default();
            if let Some(axes) = &self.axes {
                axes.project(&centred, dim, axes.number, kernels, &mut projected);
            }
            let values = centred.chunks_exact(dim).enumerate().map(|(number, row)| {
                let rest = self.axes.as_ref().map(|axes| {
                    let own = &projected.values[number * axes.number..];
                    let front = &own[..axes.front.layout.width()];
                    axes.errors.rest(length(row), length(front))
                });
                value(row, rest)
            });
            values.collect::<Vec<f64>>()
        };
        rows.par_chunks(dim * PART).flat_map_iter(part).collect()
    }

    /// z of a row.
    #[inline(always)]
    pub fn centred(&self, row: &[f32], exponent: i32, out: &mut [f32]) {
        let (first, second) = factors(exponent);
        for ((out, &value), &centre) in out.iter_mut().zip(row).zip(&self.centre) {
            *out = value * first * second - centre;
        }
    }
}

/// A power of two that float32 may not hold, as two that it does. The first never makes a value subnormal
/// that the second brings back.
fn factors(exponent: i32) -> (f32, f32) {
    let half = exponent / 2;
    (2.0_f32.powi(half), 2.0_f32.powi(exponent - half))
}

/// A row times a power of two.
#[inline(always)]
pub fn scaled(row: &[f32], exponent: i32, out: &mut [f32]) {
    let (first, second) = factors(exponent);
    for (out, &value) in out.iter_mut().zip(row) {
        *out = value * first * second;
    }
}

/// Length, in float64.
#[inline(always)]
pub fn length(row: &[f32]) -> f64 {
    dot(row, row).sqrt()
}

/// Dot in float64, sums side by side.
#[inline(always)]
pub fn dot(left: &[f32], right: &[f32]) -> f64 {
    const SUMS: usize = 32;
    let mut sums = [0.0_f64; SUMS];
    let (a, rest) = left.as_chunks::<SUMS>();
    let (b, other_rest) = right.as_chunks::<SUMS>();
    for (a, b) in a.iter().zip(b) {
        for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += f64::from(a) * f64::from(b);
        }
    }
    let rest = rest.iter().zip(other_rest);
    let rest: f64 = rest.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
    sums.iter().sum::<f64>() + rest
}

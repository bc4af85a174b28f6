//! A few axes, and coordinates on them.

// Compiled for each path of the CPU, see `Kernels::compiled`.
#![allow(clippy::inline_always)]

use ndarray::ArrayView2;

use super::bound::Projection;
use super::kernels::{BLOCK, Kernels, Layout, Pair};
use super::quantise::{largest, quantise, step_for};
use super::space::length;

/// Largest exponent of axes: a query's integers then have as many bits.
const LARGEST: i32 = 16;

/// Pairs of a query and a panel of which all dots are kept: they take little room, and little time to write, beside the
/// panels.
pub const MOST_KEPT: usize = 1 << 16;

/// What a scan for few queries reads of each item: the first coordinates alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Front {
    /// Those.
    pub layout: Layout,
    /// So many queries are few.
    pub few: usize,
    /// Pairs of a query and a panel of which all dots are kept, so that no panel is looked at again.
    pub most_kept: usize,
}

/// Axes that hold most of what distinguishes items.
#[derive(Debug, Clone)]
pub struct Axes {
    /// Nearly orthonormal columns, all values times 2 to the power of `exponent`, in blocks of pairs:
    /// `[n_axes / BLOCK][dim / 2][BLOCK]`.
    pub values: Vec<Pair>,
    /// See `values`.
    pub exponent: i32,
    /// How many; [`BLOCK`] divides it.
    pub number: usize,
    /// What few queries read.
    pub front: Front,
    /// How far from exact a projection may be.
    pub errors: Projection,
}

/// Coordinates on some axes, and the buffers in which they are made.
#[derive(Debug, Default)]
pub struct Projected {
    /// (row, axis)
    pub values: Vec<f32>,
    integers: Vec<Pair>,
    steps: Vec<f32>,
    sums: Vec<i32>,
}

impl Axes {
    /// Round columns, (dim, axis), to integers, and measure how far they are from orthonormal.
    pub fn new(columns: &ArrayView2<'_, f32>, front: Front) -> Self {
        let (dim, n_axes) = columns.dim();
        let most = columns
            .iter()
            .fold(0.0, |most: f32, value| most.max(value.abs()));
        let exponent = (f32::from(i16::MAX) / most).log2().floor() as i32;
        let exponent = exponent.min(LARGEST);
        let factor = 2.0_f32.powi(exponent);
        let rounded = columns.mapv(|value| f64::from((value * factor).round()));
        let mut squared = rounded.t().dot(&rounded) * f64::from(factor).powi(-2);
        for i in 0..n_axes {
            squared[[i, i]] -= 1.0;
        }
        let integer = |row: usize, column: usize| {
            let value = rounded.get((row, column));
            value.map_or(0, |&value| value as i16)
        };
        let lines = (0..n_axes).step_by(BLOCK).flat_map(|first| {
            let lines = (0..dim).step_by(2).map(move |row| (first, row));
            lines.flat_map(|(first, row)| (first..first + BLOCK).map(move |at| (row, at)))
        });
        Self {
            values: lines
                .map(|(row, at)| [integer(row, at), integer(row + 1, at)])
                .collect(),
            exponent,
            number: n_axes,
            front,
            errors: Projection::of(&squared, dim, exponent),
        }
    }

    /// Whether they may be axes of rows of a width.
    pub fn fit(&self, dim: usize) -> bool {
        let n_values = self.number * dim.div_ceil(2);
        self.values.len() == n_values && (0..=LARGEST).contains(&self.exponent)
    }

    /// Coordinates of some rows of a width on the first axes, a multiple of [`BLOCK`].
    #[inline(always)]
    pub fn project(
        &self,
        rows: &[f32],
        dim: usize,
        n_axes: usize,
        kernels: Kernels,
        out: &mut Projected,
    ) {
        let Projected {
            values,
            integers,
            steps,
            sums,
        } = out;
        let n_pairs = dim.div_ceil(2);
        integers.clear();
        integers.resize(rows.len() / dim * n_pairs, [0; 2]);
        steps.clear();
        for (row, out) in rows
            .chunks_exact(dim)
            .zip(integers.chunks_exact_mut(n_pairs))
        {
            let shortest = self.errors.step(length(row));
            let step = step_for(largest(row), i16::MAX).max(shortest);
            quantise(row, step, i16::MAX, out.as_flattened_mut());
            steps.push(step);
        }
        sums.resize(rows.len() / dim * n_axes, 0);
        kernels.project(integers, n_pairs, &self.values[..n_axes * n_pairs], sums);
        values.resize(sums.len(), 0.0);
        let places = values
            .chunks_exact_mut(n_axes)
            .zip(sums.chunks_exact(n_axes));
        for ((values, sums), &step) in places.zip(&*steps) {
            let factor = f64::from(step) * 2.0_f64.powi(-self.exponent);
            for (value, &sum) in values.iter_mut().zip(sums) {
                *value = (f64::from(sum) * factor) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topk::axes;

    #[test]
    fn projections_are_as_near_as_their_errors_say() {
        let random = |number: usize| (number * number % 1009) as f32 / 504.5 - 1.0;
        for (dim, n_axes) in [(89, 32), (96, 96), (768, 64)] {
            let rows: Vec<f32> = (0..dim * 300).map(random).collect();
            let front = Front {
                layout: Layout::fine(n_axes),
                few: 0,
                most_kept: 0,
            };
            let axes = axes::of(&rows, dim, n_axes, front).unwrap();
            let value_of = |column: usize, row: usize| {
                let line = column / BLOCK * dim.div_ceil(2) + row / 2;
                let integer = axes.values[line * BLOCK + column % BLOCK][row % 2];
                f64::from(integer) * 2.0_f64.powi(-axes.exponent)
            };
            // An axis itself has the largest dot that there is.
            let along: Vec<f32> = (0..dim).map(|row| value_of(3, row) as f32).collect();
            let one = (0..dim).map(|row| f32::from(u8::from(row == 5)));
            let rows = [along, rows[..dim].to_vec(), one.collect(), vec![0.0; dim]];
            for scale in [1e-36, 1e-20, 1.0, 1e14] {
                for row in &rows {
                    let row: Vec<f32> = row.iter().map(|value| value * scale).collect();
                    let mut out = Projected::default();
                    let kernels = Kernels::chosen().unwrap();
                    axes.project(&row, dim, n_axes, kernels, &mut out);
                    let squares = out.values.iter().enumerate().map(|(column, &found)| {
                        let products = row.iter().zip(0..);
                        let products = products.map(|(&v, at)| f64::from(v) * value_of(column, at));
                        (f64::from(found) - products.sum::<f64>()).powi(2)
                    });
                    let error = squares.sum::<f64>().sqrt();
                    assert!(
                        error <= axes.errors.rounding * length(&row) + 1e-36,
                        "{dim} {scale}"
                    );
                }
            }
        }
    }
}

//! Items made panels: their bytes and statistics.

// Compiled for each path of the CPU, see `Kernels::compiled`.
#![allow(clippy::inline_always)]

use super::bound::{Projection, above};
use super::kernels::{COARSE, Kernels, LANES, Layout};
use super::project::Projected;
use super::quantise::{largest, quantise, step_for};
use super::space::{Space, length};
use super::store::COLUMNS;

/// Largest absolute values of 8 and of 4 bits.
const LIMIT: i8 = 127;
const COARSE_LIMIT: i8 = 7;

/// Buffers of one thread.
#[derive(Debug, Default)]
pub struct Scratch {
    centred: Vec<f32>,
    projected: Projected,
    /// Length of each row.
    lengths: Vec<f64>,
    integers: Vec<i8>,
}

/// A panel that is being filled, see [`super::store::Store`].
#[derive(Debug)]
pub struct Part<'a> {
    pub items: &'a [u32],
    pub bytes: &'a mut [u8],
    pub stats: &'a mut [f32; COLUMNS],
    pub front: &'a mut [u8],
    pub codes: &'a mut [u8],
    pub code_stats: &'a mut [f32],
}

impl Part<'_> {
    /// Quantise the items.
    #[inline(always)]
    pub fn fill(
        &mut self,
        rows: &[f32],
        space: &Space,
        loss: bool,
        kernels: Kernels,
        scratch: &mut Scratch,
    ) {
        let (dim, width) = (space.centre.len(), space.width());
        let Scratch {
            centred,
            projected,
            lengths,
            integers,
        } = scratch;
        centred.clear();
        centred.resize(self.items.len() * dim, 0.0);
        for (&item, out) in self.items.iter().zip(centred.chunks_exact_mut(dim)) {
            let row = &rows[item as usize * dim..][..dim];
            space.centred(row, space.exponent, out);
        }
        let (scanned, n_scanned): (&[f32], usize) = if let Some(axes) = &space.axes {
            axes.project(centred, dim, axes.number, kernels, projected);
            (&projected.values, axes.number)
        } else {
            (centred, dim)
        };
        integers.clear();
        integers.resize(width.max(dim), 0);
        let errors = space.axes.as_ref().map(|axes| axes.errors);
        lengths.clear();
        lengths.extend(centred.chunks_exact(dim).map(length));
        let step = step_for(largest(scanned), LIMIT);
        let (mut most, mut least) = ([0.0_f64; 3], f64::INFINITY);
        let rows = scanned.chunks_exact(n_scanned).zip(lengths.iter().copied());
        for (lane, (values, whole)) in rows.clone().enumerate() {
            let rounded = quantise(values, step, LIMIT, integers);
            write_fine(&integers[..width], lane, self.bytes);
            let part = length(values);
            let rest = errors.map_or(0.0, |errors| errors.rest(whole, part));
            raise(&mut most, [part, rounded.error, rest]);
            least = least.min(whole);
        }
        let loss = if loss { half_square(least) } else { 0.0 };
        let [part, error, rest] = most.map(above);
        self.stats[..5].copy_from_slice(&[loss, step, part, error, rest]);
        if let Some(errors) = errors.filter(|_| !self.front.is_empty()) {
            let stats = fill_front(rows, space.front(), errors, integers, self.front);
            self.stats[5..].copy_from_slice(&stats);
        }
        if !self.codes.is_empty() {
            self.fill_codes(centred, lengths, dim, integers);
        }
    }

    /// The rows of all dimensions.
    #[inline(always)]
    fn fill_codes(&mut self, centred: &[f32], lengths: &[f64], dim: usize, integers: &mut [i8]) {
        let codes = self.codes.chunks_exact_mut(dim);
        let places = codes.zip(self.code_stats.chunks_exact_mut(3));
        let rows = centred.chunks_exact(dim).zip(lengths);
        for ((values, &length), (codes, stats)) in rows.zip(places) {
            let step = step_for(largest(values), LIMIT);
            let rounded = quantise(values, step, LIMIT, integers);
            for (code, &value) in codes.iter_mut().zip(integers.iter()) {
                *code = value.cast_unsigned() ^ 0x80;
            }
            stats.copy_from_slice(&[step, above(length), above(rounded.error)]);
        }
    }
}

/// Write the fronts of a panel's projected rows, each of which comes with the length of the whole; give their
/// statistics.
#[inline(always)]
fn fill_front<'a>(
    rows: impl Iterator<Item = (&'a [f32], f64)> + Clone,
    layout: Layout,
    errors: Projection,
    integers: &mut [i8],
    out: &mut [u8],
) -> [f32; 4] {
    let parts = |values: &'a [f32]| values[..layout.width()].split_at(layout.fine);
    let (mut fine_most, mut coarse_most) = (0.0_f32, 0.0_f32);
    for (values, _) in rows.clone() {
        let (fine, coarse) = parts(values);
        fine_most = fine_most.max(largest(fine));
        coarse_most = coarse_most.max(largest(coarse));
    }
    let coarse_step = step_for(coarse_most, COARSE_LIMIT) / f32::from(COARSE);
    let step = step_for(fine_most, LIMIT).max(coarse_step);
    let (of_fine, of_coarse) = out.split_at_mut(LANES * layout.fine);
    let mut most = [0.0_f64; 3];
    for (lane, (values, whole)) in rows.enumerate() {
        let (fine, coarse) = parts(values);
        let fine_error = quantise(fine, step, LIMIT, integers).error;
        write_fine(&integers[..fine.len()], lane, of_fine);
        let step = step * f32::from(COARSE);
        let coarse_error = quantise(coarse, step, COARSE_LIMIT, integers).error;
        write_coarse(&integers[..coarse.len()], lane, of_coarse);
        let behind = errors.rest(whole, length(&values[..layout.width()]));
        raise(&mut most, [fine_error, coarse_error, behind]);
    }
    let [fine_error, coarse_error, behind] = most.map(above);
    [step, fine_error, coarse_error, behind]
}

/// Write the 8-bit values of a lane, see [`super::kernels::Panels`].
#[inline(always)]
fn write_fine(values: &[i8], lane: usize, panel: &mut [u8]) {
    for (step, four) in values.as_chunks::<4>().0.iter().enumerate() {
        let at = (step * LANES + lane) * 4;
        let four = four.map(|value| value.cast_unsigned() ^ 0x80);
        panel[at..at + 4].copy_from_slice(&four);
    }
}

/// Write the 4-bit values of a lane, see [`super::kernels::Panels`].
#[inline(always)]
fn write_coarse(values: &[i8], lane: usize, panel: &mut [u8]) {
    for (pair, eight) in values.as_chunks::<8>().0.iter().enumerate() {
        let at = (pair * LANES + lane) * 4;
        let raised = eight.map(|value| (value + 8).cast_unsigned());
        for (out, place) in panel[at..at + 4].iter_mut().zip(0..) {
            *out = raised[place] | raised[place + 4] << 4;
        }
    }
}

#[inline(always)]
fn raise(most: &mut [f64; 3], values: [f64; 3]) {
    for (most, value) in most.iter_mut().zip(values) {
        *most = most.max(value);
    }
}

/// Half of a squared length, rounded downwards.
fn half_square(length: f64) -> f32 {
    ((length * length / 2.0 * (1.0 - 1e-9)) as f32)
        .next_down()
        .max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topk::kernels::{Panels, Queries, start_of};

    #[test]
    fn fronts_hold_what_needs_no_rounding() {
        let layout = Layout {
            fine: 8,
            coarse: 16,
        };
        let value = |lane: usize, at: usize| match at {
            0 => 127.0,
            1..8 => (lane * 37 + at * 11) as f32 % 255.0 - 127.0,
            8 => 56.0,
            _ => 8.0 * ((lane * 5 + at * 3) as f32 % 15.0 - 7.0),
        };
        let row = |lane: usize| (0..24).map(|at| value(lane, at)).collect::<Vec<f32>>();
        let rows: Vec<Vec<f32>> = (0..LANES).map(row).collect();
        let mut out = vec![0; LANES * layout.n_bytes()];
        let each = rows.iter().map(|row| (&row[..], length(row)));
        let [step, fine_error, coarse_error, _] =
            fill_front(each, layout, Projection::default(), &mut [0; 24], &mut out);
        assert_eq!(step, 1.0);
        assert!(fine_error < 1e-20 && coarse_error < 1e-20);
        let query: Vec<i8> = (0..24).map(|at| (at * 29 % 127) as i8 - 63).collect();
        let panels = Panels {
            bytes: &out.repeat(4),
            layout,
            lanes: &[1, 1 << 9, 1 << 15, 0],
            far: false,
        };
        let queries = Queries {
            values: &query,
            starts: &[start_of(&query, layout)],
        };
        let mut dots = [0; 8];
        Kernels::chosen()
            .unwrap()
            .maxima(panels, queries, &mut dots, &mut []);
        for (panel, lane) in [(0, 0), (1, 9), (2, 15)] {
            let products = rows[lane].iter().zip(&query);
            let dot: f32 = products.map(|(a, &b)| a * f32::from(b)).sum();
            assert_eq!(dots[panel], dot as i32 * LANES as i32 + lane as i32);
        }
        assert_eq!(dots[3], i32::MIN);
    }
}

//! The items as the scan reads them: panels of bytes, their statistics, and a row of bytes each.

// Compiled for each path of the CPU, see `Kernels::compiled`.
#![allow(clippy::inline_always)]

use std::ops::Range;

use rayon::prelude::*;

use super::bound::{Projection, above};
use super::kernels::{COARSE, CodeRows, Kernels, LANES, Layout, PanelStats, Panels};
use super::quantise::{largest, quantise, step_for};
use super::space::{Space, length};
use crate::mapped::Array;

/// Panels are padded to a multiple of this.
pub const PADDING: usize = 16;
/// Statistics of a panel.
pub const COLUMNS: usize = 9;
/// Largest absolute values of 8 and of 4 bits.
const LIMIT: i8 = 127;
const COARSE_LIMIT: i8 = 7;

/// 8-bit copies of all items in the order of the scan.
#[derive(Debug)]
pub struct Store {
    /// Item at each place of the scan.
    pub order: Array<u32>,
    /// See [`Panels`].
    pub bytes: Array<u8>,
    /// The same of what a scan for few queries reads, so that it reads nothing else; empty where that is all.
    pub fronts: Array<u8>,
    /// What that is.
    pub front: Layout,
    /// Statistics of the panels, one column after another: see [`PanelStats`].
    pub stats: Array<f32>,
    /// Rows of all dimensions by place; empty where the panels have all dimensions.
    pub codes: Array<u8>,
    /// For each row of `codes`: step, length of z, length of its rounding.
    pub code_stats: Array<f32>,
    /// Bytes of an item in the panels.
    pub width: usize,
}

impl Store {
    /// Panels of this many items.
    pub fn n_panels(n_items: usize) -> usize {
        n_items.div_ceil(LANES).next_multiple_of(PADDING)
    }

    /// Quantise the items in the given order.
    pub fn new(rows: &[f32], space: &Space, order: Vec<u32>, loss: bool, kernels: Kernels) -> Self {
        let (dim, width) = (space.centre.len(), space.width());
        let n_panels = Self::n_panels(order.len());
        let mut bytes = vec![0x80_u8; n_panels * LANES * width];
        let code_rows = if space.axes.is_some() { order.len() } else { 0 };
        let mut codes = vec![0_u8; code_rows * dim];
        let mut code_stats = vec![0.0_f32; code_rows * 3];
        let mut stats = vec![[0.0_f32; COLUMNS]; n_panels];
        let front = space.front();
        let n_fronts = if space.has_fronts() { n_panels } else { 0 };
        let mut fronts = vec![0_u8; n_fronts * LANES * front.n_bytes()];
        // A panel without axes has no codes; a chunk of nothing must still come once a panel.
        let mut parts: Vec<Part<'_>> = bytes
            .chunks_exact_mut(LANES * width)
            .zip(&mut stats)
            .zip(order.chunks(LANES))
            .map(|((bytes, stats), items)| Part {
                items,
                bytes,
                stats,
                front: &mut [],
                codes: &mut [],
                code_stats: &mut [],
            })
            .collect();
        if space.axes.is_some() {
            let of_panels = codes
                .chunks_mut(LANES * dim)
                .zip(code_stats.chunks_mut(LANES * 3));
            for (part, (codes, code_stats)) in parts.iter_mut().zip(of_panels) {
                part.codes = codes;
                part.code_stats = code_stats;
            }
        }
        let of_panels = fronts.chunks_exact_mut(LANES * front.n_bytes());
        for (part, front) in parts.iter_mut().zip(of_panels) {
            part.front = front;
        }
        parts
            .par_chunks_mut(PADDING)
            .for_each_init(Scratch::default, |scratch, parts| {
                kernels.compiled(
                    #[inline(always)]
                    || {
                        for part in parts {
                            part.fill(rows, space, loss, kernels, scratch);
                        }
                    },
                );
            });
        let columns = (0..COLUMNS).flat_map(|column| stats.iter().map(move |row| row[column]));
        Self {
            stats: columns.collect::<Vec<f32>>().into(),
            order: order.into(),
            fronts: Array::copy_of(&fronts),
            front,
            bytes: Array::copy_of(&bytes),
            codes: Array::copy_of(&codes),
            code_stats: Array::copy_of(&code_stats),
            width,
        }
    }

    /// Lanes of each panel that may be listed.
    pub fn lanes(&self, candidates: Option<&[bool]>) -> Vec<u16> {
        let n_items = self.order.len();
        let mut lanes: Vec<u16> = if let Some(mask) = candidates {
            let panels = self.order.chunks(LANES).map(|items| {
                let listed = items.iter().enumerate();
                listed.fold(0, |lanes, (lane, &item)| {
                    lanes | u16::from(mask[item as usize]) << lane
                })
            });
            panels.collect()
        } else {
            let firsts = (0..n_items).step_by(LANES);
            let panels = firsts.map(|first| u16::MAX >> LANES.saturating_sub(n_items - first));
            panels.collect()
        };
        lanes.resize(Self::n_panels(n_items), 0);
        lanes
    }

    /// Some panels, or their fronts, with the lanes that may be listed.
    pub fn panels<'a>(&'a self, lanes: &'a [u16], which: Range<usize>, fronts: bool) -> Panels<'a> {
        let (bytes, layout) = if fronts {
            (&self.fronts, self.front)
        } else {
            (&self.bytes, Layout::fine(self.width))
        };
        let size = LANES * layout.n_bytes();
        Panels {
            bytes: &bytes[which.start * size..which.end * size],
            layout,
            lanes: &lanes[which],
        }
    }

    /// The bytes of a panel.
    pub fn panel(&self, which: usize) -> &[u8] {
        let size = LANES * self.width;
        &self.bytes[which * size..][..size]
    }

    /// Statistics of some panels, or of their fronts.
    pub fn stats(&self, which: Range<usize>, fronts: bool) -> PanelStats<'_> {
        let n_panels = self.stats.len() / COLUMNS;
        let column = |number: usize| &self.stats[number * n_panels..][which.clone()];
        let first = if fronts { 5 } else { 1 };
        PanelStats {
            loss: column(0),
            scale: column(first),
            lengths: [1, 2, 3].map(|next| column(first + next)),
        }
    }

    /// The rows of all dimensions.
    pub fn code_rows(&self, width: usize, loss: bool) -> CodeRows<'_> {
        CodeRows {
            bytes: &self.codes,
            stats: self.code_stats.as_chunks::<3>().0,
            width,
            loss,
        }
    }

    /// Whether there is a second, closer look at what the panels leave.
    pub fn has_codes(&self) -> bool {
        !self.codes.is_empty()
    }
}

#[derive(Default)]
struct Scratch {
    centred: Vec<f32>,
    projected: Vec<f32>,
    integers: Vec<i8>,
}

/// A panel that is being filled.
struct Part<'a> {
    items: &'a [u32],
    bytes: &'a mut [u8],
    stats: &'a mut [f32; COLUMNS],
    front: &'a mut [u8],
    codes: &'a mut [u8],
    code_stats: &'a mut [f32],
}

impl Part<'_> {
    #[inline(always)]
    fn fill(
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
            integers,
        } = scratch;
        centred.clear();
        centred.resize(self.items.len() * dim, 0.0);
        for (&item, out) in self.items.iter().zip(centred.chunks_exact_mut(dim)) {
            let row = &rows[item as usize * dim..][..dim];
            space.centred(row, space.exponent, out);
        }
        let (scanned, n_scanned): (&[f32], usize) = if let Some(axes) = &space.axes {
            axes.project(centred, kernels, projected);
            (projected, axes.number)
        } else {
            (centred, dim)
        };
        integers.clear();
        integers.resize(width.max(dim), 0);
        let errors = space.axes.as_ref().map(|axes| axes.errors);
        let wholes = centred.chunks_exact(dim).map(length);
        let step = step_for(largest(scanned), LIMIT);
        let (mut most, mut least) = ([0.0_f64; 3], f64::INFINITY);
        for (lane, (values, whole)) in scanned.chunks_exact(n_scanned).zip(wholes).enumerate() {
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
            let rows = scanned.chunks_exact(n_scanned);
            let rows = rows.zip(centred.chunks_exact(dim).map(length));
            let stats = fill_front(rows, space.front(), errors, integers, self.front);
            self.stats[5..].copy_from_slice(&stats);
        }
        if !self.codes.is_empty() {
            self.fill_codes(centred, dim, integers);
        }
    }

    /// The rows of all dimensions.
    #[inline(always)]
    fn fill_codes(&mut self, centred: &[f32], dim: usize, integers: &mut [i8]) {
        let codes = self.codes.chunks_exact_mut(dim);
        let places = codes.zip(self.code_stats.chunks_exact_mut(3));
        for (values, (codes, stats)) in centred.chunks_exact(dim).zip(places) {
            let step = step_for(largest(values), LIMIT);
            let rounded = quantise(values, step, LIMIT, integers);
            for (code, &value) in codes.iter_mut().zip(integers.iter()) {
                *code = value.cast_unsigned() ^ 0x80;
            }
            stats.copy_from_slice(&[step, above(length(values)), above(rounded.error)]);
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

/// Write the 8-bit values of a lane, see [`Panels`].
#[inline(always)]
fn write_fine(values: &[i8], lane: usize, panel: &mut [u8]) {
    for (step, four) in values.as_chunks::<4>().0.iter().enumerate() {
        let at = (step * LANES + lane) * 4;
        let four = four.map(|value| value.cast_unsigned() ^ 0x80);
        panel[at..at + 4].copy_from_slice(&four);
    }
}

/// Write the 4-bit values of a lane, see [`Panels`].
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
    use crate::topk::kernels::{Queries, start_of};

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
        };
        let queries = Queries {
            values: &query,
            starts: &[start_of(&query, layout)],
        };
        let mut dots = [0; 8];
        Kernels::chosen()
            .unwrap()
            .maxima(panels, queries, &mut dots);
        for (panel, lane) in [(0, 0), (1, 9), (2, 15)] {
            let products = rows[lane].iter().zip(&query);
            let dot: f32 = products.map(|(a, &b)| a * f32::from(b)).sum();
            assert_eq!(dots[panel], dot as i32 * LANES as i32 + lane as i32);
        }
        assert_eq!(dots[3], i32::MIN);
    }
}

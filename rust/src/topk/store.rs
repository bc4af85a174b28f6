//! The items as the scan reads them: panels of bytes, their statistics, and a row of bytes each.

// Compiled for each path of the CPU, see `Kernels::compiled`.
#![allow(clippy::inline_always)]

use std::ops::Range;

use rayon::prelude::*;

use super::fill::{Part, Scratch};
use super::kernels::{CodeRows, Kernels, LANES, Layout, PanelStats, Panels};
use super::space::Space;
use crate::mapped::Array;

/// Panels are padded to a multiple of this.
pub const PADDING: usize = 16;
/// Statistics of a panel.
pub const COLUMNS: usize = 9;

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
            far: false,
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

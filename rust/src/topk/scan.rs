//! The scan: dots of a group's queries with all panels, chunk by chunk.

use std::ops::Range;

use super::kernels::{Kept, Kernels, LANES, PanelStats, Panels};
use super::query::Group;
use super::store::Store;

/// What the scans of a search read.
#[derive(Debug, Clone, Copy)]
pub struct Scanner<'a> {
    pub kernels: Kernels,
    pub store: &'a Store,
    /// Lanes of each panel that may be listed.
    pub lanes: &'a [u16],
    /// Panels of a chunk.
    pub chunk: usize,
    /// Whether the panels come from far.
    pub far: bool,
}

/// What one hand has scanned for a group.
#[derive(Debug, Default)]
pub struct Dots {
    /// Numbers of the chunks.
    pub chunks: Vec<usize>,
    /// Largest dots and the second largest of each of these, (query, 2, panel); see [`Kernels::maxima`].
    maxima: Vec<i32>,
    /// All dots of each, (query, panel, lane), if the group keeps them.
    kept: Vec<i32>,
}

impl Scanner<'_> {
    /// Number of chunks.
    pub fn n_chunks(self) -> usize {
        self.lanes.len().div_ceil(self.chunk)
    }

    /// Panels of a chunk.
    pub fn panels(self, chunk: usize) -> Range<usize> {
        let start = chunk * self.chunk;
        start..self.lanes.len().min(start + self.chunk)
    }

    /// Add the dots of each query with the panels of a chunk.
    pub fn scan(self, group: &Group, chunk: usize, dots: &mut Dots) {
        let which = self.panels(chunk);
        let (at, n) = (dots.chunks.len(), which.len());
        let maxima = room(&mut dots.maxima, at, group, [2 * self.chunk, 2 * n]);
        let kept = if group.keeps {
            room(&mut dots.kept, at, group, [LANES * self.chunk, LANES * n])
        } else {
            &mut []
        };
        let panels = Panels {
            far: self.far,
            ..self.store.panels(self.lanes, which, group.fronts)
        };
        self.kernels.maxima(panels, group.scan(), maxima, kept);
        dots.chunks.push(chunk);
    }

    /// Number of panels that were scanned.
    pub fn n_scanned(self, dots: &Dots) -> usize {
        let lengths = dots.chunks.iter().map(|&chunk| self.panels(chunk).len());
        lengths.sum()
    }

    /// Statistics that make bounds of a scanned chunk's dots.
    pub fn stats(&self, dots: &Dots, group: &Group, at: usize) -> PanelStats<'_> {
        let panels = self.panels(dots.chunks[at]);
        self.store.stats(panels, group.fronts)
    }

    /// Largest and second largest dots of a query with a scanned chunk.
    pub fn maxima<'a>(
        self,
        dots: &'a Dots,
        group: &Group,
        number: usize,
        at: usize,
    ) -> (&'a [i32], &'a [i32]) {
        let n = self.panels(dots.chunks[at]).len();
        let first = at * group.known.len() * 2 * self.chunk + number * 2 * n;
        dots.maxima[first..first + 2 * n].split_at(n)
    }

    /// All dots of a query with a scanned chunk.
    pub fn kept<'a>(&'a self, dots: &'a Dots, group: &Group, number: usize, at: usize) -> Kept<'a> {
        let panels = self.panels(dots.chunks[at]);
        let n = panels.len() * LANES;
        let first = at * group.known.len() * self.chunk * LANES + number * n;
        Kept {
            dots: &dots.kept[first..first + n],
            lanes: &self.lanes[panels.clone()],
            first: (panels.start * LANES) as u32,
        }
    }
}

/// Room for all queries behind `at` full chunks, for each query so many numbers of a full chunk and of this one.
fn room<'a>(
    numbers: &'a mut Vec<i32>,
    at: usize,
    group: &Group,
    [full, own]: [usize; 2],
) -> &'a mut [i32] {
    let n_queries = group.known.len();
    let (first, n) = (at * n_queries * full, n_queries * own);
    if numbers.len() < first + n {
        numbers.resize(first + n, 0);
    }
    &mut numbers[first..first + n]
}

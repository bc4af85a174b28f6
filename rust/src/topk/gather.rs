//! The items that may belong to a query's list.
//!
//! A scan of all panels keeps the largest dot of each with each query. Those whose bound reaches what a query
//! needs are looked at again, panel by panel for all queries of a group, since memory limits them.

use std::ops::Range;

use rayon::prelude::*;

use super::kernels::{Hit, Kernels, LANES, Look, Maxima};
use super::query::Group;
use super::seed::Seed;
use super::store::Store;
use crate::simd::prefetch;

/// How many times more panels are looked at first where the scan read a part of an item.
const DEEPER: usize = 4;

/// Where all queries of a search look.
#[derive(Debug, Clone, Copy)]
pub struct Gatherer<'a> {
    pub kernels: Kernels,
    pub store: &'a Store,
    /// Width of a vector.
    pub dim: usize,
    /// Whether an item loses half its squared length.
    pub loss: bool,
    /// Lanes of each panel that may be listed.
    pub lanes: &'a [u16],
    /// Panels of a chunk of maxima, which hold a row for each query.
    pub chunk: usize,
    /// Whether a group's chunks are shared among threads.
    pub shared: bool,
}

/// A group of queries, and what the scan found.
#[derive(Debug, Clone, Copy)]
pub struct Scanned<'a> {
    pub group: &'a Group,
    /// Largest dots, chunk by chunk (query, panel).
    pub maxima: &'a [i32],
}

/// What one query asks of the panels, and what they gave.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Places of the scan that must not be listed, ascending.
    pub excluded: Vec<u32>,
    /// What a bound must reach.
    pub needed: f32,
    /// The items whose bound does.
    pub candidates: Vec<Hit>,
}

/// Panels whose bound reaches what a query needs; buffers of one worker.
#[derive(Debug, Default)]
pub struct Reached {
    /// Query by query.
    pairs: Vec<Pair>,
    /// Panel by panel.
    sorted: Vec<Pair>,
    /// Where each panel's pairs begin.
    starts: Vec<u32>,
    /// What the panels hold.
    found: Vec<Hit>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    panel: u32,
    query: u32,
}

impl Wanted {
    /// Lanes of a panel without the excluded places.
    fn listable(&self, panel: u32, mut lanes: u16) -> u16 {
        let first = panel * LANES as u32;
        let from = self.excluded.partition_point(|&place| place < first);
        for &place in &self.excluded[from..] {
            if place - first >= LANES as u32 {
                break;
            }
            lanes &= !(1 << (place - first));
        }
        lanes
    }
}

impl Gatherer<'_> {
    /// Write the largest dot of each query with each panel.
    pub fn scan(self, group: &Group, maxima: &mut Vec<i32>) {
        let n_queries = group.known.len();
        maxima.resize(self.lanes.len() * n_queries, 0);
        let scan = |(chunk, out): (usize, &mut [i32])| {
            let panels = self
                .store
                .panels(self.lanes, self.panels(chunk), group.depth);
            self.kernels.maxima(panels, group.scan(), out);
        };
        let size = self.chunk * n_queries;
        if self.shared {
            maxima.par_chunks_mut(size).enumerate().for_each(scan);
        } else {
            maxima.chunks_mut(size).enumerate().for_each(scan);
        }
    }

    /// A level that enough panels reach to hold `k` items that are not excluded. Where the scan reads a part
    /// of an item, four times as many are looked at: the best by that part are not the best, and what `k`
    /// items are known to have decides how many panels must be looked at.
    pub fn seed(self, scanned: Scanned<'_>, number: usize, k: usize, n_excluded: usize) -> f32 {
        let Scanned { group, maxima } = scanned;
        let n = k.saturating_add(n_excluded);
        let many = if self.is_part(group) {
            let known = Seed::MOST.min(self.lanes.len());
            n.saturating_mul(DEEPER).min(known).max(n)
        } else {
            n
        };
        self.kernels.compiled(
            #[inline(always)]
            || {
                let mut seed = Seed::default();
                for chunk in 0..self.n_chunks() {
                    let (panels, row) = self.chunk(group, number, chunk);
                    let step = group.known[number].step;
                    seed.add(&maxima[row], self.store.stats(panels, group.depth), step);
                }
                seed.reached_by(many)
            },
        )
    }

    /// Give each query the candidates whose bound, with or without its `errors`, reaches what is needed.
    pub fn gather(
        self,
        scanned: Scanned<'_>,
        errors: bool,
        wanted: &mut [Wanted],
        reached: &mut Reached,
    ) {
        let all = &*wanted;
        if self.shared {
            let chunks = (0..self.n_chunks()).into_par_iter().flat_map_iter(|chunk| {
                let mut reached = Reached::default();
                self.reach(scanned, chunk, errors, all, &mut reached);
                reached.found
            });
            reached.found.clear();
            reached.found.par_extend(chunks);
        } else {
            self.reach(scanned, 0, errors, all, reached);
        }
        for &hit in &reached.found {
            wanted[hit.query as usize].candidates.push(hit);
        }
    }

    /// What one chunk holds of all candidates.
    fn reach(
        self,
        scanned: Scanned<'_>,
        chunk: usize,
        errors: bool,
        wanted: &[Wanted],
        reached: &mut Reached,
    ) {
        let group = scanned.group;
        let Reached {
            pairs,
            sorted,
            starts,
            found,
        } = reached;
        pairs.clear();
        for (number, wanted) in wanted.iter().enumerate() {
            self.sweep(scanned, number, chunk, errors, wanted.needed, pairs);
        }
        let panels = self.panels(chunk);
        by_panel(pairs, panels.clone(), starts, sorted);
        found.clear();
        let stats = self.store.stats(panels.clone(), self.store.width);
        // What the scan did not read may lower all that looked good.
        let guess = !errors && self.is_part(group);
        let mut looks = Vec::with_capacity(wanted.len());
        let mut panels_left = sorted
            .chunk_by(|left, right| left.panel == right.panel)
            .peekable();
        while let Some(same) = panels_left.next() {
            let panel = same[0].panel;
            if let Some(next) = panels_left.peek() {
                let bytes = self.store.panel(next[0].panel as usize);
                prefetch(bytes);
            }
            looks.clear();
            looks.extend(same.iter().map(|pair| {
                let number = pair.query as usize;
                let known = &group.known[number];
                let factors = if errors { known.factors } else { [0.0; 3] };
                Look {
                    query: group.row(number),
                    start: group.starts[number],
                    side: stats.side(panel as usize - panels.start, known.step, factors),
                    needed: if guess {
                        f32::NEG_INFINITY
                    } else {
                        wanted[number].needed
                    },
                    lanes: wanted[number].listable(panel, self.lanes[panel as usize]),
                    number: pair.query,
                    first: panel * LANES as u32,
                }
            }));
            let bytes = self.store.panel(panel as usize);
            self.kernels.look(bytes, &looks, found);
        }
        if self.store.has_codes() {
            let queries: Vec<_> = group.codes().collect();
            let rows = self.store.code_rows(self.dim, self.loss);
            self.kernels.closer(rows, &queries, found);
            if errors {
                found.retain(|hit| hit.reaches(wanted[hit.query as usize].needed));
            }
        }
    }

    /// Panels of a chunk whose bound reaches what is needed.
    fn sweep(
        self,
        scanned: Scanned<'_>,
        number: usize,
        chunk: usize,
        errors: bool,
        needed: f32,
        found: &mut Vec<Pair>,
    ) {
        let Scanned { group, maxima } = scanned;
        let (panels, row) = self.chunk(group, number, chunk);
        let query = number as u32;
        if needed == f32::NEG_INFINITY {
            let listable = panels.filter(|&panel| self.lanes[panel] != 0);
            found.extend(listable.map(|panel| Pair {
                panel: panel as u32,
                query,
            }));
            return;
        }
        let first = panels.start as u32;
        let known = &group.known[number];
        let [of_length, of_rounding, _] = known.factors;
        let factors = [of_length, of_rounding, known.scan_rest];
        let maxima = Maxima {
            values: &maxima[row],
            stats: self.store.stats(panels, group.depth),
            step: known.step,
            factors: if errors { factors } else { [0.0; 3] },
            needed,
        };
        self.kernels.sweep(maxima, &mut |panel| {
            found.push(Pair {
                panel: first + panel as u32,
                query,
            });
        });
    }

    /// Whether the scan reads a part of an item.
    fn is_part(self, group: &Group) -> bool {
        group.depth < self.store.width
    }

    fn n_chunks(self) -> usize {
        self.lanes.len().div_ceil(self.chunk)
    }

    fn panels(self, chunk: usize) -> Range<usize> {
        chunk * self.chunk..self.lanes.len().min((chunk + 1) * self.chunk)
    }

    /// Panels of a chunk, and where a query's maxima of them stand.
    fn chunk(self, group: &Group, number: usize, chunk: usize) -> (Range<usize>, Range<usize>) {
        let panels = self.panels(chunk);
        let start = panels.start * group.known.len() + number * panels.len();
        let row = start..start + panels.len();
        (panels, row)
    }
}

/// Sort pairs by panel; queries of a panel keep their order.
fn by_panel(pairs: &[Pair], panels: Range<usize>, starts: &mut Vec<u32>, sorted: &mut Vec<Pair>) {
    starts.clear();
    starts.resize(panels.len() + 1, 0);
    for pair in pairs {
        starts[pair.panel as usize - panels.start + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    sorted.clear();
    sorted.resize(pairs.len(), Pair::default());
    for pair in pairs {
        let place = &mut starts[pair.panel as usize - panels.start];
        sorted[*place as usize] = *pair;
        *place += 1;
    }
}

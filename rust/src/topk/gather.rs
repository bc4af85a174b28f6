//! The items that may belong to a query's list.
//!
//! A scan of all panels keeps the two largest dots of each with each query. Where the bound of the first alone
//! reaches what a query needs, that item is a candidate; where the second does too, the panel is looked at again,
//! panel by panel for all queries of a group, since memory limits that.

use std::ops::Range;

use super::kernels::{CodeQuery, Hit, Kernels, LANES, Look, Maxima, lane_of};
use super::query::Group;
use super::rank::choose;
use super::seed::Seed;
use super::store::Store;
use crate::simd::prefetch;

/// How many times more items are looked at first where the scan read a part of an item.
const DEEPER: usize = 4;
/// Up to so many.
const DEEPEST: usize = 256;
/// Hits are counted panel by panel where there is one for so many panels.
const FULL: usize = 8;

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
    /// Panels of a chunk.
    pub chunk: usize,
}

/// A group of queries, and what the scan found.
#[derive(Debug, Clone, Copy)]
pub struct Scanned<'a> {
    pub group: &'a Group,
    /// Its queries for the rows of all dimensions.
    pub codes: &'a [CodeQuery<'a>],
    /// The chunks that were scanned.
    pub chunks: &'a [usize],
    /// Largest dots and the second largest of each of these (query, 2, panel); see [`Kernels::maxima`].
    pub maxima: &'a [i32],
}

/// What one query asks of the panels, and what they gave.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Places of the scan that must not be listed or have been scored, ascending.
    pub excluded: Vec<u32>,
    /// What a bound must reach.
    pub needed: f32,
    /// The items whose bound does.
    pub candidates: Vec<Hit>,
}

/// What reaches a query's need; buffers of one hand.
#[derive(Debug, Default)]
pub struct Reached {
    /// First places of panels to look at again.
    again: Vec<Hit>,
    /// Items.
    found: Vec<Hit>,
    /// Either, panel by panel.
    sorted: Vec<Hit>,
    /// Where each panel begins there.
    starts: Vec<u32>,
}

impl Wanted {
    /// Lanes of a panel without the excluded places.
    fn listable(&self, panel: u32, mut lanes: u16) -> u16 {
        let first = panel * LANES as u32;
        for &place in self.excluded_from(panel) {
            if place - first >= LANES as u32 {
                break;
            }
            lanes &= !(1 << (place - first));
        }
        lanes
    }

    /// The excluded places from a panel on.
    fn excluded_from(&self, panel: u32) -> &[u32] {
        let first = panel * LANES as u32;
        let from = self.excluded.partition_point(|&place| place < first);
        &self.excluded[from..]
    }
}

impl Gatherer<'_> {
    /// Number of chunks.
    pub fn n_chunks(self) -> usize {
        self.lanes.len().div_ceil(self.chunk)
    }

    /// Add the two largest dots of each query with each panel of a chunk.
    pub fn scan(self, group: &Group, chunk: usize, chunks: &mut Vec<usize>, maxima: &mut Vec<i32>) {
        let panels = self.panels(chunk);
        let place = chunks.len() * self.size(group);
        let size = 2 * group.known.len() * panels.len();
        if maxima.len() < place + size {
            maxima.resize(place + size, 0);
        }
        let out = &mut maxima[place..place + size];
        let panels = self.store.panels(self.lanes, panels, group.fronts);
        self.kernels.maxima(panels, group.scan(), out);
        chunks.push(chunk);
    }

    /// Give a query the items that look best, one of a panel: this hand's share of `k`, and as many as may be
    /// excluded. Where the scan reads a part of an item, four times as many are looked at: the best by that part are
    /// not the best, and what `k` items are known to have decides how many panels must be looked at.
    pub fn seed(
        self,
        scanned: Scanned<'_>,
        number: usize,
        k: usize,
        wanted: &mut Wanted,
        seed: &mut Seed,
    ) {
        let Scanned { group, maxima, .. } = scanned;
        wanted.candidates.clear();
        let n_panels: usize = scanned.chunks.iter().map(|&at| self.panels(at).len()).sum();
        // All hands together ask for as many as there are places and excluded items, or a few more.
        let own = n_panels as f64 / self.lanes.len() as f64;
        let asked = k.saturating_add(wanted.excluded.len()) as f64;
        let n = ((asked * own).ceil() as usize).min(n_panels);
        let many = if group.fronts {
            (n * DEEPER).min(DEEPEST).min(n_panels).max(n)
        } else {
            n
        };
        seed.ask(many);
        for at in 0..scanned.chunks.len() {
            let (panels, [firsts, _]) = self.chunk(scanned, number, at);
            // As if all scanned chunks stood end to end.
            let first = at * self.chunk;
            let stats = self.store.stats(panels, group.fronts);
            self.kernels.compiled(
                #[inline(always)]
                || seed.add(first, &maxima[firsts], stats, group.known[number].step),
            );
        }
        let mut candidates = std::mem::take(&mut wanted.candidates);
        self.kernels.compiled(
            #[inline(always)]
            || {
                seed.best(|panel, most| {
                    let (at, place) = (panel / self.chunk, panel % self.chunk);
                    let (panels, [firsts, _]) = self.chunk(scanned, number, at);
                    let lane = lane_of(maxima[firsts][place]);
                    let panel = (panels.start + place) as u32;
                    if wanted.listable(panel, self.lanes[panel as usize]) >> lane & 1 == 1 {
                        candidates.push(Hit {
                            query: number as u32,
                            place: panel * LANES as u32 + lane,
                            most,
                        });
                    }
                });
            },
        );
        if group.fronts {
            self.closer(scanned, &mut candidates);
        }
        choose(&mut candidates, n.min(k));
        wanted.candidates = candidates;
    }

    /// Give each query the candidates whose bound reaches what is needed.
    pub fn gather(self, scanned: Scanned<'_>, wanted: &mut [Wanted], reached: &mut Reached) {
        for at in 0..scanned.chunks.len() {
            self.reach(scanned, at, wanted, reached);
            for &hit in &reached.found {
                wanted[hit.query as usize].candidates.push(hit);
            }
        }
    }

    /// What one chunk holds of all candidates.
    fn reach(self, scanned: Scanned<'_>, at: usize, wanted: &[Wanted], reached: &mut Reached) {
        let Reached {
            again,
            found,
            sorted,
            starts,
        } = reached;
        again.clear();
        found.clear();
        for (number, wanted) in wanted.iter().enumerate() {
            self.sweep(scanned, number, at, wanted, again, found);
        }
        let panels = self.panels(scanned.chunks[at]);
        by_panel(again, panels.clone(), starts, sorted);
        self.look(scanned.group, panels.clone(), sorted, wanted, found);
        if self.store.has_codes() {
            by_panel(found, panels, starts, sorted);
            self.closer(scanned, sorted);
            found.clear();
            let is_left = |hit: &&Hit| hit.reaches(wanted[hit.query as usize].needed);
            found.extend(sorted.iter().filter(is_left));
        }
    }

    /// Panels of a chunk whose second largest dot may reach what is needed, and the item of the largest where that
    /// alone does.
    fn sweep(
        self,
        scanned: Scanned<'_>,
        number: usize,
        at: usize,
        wanted: &Wanted,
        again: &mut Vec<Hit>,
        found: &mut Vec<Hit>,
    ) {
        let Scanned { group, maxima, .. } = scanned;
        let (panels, [firsts, seconds]) = self.chunk(scanned, number, at);
        let hit = |panel: u32, lane: u32, most: f32| Hit {
            query: number as u32,
            place: panel * LANES as u32 + lane,
            most,
        };
        if wanted.needed == f32::NEG_INFINITY {
            let listable = panels.filter(|&panel| self.lanes[panel] != 0);
            again.extend(listable.map(|panel| hit(panel as u32, 0, 0.0)));
            return;
        }
        let first = panels.start as u32;
        let known = &group.known[number];
        let maxima = Maxima {
            firsts: &maxima[firsts],
            seconds: &maxima[seconds],
            stats: self.store.stats(panels, group.fronts),
            step: known.step,
            factors: known.scan_factors,
            needed: (wanted.needed - known.scan_extra).next_down(),
        };
        // Both ascend.
        let mut excluded = wanted.excluded_from(first);
        self.kernels.sweep(maxima, |top| {
            let panel = first + top.panel as u32;
            if top.more {
                again.push(hit(panel, 0, 0.0));
                return;
            }
            let found_hit = hit(panel, top.lane, top.most);
            while excluded
                .first()
                .is_some_and(|&place| place < found_hit.place)
            {
                excluded = &excluded[1..];
            }
            let is_excluded = excluded.first() == Some(&found_hit.place);
            if !is_excluded && self.lanes[panel as usize] >> top.lane & 1 == 1 {
                found.push(found_hit);
            }
        });
    }

    /// Look at panels again, all their lanes and all that their bytes say.
    fn look(
        self,
        group: &Group,
        panels: Range<usize>,
        again: &[Hit],
        wanted: &[Wanted],
        found: &mut Vec<Hit>,
    ) {
        let stats = self.store.stats(panels.clone(), false);
        let mut looks = Vec::with_capacity(wanted.len());
        let mut left = again
            .chunk_by(|left, right| left.place == right.place)
            .peekable();
        while let Some(same) = left.next() {
            let panel = same[0].place as usize / LANES;
            if let Some(next) = left.peek() {
                prefetch(self.store.panel(next[0].place as usize / LANES));
            }
            looks.clear();
            looks.extend(same.iter().map(|hit| {
                let number = hit.query as usize;
                let known = &group.known[number];
                Look {
                    query: group.row(number),
                    start: group.starts[number],
                    side: stats.side(panel - panels.start, known.step, known.factors),
                    needed: wanted[number].needed,
                    lanes: wanted[number].listable(panel as u32, self.lanes[panel]),
                    number: hit.query,
                    first: hit.place,
                }
            }));
            self.kernels.look(self.store.panel(panel), &looks, found);
        }
    }

    /// Bound items by all their dimensions.
    fn closer(self, scanned: Scanned<'_>, hits: &mut [Hit]) {
        let rows = self.store.code_rows(self.dim, self.loss);
        self.kernels.closer(rows, scanned.codes, hits);
    }

    fn panels(self, chunk: usize) -> Range<usize> {
        let start = chunk * self.chunk;
        start..self.lanes.len().min(start + self.chunk)
    }

    /// Maxima of a full chunk.
    fn size(self, group: &Group) -> usize {
        2 * group.known.len() * self.chunk
    }

    /// Panels of one of the scanned chunks, and where a query's largest and second largest dots with them stand.
    fn chunk(
        self,
        scanned: Scanned<'_>,
        number: usize,
        at: usize,
    ) -> (Range<usize>, [Range<usize>; 2]) {
        let panels = self.panels(scanned.chunks[at]);
        let first = at * self.size(scanned.group) + 2 * number * panels.len();
        let second = first + panels.len();
        let rows = [first..second, second..second + panels.len()];
        (panels, rows)
    }
}

/// Sort by panel; queries of a panel keep their order.
fn by_panel(hits: &[Hit], panels: Range<usize>, starts: &mut Vec<u32>, sorted: &mut Vec<Hit>) {
    let at = |hit: &Hit| hit.place as usize / LANES - panels.start;
    if hits.len() < panels.len() / FULL {
        // Those of few queries stand in a few runs.
        sorted.clear();
        sorted.extend_from_slice(hits);
        sorted.sort_by_key(at);
        return;
    }
    starts.clear();
    starts.resize(panels.len() + 1, 0);
    for hit in hits {
        starts[at(hit) + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    sorted.clear();
    sorted.resize(hits.len(), Hit::default());
    for hit in hits {
        let place = &mut starts[at(hit)];
        sorted[*place as usize] = *hit;
        *place += 1;
    }
}

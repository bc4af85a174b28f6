//! The items that may belong to a query's list.
//!
//! A scan of all panels keeps the two largest dots of each with each query. Where the bound of the first alone
//! reaches what a query needs, that item is a candidate; where the second does too, the panel is looked at again,
//! panel by panel for all queries of a group, since memory limits that. Where all dots are kept, candidates are
//! found item by item, and no panel is looked at again.

use std::ops::Range;

use super::kernels::{CodeQuery, Hit, LANES, Look, Maxima, lane_of};
use super::query::Group;
use super::rank::choose;
use super::scan::{Dots, Scanner};
use super::seed::Seed;
use crate::simd::prefetch;

/// How many times more items are looked at first where the scan read a part of an item.
const DEEPER: usize = 4;
/// And where dots are kept, so that what is left costs little.
const DEEPER_KEPT: usize = 2;
/// Up to so many.
const DEEPEST: usize = 256;
/// Hits are counted panel by panel where there is one for so many panels.
const FULL: usize = 8;

/// Where all queries of a search look.
#[derive(Debug, Clone, Copy)]
pub struct Gatherer<'a> {
    pub scanner: Scanner<'a>,
    /// Width of a vector.
    pub dim: usize,
    /// Whether an item loses half its squared length.
    pub loss: bool,
}

/// A group of queries, and what the scan found.
#[derive(Debug, Clone, Copy)]
pub struct Scanned<'a> {
    pub group: &'a Group,
    /// Its queries for the rows of all dimensions.
    pub codes: &'a [CodeQuery<'a>],
    pub dots: &'a Dots,
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
    /// Places that kept dots leave.
    places: Vec<u32>,
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
    /// Give a query the items that look best, one of a panel: this hand's share of `k`, and as many as may be
    /// excluded. Where the scan reads a part of an item, several times as many are looked at: the best by that part are
    /// not the best, and what `k` items are known to have decides how many panels must be looked at.
    pub fn seed(
        self,
        scanned: Scanned<'_>,
        number: usize,
        k: usize,
        wanted: &mut Wanted,
        seed: &mut Seed,
    ) {
        let Scanned { group, dots, .. } = scanned;
        let Scanner { kernels, lanes, .. } = self.scanner;
        wanted.candidates.clear();
        let n_panels = self.scanner.n_scanned(dots);
        let n = self.share(scanned, k.saturating_add(wanted.excluded.len()));
        let n = n.min(n_panels);
        let many = if group.fronts {
            let deeper = if group.keeps { DEEPER_KEPT } else { DEEPER };
            (n * deeper).min(DEEPEST).min(n_panels).max(n)
        } else {
            n
        };
        seed.ask(many);
        // As if all scanned chunks stood end to end.
        let chunk = self.scanner.chunk;
        let firsts = |at: usize| self.scanner.maxima(dots, group, number, at).0;
        for at in 0..dots.chunks.len() {
            let stats = self.scanner.stats(dots, group, at);
            kernels.compiled(
                #[inline(always)]
                || seed.add(at * chunk, firsts(at), stats, group.known[number].step),
            );
        }
        let mut candidates = std::mem::take(&mut wanted.candidates);
        kernels.compiled(
            #[inline(always)]
            || {
                seed.best(|panel, most| {
                    let (at, place) = (panel / chunk, panel % chunk);
                    let lane = lane_of(firsts(at)[place]);
                    let panel = (self.scanner.panels(dots.chunks[at]).start + place) as u32;
                    if wanted.listable(panel, lanes[panel as usize]) >> lane & 1 == 1 {
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

    /// This hand's share of so many: all hands together have as many or a few more.
    pub fn share(self, scanned: Scanned<'_>, n: usize) -> usize {
        let own = self.scanner.n_scanned(scanned.dots) as f64 / self.scanner.lanes.len() as f64;
        (n as f64 * own).ceil() as usize
    }

    /// Give each query the candidates whose bound reaches what is needed.
    pub fn gather(self, scanned: Scanned<'_>, wanted: &mut [Wanted], reached: &mut Reached) {
        if scanned.group.keeps {
            return self.gather_kept(scanned, wanted, reached);
        }
        for at in 0..scanned.dots.chunks.len() {
            self.reach(scanned, at, wanted, reached);
            for &hit in &reached.found {
                wanted[hit.query as usize].candidates.push(hit);
            }
        }
    }

    /// As [`Self::gather`], by kept dots: no panel is looked at again.
    fn gather_kept(self, scanned: Scanned<'_>, wanted: &mut [Wanted], reached: &mut Reached) {
        let Reached { found, places, .. } = reached;
        let Scanned { group, dots, .. } = scanned;
        found.clear();
        places.resize(places.len().max(self.scanner.chunk * LANES), 0);
        for (number, wanted) in wanted.iter().enumerate() {
            for at in 0..dots.chunks.len() {
                let maxima = self.maxima(scanned, number, at, wanted.needed);
                let kept = self.scanner.kept(dots, group, number, at);
                let n = self.scanner.kernels.reaching(maxima, kept, places);
                found.extend(places[..n].iter().map(|&place| Hit {
                    query: number as u32,
                    place,
                    most: 0.0,
                }));
            }
        }
        self.closer(scanned, found);
        for hit in &*found {
            let wanted = &mut wanted[hit.query as usize];
            if hit.reaches(wanted.needed) && wanted.excluded.binary_search(&hit.place).is_err() {
                wanted.candidates.push(*hit);
            }
        }
    }

    /// What bounds a query's dots with a scanned chunk.
    fn maxima<'a>(
        &'a self,
        scanned: Scanned<'a>,
        number: usize,
        at: usize,
        needed: f32,
    ) -> Maxima<'a> {
        let Scanned { group, dots, .. } = scanned;
        let known = &group.known[number];
        let (firsts, seconds) = self.scanner.maxima(dots, group, number, at);
        Maxima {
            firsts,
            seconds,
            stats: self.scanner.stats(dots, group, at),
            step: known.step,
            factors: known.scan_factors,
            needed: (needed - known.scan_extra).next_down(),
        }
    }

    /// What one chunk holds of all candidates.
    fn reach(self, scanned: Scanned<'_>, at: usize, wanted: &[Wanted], reached: &mut Reached) {
        let Reached {
            again,
            found,
            sorted,
            starts,
            ..
        } = reached;
        again.clear();
        found.clear();
        for (number, wanted) in wanted.iter().enumerate() {
            self.sweep(scanned, number, at, wanted, again, found);
        }
        let panels = self.scanner.panels(scanned.dots.chunks[at]);
        by_panel(again, panels.clone(), starts, sorted);
        self.look(scanned.group, panels.clone(), sorted, wanted, found);
        if self.scanner.store.has_codes() {
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
        let panels = self.scanner.panels(scanned.dots.chunks[at]);
        let lanes = self.scanner.lanes;
        let hit = |panel: u32, lane: u32, most: f32| Hit {
            query: number as u32,
            place: panel * LANES as u32 + lane,
            most,
        };
        if wanted.needed == f32::NEG_INFINITY {
            let listable = panels.filter(|&panel| lanes[panel] != 0);
            again.extend(listable.map(|panel| hit(panel as u32, 0, 0.0)));
            return;
        }
        let first = panels.start as u32;
        let maxima = self.maxima(scanned, number, at, wanted.needed);
        // Both ascend.
        let mut excluded = wanted.excluded_from(first);
        self.scanner.kernels.sweep(maxima, |top| {
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
            if !is_excluded && lanes[panel as usize] >> top.lane & 1 == 1 {
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
        let Scanner {
            kernels,
            store,
            lanes,
            ..
        } = self.scanner;
        let stats = store.stats(panels.clone(), false);
        let mut looks = Vec::with_capacity(wanted.len());
        let mut left = again
            .chunk_by(|left, right| left.place == right.place)
            .peekable();
        while let Some(same) = left.next() {
            let panel = same[0].place as usize / LANES;
            if let Some(next) = left.peek() {
                prefetch(store.panel(next[0].place as usize / LANES));
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
                    lanes: wanted[number].listable(panel as u32, lanes[panel]),
                    number: hit.query,
                    first: hit.place,
                }
            }));
            kernels.look(store.panel(panel), &looks, found);
        }
    }

    /// Bound items by all their dimensions.
    fn closer(self, scanned: Scanned<'_>, hits: &mut [Hit]) {
        let rows = self.scanner.store.code_rows(self.dim, self.loss);
        self.scanner.kernels.closer(rows, scanned.codes, hits);
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

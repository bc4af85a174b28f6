//! From the maxima of one query to its list.

use std::ops::Range;

use rayon::prelude::*;

use super::bound::Needs;
use super::canonical::{Similarity, scores_of};
use super::kernels::{BATCH, Kernels, LANES, Maxima, TILE};
use super::query::{Group, Known};
use super::seed::Seed;
use super::store::{Store, half_square};
use crate::lists::{Scored, keep_best};

/// What all queries of a search share.
#[derive(Debug, Clone, Copy)]
pub struct Finder<'a> {
    pub kernels: Kernels,
    pub store: &'a Store,
    /// Original rows (of unit length for cosine), (item, dim).
    pub rows: &'a [f32],
    pub needs: Needs,
    /// Lanes of each panel that may be listed.
    pub lanes: &'a [u16],
    /// Panels of a chunk of maxima, which hold a row for each query.
    pub chunk: usize,
    /// Places of a list.
    pub k: usize,
    /// Whether one query's chunks are shared among threads.
    pub shared: bool,
}

/// One query of a group, and the places of the scan that it may not list, ascending.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub group: &'a Group,
    pub number: usize,
    /// The query as it came (of unit length for cosine).
    pub query: &'a [f32],
    pub excluded: &'a [u32],
}

impl Ask<'_> {
    fn known(&self) -> &Known {
        &self.group.known[self.number]
    }

    /// Lanes of a panel without the excluded places.
    fn listable(&self, panel: usize, mut lanes: u16) -> u16 {
        let first = (panel * LANES) as u32;
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

/// A place of the scan that may belong to the list.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    place: u32,
    /// Its bound.
    most: f32,
}

/// Buffers of one worker.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The list, best first once [`Finder::find`] is done.
    pub best: Vec<Scored>,
    query: Vec<f64>,
    panels: Vec<u32>,
    candidates: Vec<Candidate>,
    /// Places that have been scored, ascending.
    seen: Vec<u32>,
}

impl Finder<'_> {
    /// Make the list of one query; `maxima` are the group's.
    pub fn find(self, ask: Ask<'_>, maxima: &mut [i32], scratch: &mut Scratch) {
        scratch.query.clear();
        let query = ask.query.iter().map(|&value| f64::from(value));
        scratch.query.extend(query);
        self.hide_excluded(ask, maxima);
        self.plant(ask, maxima, scratch);
        self.gather(ask, maxima, scratch);
        self.settle(ask, scratch);
    }

    /// Take excluded items out of the maxima of their panels.
    fn hide_excluded(self, ask: Ask<'_>, maxima: &mut [i32]) {
        for same in ask
            .excluded
            .chunk_by(|left, right| *left as usize / LANES == *right as usize / LANES)
        {
            let panel = same[0] as usize / LANES;
            let [scores, ..] = self.scores(ask, [panel as u32; TILE]);
            let lanes = ask.listable(panel, self.lanes[panel]);
            let most = (0..LANES).filter(|lane| lanes >> lane & 1 == 1);
            let most = most.map(|lane| scores[lane]).max();
            let (panels, row) = self.chunk(ask, panel / self.chunk);
            maxima[row][panel - panels.start] = most.unwrap_or(i32::MIN);
        }
    }

    /// Score the items that look best, so that a k-th best score is known.
    fn plant(self, ask: Ask<'_>, maxima: &[i32], scratch: &mut Scratch) {
        let Scratch {
            best,
            panels,
            candidates,
            seen,
            ..
        } = scratch;
        best.clear();
        panels.clear();
        candidates.clear();
        let step = ask.known().step;
        let mut seed = Seed::default();
        for chunk in 0..self.n_chunks() {
            let (panels, row) = self.chunk(ask, chunk);
            seed.add(&maxima[row], self.store.stats(panels), step);
        }
        let floor = seed.reached_by(self.k);
        for chunk in 0..self.n_chunks() {
            self.sweep(ask, maxima, chunk, [0.0; 3], floor, panels);
        }
        self.look(ask, panels, [0.0; 3], floor, candidates);
        self.look_closer(ask, 0, f32::NEG_INFINITY, candidates);
        if candidates.len() > self.k {
            let by_most = |left: &Candidate, right: &Candidate| right.most.total_cmp(&left.most);
            candidates.select_nth_unstable_by(self.k - 1, by_most);
            candidates.truncate(self.k);
        }
        seen.clear();
        seen.extend(candidates.iter().map(|candidate| candidate.place));
        seen.sort_unstable();
        for start in (0..candidates.len()).step_by(BATCH) {
            self.score(start, scratch);
        }
    }

    /// Leave the items that may still belong to the list in `scratch.candidates`.
    fn gather(self, ask: Ask<'_>, maxima: &[i32], scratch: &mut Scratch) {
        let needed = self.needed(ask, &scratch.best);
        let of_chunk = |chunk: usize, panels: &mut Vec<u32>, found: &mut Vec<Candidate>| {
            panels.clear();
            let factors = ask.known().factors;
            self.sweep(ask, maxima, chunk, factors, needed, panels);
            let first = found.len();
            self.look(ask, panels, factors, needed, found);
            self.look_closer(ask, first, needed, found);
        };
        scratch.candidates.clear();
        if self.shared {
            let chunks = (0..self.n_chunks()).into_par_iter().flat_map_iter(|chunk| {
                let mut found = Vec::new();
                of_chunk(chunk, &mut Vec::new(), &mut found);
                found
            });
            scratch.candidates.par_extend(chunks);
        } else {
            for chunk in 0..self.n_chunks() {
                of_chunk(chunk, &mut scratch.panels, &mut scratch.candidates);
            }
        }
        let seen = &scratch.seen;
        scratch
            .candidates
            .retain(|candidate| seen.binary_search(&candidate.place).is_err());
    }

    /// Score what was gathered, the highest bounds first, until no bound reaches the list.
    fn settle(self, ask: Ask<'_>, scratch: &mut Scratch) {
        let highest_first = |left: &Candidate, right: &Candidate| right.most.total_cmp(&left.most);
        scratch.candidates.sort_unstable_by(highest_first);
        for start in (0..scratch.candidates.len()).step_by(BATCH) {
            let needed = self.needed(ask, &scratch.best);
            if scratch.candidates[start].most < needed {
                break;
            }
            self.score(start, scratch);
        }
        keep_best(&mut scratch.best, self.k);
    }

    /// What the bound of an item must reach; `best` are the best so far.
    fn needed(self, ask: Ask<'_>, best: &[Scored]) -> f32 {
        let Some(last) = best.get(self.k - 1) else {
            return f32::NEG_INFINITY;
        };
        let needed = self.needs.of(ask.known().asked, last.score) - ask.known().extra;
        (needed as f32).next_down()
    }

    fn n_chunks(self) -> usize {
        self.lanes.len().div_ceil(self.chunk)
    }

    /// Panels of a chunk, and where their maxima stand.
    fn chunk(self, ask: Ask<'_>, chunk: usize) -> (Range<usize>, Range<usize>) {
        let panels = chunk * self.chunk..self.lanes.len().min((chunk + 1) * self.chunk);
        let start = panels.start * ask.group.known.len() + ask.number * panels.len();
        let row = start..start + panels.len();
        (panels, row)
    }

    /// Panels of a chunk whose bound with these factors reaches `needed`.
    fn sweep(
        self,
        ask: Ask<'_>,
        maxima: &[i32],
        chunk: usize,
        factors: [f32; 3],
        needed: f32,
        found: &mut Vec<u32>,
    ) {
        let (panels, row) = self.chunk(ask, chunk);
        let first = panels.start as u32;
        if needed == f32::NEG_INFINITY {
            let listable = panels.filter(|&panel| self.lanes[panel] != 0);
            found.extend(listable.map(|panel| panel as u32));
            return;
        }
        let maxima = Maxima {
            values: &maxima[row],
            stats: self.store.stats(panels),
            step: ask.known().step,
            factors,
            needed,
        };
        self.kernels
            .sweep(maxima, &mut |panel| found.push(first + panel as u32));
    }

    /// Items of some panels whose bound with these factors reaches `needed`.
    fn look(
        self,
        ask: Ask<'_>,
        panels: &[u32],
        factors: [f32; 3],
        needed: f32,
        found: &mut Vec<Candidate>,
    ) {
        for four in panels.chunks(TILE) {
            let which = std::array::from_fn(|place| four[place.min(four.len() - 1)]);
            for (&panel, scores) in four.iter().zip(&self.scores(ask, which)) {
                let panel = panel as usize;
                let stats = self.store.stats(panel..panel + 1);
                let lanes = ask.listable(panel, self.lanes[panel]);
                for (lane, &score) in scores.iter().enumerate() {
                    let most = stats.bound(0, score, ask.known().step, factors);
                    if lanes >> lane & 1 == 1 && !(most < needed) {
                        let place = (panel * LANES + lane) as u32;
                        found.push(Candidate { place, most });
                    }
                }
            }
        }
    }

    /// Bound the candidates from `first` on by all their dimensions, and drop those that stay below `needed`.
    fn look_closer(self, ask: Ask<'_>, first: usize, needed: f32, found: &mut Vec<Candidate>) {
        if !self.store.has_codes() {
            return;
        }
        let known = ask.known();
        let dim = self.needs.dim;
        let query = &ask.group.codes[ask.number * dim..(ask.number + 1) * dim];
        let euclidean = self.needs.similarity == Similarity::Euclidean;
        let stats = self.store.code_stats.as_chunks::<3>().0;
        let bound = |place: u32, dot: i32| {
            let [step, length, rounding] = stats[place as usize];
            let loss = if euclidean {
                half_square(f64::from(length) * (1.0 - 1e-6))
            } else {
                0.0
            };
            dot as f32 * known.code_step * step
                + known.code_factors[0] * length
                + known.code_factors[1] * rounding
                - loss
        };
        let mut kept = first;
        let dots = self
            .kernels
            .row_dots(&self.store.codes, query, known.code_start);
        for at in first..found.len() {
            if let Some(next) = found.get(at + AHEAD) {
                dots.expect(next.place);
            }
            let place = found[at].place;
            let most = bound(place, dots.of(place));
            if !(most < needed) {
                found[kept] = Candidate { place, most };
                kept += 1;
            }
        }
        found.truncate(kept);
    }

    fn scores(self, ask: Ask<'_>, which: [u32; TILE]) -> [[i32; LANES]; TILE] {
        let panels = self.store.panels(self.lanes, 0..self.lanes.len());
        let width = panels.width;
        let query = &ask.group.values[ask.number * width..(ask.number + 1) * width];
        self.kernels
            .scores(panels, which, query, ask.group.starts[ask.number])
    }

    /// Canonical scores of a batch of candidates into the best.
    fn score(self, start: usize, scratch: &mut Scratch) {
        let Scratch {
            best,
            query,
            candidates,
            ..
        } = scratch;
        let dim = self.needs.dim;
        let items = |batch: usize| {
            let end = candidates.len().min(batch + BATCH);
            let batch = candidates.get(batch..end).unwrap_or_default();
            batch
                .iter()
                .map(|candidate| self.store.order[candidate.place as usize])
        };
        let row = |item: u32| &self.rows[item as usize * dim..(item as usize + 1) * dim];
        items(start + BATCH).for_each(|item| self.kernels.expect(row(item)));
        let mut rows: [&[f32]; BATCH] = [&[]; BATCH];
        let n = items(start)
            .zip(&mut rows)
            .map(|(item, place)| *place = row(item))
            .count();
        let scores = scores_of(self.needs.similarity, self.kernels, &rows[..n], query);
        let floor = best
            .get(self.k - 1)
            .map_or(f32::NEG_INFINITY, |last| last.score);
        let before = best.len();
        for (item, score) in items(start).zip(scores) {
            let scored = Scored::new(item, score);
            if scored.score >= floor {
                best.push(scored);
            }
        }
        if best.len() > before && best.len() >= self.k {
            keep_best(best, self.k);
        }
    }
}

/// Rows that are asked for before they are read.
const AHEAD: usize = 6;

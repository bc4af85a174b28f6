//! Panels that look best: where a search begins.

// Compiled for each path of the CPU, see `Kernels::compiled`.
#![allow(clippy::inline_always, clippy::needless_bitwise_bool)]

use super::kernels::{LANES, PanelStats, count};

/// So many times more slots than panels that are asked for: two of these seldom fall into one.
const SPARE: usize = 8;

/// The largest levels that were seen, by slot, and whose they are. Panels fall into the slots by turns.
#[derive(Debug, Default)]
pub struct Seed {
    levels: Vec<[f32; LANES]>,
    /// Block of panels that the level is from.
    blocks: Vec<[u32; LANES]>,
    n_seen: usize,
    n_asked: usize,
}

impl Seed {
    /// Begin anew, for so many panels.
    pub fn ask(&mut self, n: usize) {
        let n_blocks = n.saturating_mul(SPARE).div_ceil(LANES).next_power_of_two();
        self.levels.clear();
        self.levels.resize(n_blocks, [f32::NEG_INFINITY; LANES]);
        self.blocks.resize(n_blocks, [0; LANES]);
        self.n_seen = 0;
        self.n_asked = n;
    }

    /// Take in the largest dots (with their lanes, see [`super::kernels::Kernels::maxima`]) of some panels from panel
    /// `first` on, both multiples of [`LANES`]. A panel's level is that in the units of all panels, less its loss: a bound of
    /// [`super::kernels::Kernels::sweep`] without the errors.
    #[inline(always)]
    pub fn add(&mut self, first: usize, firsts: &[i32], stats: PanelStats<'_>, step: f32) {
        let step = step / LANES as f32;
        let firsts = firsts.as_chunks::<LANES>().0;
        let scales = &stats.scale.as_chunks::<LANES>().0[..firsts.len()];
        let losses = &stats.loss.as_chunks::<LANES>().0[..firsts.len()];
        let turn = self.levels.len() - 1;
        for (at, firsts) in firsts.iter().enumerate() {
            let block = first / LANES + at;
            // Copies, and bits instead of branches: the compiler turns all of it into vectors.
            let (slots, owners) = (self.levels[block & turn], self.blocks[block & turn]);
            let (mut levels, mut blocks) = ([0.0; LANES], [0; LANES]);
            for lane in 0..LANES {
                let level = firsts[lane] as f32 * (step * scales[at][lane]) - losses[at][lane];
                let is_listable = firsts[lane] != i32::MIN;
                let level = if is_listable {
                    level
                } else {
                    f32::NEG_INFINITY
                };
                let better = u32::from(level > slots[lane]).wrapping_neg();
                levels[lane] = f32::max(level, slots[lane]);
                blocks[lane] = block as u32 & better | owners[lane] & !better;
            }
            self.levels[block & turn] = levels;
            self.blocks[block & turn] = blocks;
        }
        self.n_seen += firsts.len();
    }

    /// As many panels as were asked for or a few more, the highest that are known, each with its number and
    /// its level; none if there are fewer.
    #[inline(always)]
    pub fn best(&self, mut take: impl FnMut(usize, f32)) {
        let level = self.reached();
        if level == f32::NEG_INFINITY {
            return;
        }
        for (levels, blocks) in self.levels.iter().zip(&self.blocks) {
            // A fold without a branch: many blocks end here.
            if levels
                .iter()
                .fold(false, |any, &slot| any | (slot >= level))
            {
                for (lane, (&slot, &block)) in levels.iter().zip(blocks).enumerate() {
                    if slot >= level {
                        take(block as usize * LANES + lane, slot);
                    }
                }
            }
        }
    }

    /// A level that as many slots reach as were asked for and not many more, −∞ if no such is known.
    #[inline(always)]
    fn reached(&self) -> f32 {
        let n = self.n_asked;
        let slots = self.levels.as_flattened();
        let (mut highs, mut lows) = ([f32::MIN; LANES], [f32::MAX; LANES]);
        for slots in &self.levels {
            for ((high, low), &slot) in highs.iter_mut().zip(&mut lows).zip(slots) {
                *high = if slot > *high { slot } else { *high };
                // Slots without a panel, or with panels without a listable lane, lie far below.
                *low = if slot > f32::NEG_INFINITY && slot < *low {
                    slot
                } else {
                    *low
                };
            }
        }
        let mut high = highs.iter().copied().fold(f32::MIN, f32::max);
        let mut low = lows.iter().copied().fold(high, f32::min);
        if n > self.n_seen * LANES || count(slots, low) < n {
            return f32::NEG_INFINITY;
        }
        for _ in 0..10 {
            let middle = low + (high - low) / 2.0;
            let reached = count(slots, middle);
            if reached >= n {
                low = middle;
                if reached == n {
                    break;
                }
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    #[test]
    fn the_best_panels_are_found() {
        let firsts: Vec<i32> = (0..1600).map(|panel| panel * 7919 % 1601).collect();
        let (scale, zero) = (vec![0.5; 1600], vec![0.0; 1600]);
        let stats = PanelStats {
            scale: &scale,
            lengths: [&zero; 3],
            loss: &zero,
        };
        let best = |n: usize, parts: &[Range<usize>]| {
            let mut seed = Seed::default();
            seed.ask(n);
            for part in parts {
                let stats = PanelStats {
                    scale: &scale[part.clone()],
                    loss: &zero[part.clone()],
                    ..stats
                };
                seed.add(part.start, &firsts[part.clone()], stats, 32.0);
            }
            let mut found = Vec::new();
            seed.best(|panel, level| found.push((panel, level)));
            found
        };
        let parts = [0..800, 800..1600];
        for n in [1, 5, 20, 128, 256, 1000] {
            let found = best(n, &parts);
            assert!(found.len() >= n && found.len() <= 2 * n + 16, "{n}");
            let worst = found.iter().map(|pair| pair.1).fold(f32::MAX, f32::min);
            let reached = firsts.iter().filter(|&&most| most as f32 >= worst).count();
            assert!(reached <= 2 * n + 16, "{n}: {reached}");
            for (panel, level) in found {
                assert_eq!(firsts[panel] as f32, level);
            }
        }
        assert!(best(1601, &parts).is_empty());
        // Few panels with a listable lane are told apart as well as many.
        let dot = |panel: i32| if panel % 20 == 0 { panel } else { i32::MIN };
        let few: Vec<i32> = (0..1600).map(dot).collect();
        let mut seed = Seed::default();
        seed.ask(20);
        seed.add(0, &few, stats, 32.0);
        let mut found = Vec::new();
        seed.best(|panel, _| found.push(panel));
        assert!(found.len() >= 20 && found.len() <= 56, "{}", found.len());
        assert!(found.iter().all(|panel| panel % 20 == 0));
        assert!(best(1, &[]).is_empty());
    }
}

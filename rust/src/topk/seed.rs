//! Panels that look best: where a search begins.

// Compiled for each path of the CPU, see `Kernels::compiled`.
#![allow(clippy::inline_always, clippy::needless_bitwise_bool)]

use super::kernels::{LANES, PanelStats, count};

/// Slots that panels fall into by turns.
const SLOTS: usize = 512;
const BLOCKS: usize = SLOTS / LANES;

/// The largest levels that were seen, by slot, and whose they are.
#[derive(Debug)]
pub struct Seed {
    levels: [[f32; LANES]; BLOCKS],
    /// Block of panels that the level is from.
    blocks: [[u32; LANES]; BLOCKS],
    n_blocks: usize,
}

impl Default for Seed {
    fn default() -> Self {
        Self {
            levels: [[f32::NEG_INFINITY; LANES]; BLOCKS],
            blocks: [[0; LANES]; BLOCKS],
            n_blocks: 0,
        }
    }
}

impl Seed {
    /// More panels than this are never known.
    pub const MOST: usize = SLOTS / 2;

    /// Take in the largest dots (with their lanes, see [`super::kernels::Kernels::maxima`]) of some panels, a
    /// multiple of [`LANES`]. A panel's level is that in the units of all panels, less its loss: a bound of
    /// [`super::kernels::Kernels::sweep`] without the errors.
    #[inline(always)]
    pub fn add(&mut self, firsts: &[i32], stats: PanelStats<'_>, step: f32) {
        let step = step / LANES as f32;
        let firsts = firsts.as_chunks::<LANES>().0;
        let scales = &stats.scale.as_chunks::<LANES>().0[..firsts.len()];
        let losses = &stats.loss.as_chunks::<LANES>().0[..firsts.len()];
        for (at, firsts) in firsts.iter().enumerate() {
            let block = self.n_blocks + at;
            let slots = &mut self.levels[block % BLOCKS];
            let owners = &mut self.blocks[block % BLOCKS];
            let mut levels = [0.0; LANES];
            for (lane, level) in levels.iter_mut().enumerate() {
                *level = firsts[lane] as f32 * (step * scales[at][lane]) - losses[at][lane];
            }
            // Bits instead of branches, which the compiler turns into vectors.
            for ((owner, slot), &level) in owners.iter_mut().zip(slots.iter()).zip(&levels) {
                let better = u32::from(level > *slot).wrapping_neg();
                *owner = block as u32 & better | *owner & !better;
            }
            for (slot, level) in slots.iter_mut().zip(levels) {
                *slot = if level > *slot { level } else { *slot };
            }
        }
        self.n_blocks += firsts.len();
    }

    /// At least `n` panels with the highest levels and not many more, numbered as they came, each with its level;
    /// none if no such are known.
    #[inline(always)]
    pub fn best(&self, n: usize, mut take: impl FnMut(usize, f32)) {
        let level = self.reached_by(n);
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

    /// A level that at least `n` panels reach and not many more, −∞ if no such is known.
    #[inline(always)]
    fn reached_by(&self, n: usize) -> f32 {
        if n > Self::MOST || n > self.n_blocks * LANES {
            return f32::NEG_INFINITY;
        }
        let slots = self.levels.as_flattened();
        let (mut highs, mut lows) = ([f32::MIN; LANES], [f32::MAX; LANES]);
        for slots in &self.levels {
            for ((high, low), &slot) in highs.iter_mut().zip(&mut lows).zip(slots) {
                *high = if slot > *high { slot } else { *high };
                // Slots without a panel, and panels without a listable lane, lie far below.
                *low = if slot > -1e30 && slot < *low {
                    slot
                } else {
                    *low
                };
            }
        }
        let mut high = highs.iter().copied().fold(f32::MIN, f32::max);
        let mut low = lows.iter().copied().fold(high, f32::min);
        if count(slots, low) < n {
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
    use super::*;

    #[test]
    fn the_best_panels_are_found() {
        let firsts: Vec<i32> = (0..1600).map(|panel| panel * 7919 % 1601).collect();
        let (scale, zero) = (vec![0.5; 1600], vec![0.0; 1600]);
        let stats = PanelStats {
            scale: &scale,
            length: &zero,
            rounding: &zero,
            rest: &zero,
            loss: &zero,
        };
        let mut seed = Seed::default();
        seed.add(
            &firsts[..800],
            PanelStats {
                scale: &scale[..800],
                loss: &zero[..800],
                ..stats
            },
            32.0,
        );
        seed.add(
            &firsts[800..],
            PanelStats {
                scale: &scale[800..],
                loss: &zero[800..],
                ..stats
            },
            32.0,
        );
        let best = |seed: &Seed, n| {
            let mut found = Vec::new();
            seed.best(n, |panel, level| found.push((panel, level)));
            found
        };
        for n in [1, 5, 20, 128, 256] {
            let found = best(&seed, n);
            assert!(found.len() >= n && found.len() <= 2 * n + 16, "{n}");
            let worst = found.iter().map(|pair| pair.1).fold(f32::MAX, f32::min);
            let reached = firsts.iter().filter(|&&most| most as f32 >= worst).count();
            assert!(reached <= 4 * n + 16, "{n}: {reached}");
            for (panel, level) in found {
                assert_eq!(firsts[panel] as f32, level);
            }
        }
        assert!(best(&seed, 257).is_empty());
        assert!(best(&Seed::default(), 1).is_empty());
    }
}

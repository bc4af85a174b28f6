//! A value that many panels reach: where a search begins.

// Compiled for each path of the CPU, see `Kernels::compiled`.
#![allow(clippy::inline_always)]

use super::kernels::{LANES, PanelStats, count};

/// Slots that panels fall into by turns.
const SLOTS: usize = 512;

/// The largest levels that were seen, by slot.
#[derive(Debug)]
pub struct Seed {
    slots: [[f32; LANES]; SLOTS / LANES],
    n_panels: usize,
}

impl Default for Seed {
    fn default() -> Self {
        Self {
            slots: [[f32::NEG_INFINITY; LANES]; SLOTS / LANES],
            n_panels: 0,
        }
    }
}

impl Seed {
    /// More panels than this are never known to reach a level.
    pub const MOST: usize = SLOTS / 2;

    /// Take in the maxima of some panels, a multiple of [`LANES`]. A panel's level is its largest dot in the
    /// units of all panels, less its loss: a bound of [`super::kernels::Kernels::sweep`] without the errors.
    #[inline(always)]
    pub fn add(&mut self, maxima: &[i32], stats: PanelStats<'_>, step: f32) {
        let maxima = maxima.as_chunks::<LANES>().0;
        let scales = &stats.scale.as_chunks::<LANES>().0[..maxima.len()];
        let losses = &stats.loss.as_chunks::<LANES>().0[..maxima.len()];
        for (block, maxima) in maxima.iter().enumerate() {
            let slot = &mut self.slots[(self.n_panels / LANES + block) % (SLOTS / LANES)];
            let stats = scales[block].iter().zip(&losses[block]);
            for ((slot, &most), (&scale, &loss)) in slot.iter_mut().zip(maxima).zip(stats) {
                let level = most as f32 * (step * scale) - loss;
                *slot = if level > *slot { level } else { *slot };
            }
        }
        self.n_panels += maxima.len() * LANES;
    }

    /// A level that at least `n` panels reach and not many more, −∞ if no such is known.
    #[inline(always)]
    pub fn reached_by(&self, n: usize) -> f32 {
        if n > Self::MOST || n > self.n_panels {
            return f32::NEG_INFINITY;
        }
        let slots = self.slots.as_flattened();
        let (mut highs, mut lows) = ([f32::MIN; LANES], [f32::MAX; LANES]);
        for slots in &self.slots {
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
    fn enough_panels_reach_the_level() {
        let maxima: Vec<i32> = (0..1600).map(|panel| panel * 7919 % 1601).collect();
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
            &maxima[..800],
            PanelStats {
                scale: &scale[..800],
                loss: &zero[..800],
                ..stats
            },
            2.0,
        );
        seed.add(
            &maxima[800..],
            PanelStats {
                scale: &scale[800..],
                loss: &zero[800..],
                ..stats
            },
            2.0,
        );
        for n in [1, 5, 20, 128, 256] {
            let level = seed.reached_by(n);
            let reached = maxima.iter().filter(|&&most| most as f32 >= level).count();
            assert!(reached >= n && reached <= 4 * n + 16, "{n}: {reached}");
        }
        assert_eq!(seed.reached_by(257), f32::NEG_INFINITY);
        assert_eq!(Seed::default().reached_by(1), f32::NEG_INFINITY);
    }
}

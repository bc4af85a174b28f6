//! Which panels may hold a listed item: the same loop, compiled for each set of instructions.

use super::LANES;

/// What the bound of a panel is made of, one value a panel (see `bound.rs`).
#[derive(Debug, Clone, Copy)]
pub struct PanelStats<'a> {
    /// Step of the 8-bit values.
    pub scale: &'a [f32],
    /// Largest length of an item's scanned part.
    pub length: &'a [f32],
    /// Largest length of what rounding to 8 bits took from it.
    pub rounding: &'a [f32],
    /// Largest length of the part that is not scanned.
    pub rest: &'a [f32],
    /// What every item of the panel loses at least.
    pub loss: &'a [f32],
}

/// What turns the dots of one query and one panel into bounds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Side {
    /// Factor of a dot.
    pub scale: f32,
    /// What is added: the errors less the loss.
    pub plus: f32,
}

impl Side {
    /// The most that an item with this dot may have of what is compared.
    #[inline(always)]
    pub fn bound(self, dot: i32) -> f32 {
        dot as f32 * self.scale + self.plus
    }
}

impl PanelStats<'_> {
    /// Of a panel and a query with these factors and this step.
    #[inline(always)]
    pub fn side(&self, panel: usize, step: f32, factors: [f32; 3]) -> Side {
        Side {
            scale: step * self.scale[panel],
            plus: factors[0] * self.length[panel]
                + factors[1] * self.rounding[panel]
                + factors[2] * self.rest[panel]
                - self.loss[panel],
        }
    }
}

/// The maxima of one query, and its side of the bound.
#[derive(Debug, Clone, Copy)]
pub struct Maxima<'a> {
    /// Largest dot of each panel, a multiple of [`LANES`] panels.
    pub values: &'a [i32],
    /// The panels' side.
    pub stats: PanelStats<'a>,
    /// Step of the query's 8-bit values.
    pub step: f32,
    /// Factors of the panels' `length`, `rounding` and `rest`.
    pub factors: [f32; 3],
    /// What the bound has to reach.
    pub needed: f32,
}

/// Give `take` every panel whose bound is not below what is needed.
#[inline(always)]
pub fn sweep(maxima: Maxima<'_>, take: &mut dyn FnMut(usize)) {
    let Maxima {
        values,
        stats,
        step,
        factors,
        needed,
    } = maxima;
    let blocks = |column| <[f32]>::as_chunks::<LANES>(column).0;
    let values = values.as_chunks::<LANES>().0;
    let n_blocks = values.len();
    let (scale, length) = (
        &blocks(stats.scale)[..n_blocks],
        &blocks(stats.length)[..n_blocks],
    );
    let (rounding, rest) = (
        &blocks(stats.rounding)[..n_blocks],
        &blocks(stats.rest)[..n_blocks],
    );
    let loss = &blocks(stats.loss)[..n_blocks];
    for block in 0..n_blocks {
        let stats = PanelStats {
            scale: &scale[block],
            length: &length[block],
            rounding: &rounding[block],
            rest: &rest[block],
            loss: &loss[block],
        };
        let bound = |lane: usize| stats.side(lane, step, factors).bound(values[block][lane]);
        let mut bounds = [0.0_f32; LANES];
        for (lane, out) in bounds.iter_mut().enumerate() {
            *out = bound(lane);
        }
        // A fold without a branch: nearly every block ends here.
        if bounds
            .iter()
            .fold(false, |any, &bound| any | !(bound < needed))
        {
            for (lane, &bound) in bounds.iter().enumerate() {
                if !(bound < needed) {
                    take(block * LANES + lane);
                }
            }
        }
    }
}

/// How many values are not below a level.
#[inline(always)]
pub fn count(values: &[f32], level: f32) -> usize {
    let mut counts = [0_u32; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for (count, &value) in counts.iter_mut().zip(block) {
            *count += u32::from(value >= level);
        }
    }
    let rest = rest.iter().filter(|&&value| value >= level).count();
    counts.iter().sum::<u32>() as usize + rest
}

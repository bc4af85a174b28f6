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

impl PanelStats<'_> {
    /// The most that an item of a panel with this dot may have of what is compared; `step` and `factors`
    /// are the query's side.
    #[inline(always)]
    pub fn bound(&self, panel: usize, dot: i32, step: f32, factors: [f32; 3]) -> f32 {
        dot as f32 * step * self.scale[panel]
            + factors[0] * self.length[panel]
            + factors[1] * self.rounding[panel]
            + factors[2] * self.rest[panel]
            - self.loss[panel]
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
        let bound = |lane: usize| stats.bound(lane, values[block][lane], step, factors);
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

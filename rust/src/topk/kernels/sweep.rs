//! Which panels may hold a listed item: the same loop, compiled for each set of instructions.

use super::LANES;

/// What the bound of a panel is made of, one value a panel (see `bound.rs`).
#[derive(Debug, Clone, Copy)]
pub struct PanelStats<'a> {
    /// Step of the values.
    pub scale: &'a [f32],
    /// Largest lengths that a query's factors multiply. Of what is read in full: of an item's scanned part, of what
    /// rounding took from it, of the part that is not scanned. Of fronts: of what rounding took from the fine and
    /// from the coarse values, of the part behind.
    pub lengths: [&'a [f32]; 3],
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
            plus: factors[0] * self.lengths[0][panel]
                + factors[1] * self.lengths[1][panel]
                + factors[2] * self.lengths[2][panel]
                - self.loss[panel],
        }
    }
}

/// The largest dots of one query, and its side of the bound.
#[derive(Debug, Clone, Copy)]
pub struct Maxima<'a> {
    /// Largest dot of each panel with its lane (see [`super::Kernels::maxima`]), a multiple of [`LANES`] panels.
    pub firsts: &'a [i32],
    /// The second largest.
    pub seconds: &'a [i32],
    /// The panels' side.
    pub stats: PanelStats<'a>,
    /// Step of the query's 8-bit values.
    pub step: f32,
    /// Factors of the panels' lengths.
    pub factors: [f32; 3],
    /// What the bound has to reach.
    pub needed: f32,
}

impl Maxima<'_> {
    /// # Panics
    /// Unless all is of one number of panels, of which `LANES` is a factor.
    pub fn check(&self) {
        let n = self.firsts.len();
        let PanelStats {
            scale,
            lengths: [first, second, third],
            loss,
        } = self.stats;
        let columns = [scale, first, second, third, loss];
        assert!(n.is_multiple_of(LANES) && self.seconds.len() == n);
        assert!(columns.iter().all(|column| column.len() == n));
    }
}

/// A panel whose bound reaches what is needed.
#[derive(Debug, Clone, Copy)]
pub struct Top {
    /// Place among the panels.
    pub panel: usize,
    /// Lane of the largest dot.
    pub lane: u32,
    /// Bound of that lane.
    pub most: f32,
    /// Whether another lane may reach it too.
    pub more: bool,
}

/// Lane that stands with a dot.
#[inline(always)]
pub fn lane_of(dot: i32) -> u32 {
    dot.cast_unsigned() % LANES as u32
}

/// Give `take` every panel whose bound is not below what is needed. A dot keeps its lane, which adds less than 1
/// to it: a bound grows by that.
#[inline(always)]
pub fn sweep(maxima: Maxima<'_>, mut take: impl FnMut(Top)) {
    let Maxima {
        firsts,
        seconds,
        stats,
        step,
        factors,
        needed,
    } = maxima;
    let step = step / LANES as f32;
    let blocks = |column| <[f32]>::as_chunks::<LANES>(column).0;
    let (firsts, seconds) = (
        firsts.as_chunks::<LANES>().0,
        seconds.as_chunks::<LANES>().0,
    );
    let n_blocks = firsts.len();
    let seconds = &seconds[..n_blocks];
    let scale = &blocks(stats.scale)[..n_blocks];
    let [first, second, third] = stats.lengths;
    let (first, second) = (&blocks(first)[..n_blocks], &blocks(second)[..n_blocks]);
    let third = &blocks(third)[..n_blocks];
    let loss = &blocks(stats.loss)[..n_blocks];
    for block in 0..n_blocks {
        let stats = PanelStats {
            scale: &scale[block],
            lengths: [&first[block], &second[block], &third[block]],
            loss: &loss[block],
        };
        let side = |lane: usize| stats.side(lane, step, factors);
        let mut bounds = [0.0_f32; LANES];
        for (at, out) in bounds.iter_mut().enumerate() {
            *out = side(at).bound(firsts[block][at]);
        }
        // A fold without a branch: nearly every block ends here.
        if bounds
            .iter()
            .fold(false, |any, &bound| any | !(bound < needed))
        {
            for (at, &most) in bounds.iter().enumerate() {
                if !(most < needed) {
                    take(Top {
                        panel: block * LANES + at,
                        lane: lane_of(firsts[block][at]),
                        most,
                        more: !(side(at).bound(seconds[block][at]) < needed),
                    });
                }
            }
        }
    }
}

/// Kept dots of the panels of some maxima, and what may be listed of them.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// (panel, lane), see [`super::Kernels::maxima`].
    pub dots: &'a [i32],
    /// Lanes of each panel.
    pub lanes: &'a [u16],
    /// Place of the first.
    pub first: u32,
}

/// Write the places whose bound is not below what is needed, which may be as many as there are dots; how many.
#[inline(always)]
pub fn reaching(maxima: Maxima<'_>, kept: Kept<'_>, out: &mut [u32]) -> usize {
    let side_step = maxima.step / LANES as f32;
    let dots = kept.dots.as_chunks::<LANES>().0;
    let mut n = 0;
    sweep(
        maxima,
        #[inline(always)]
        |top| {
            let side = maxima.stats.side(top.panel, side_step, maxima.factors);
            let first = kept.first + (top.panel * LANES) as u32;
            for (lane, &dot) in (0..).zip(&dots[top.panel]) {
                // Without a branch, which nobody could foresee.
                out[n] = first + lane;
                let reaches = !(side.bound(dot) < maxima.needed);
                n += usize::from(reaches & (kept.lanes[top.panel] >> lane & 1 == 1));
            }
        },
    );
    n
}

/// How many values are not below a level.
#[inline(always)]
pub fn count(values: &[f32], level: f32) -> usize {
    let reached = values.iter().map(|&value| u32::from(value >= level));
    reached.sum::<u32>() as usize
}

//! Which panels, and which items of them, may hold a listed item.

use std::arch::x86_64::*;

use super::super::LANES;
use super::super::sweep::{Kept, Maxima, Top, lane_of};

/// See [`super::super::sweep::sweep`], whose loop this is.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub fn sweep(maxima: Maxima<'_>, mut take: impl FnMut(Top)) {
    let Maxima {
        firsts, seconds, ..
    } = maxima;
    let needed = _mm512_set1_ps(maxima.needed);
    for block in (0..firsts.len() / LANES * LANES).step_by(LANES) {
        let bounds = Bounds::of(&maxima, block);
        let mut reached = bounds.reached(needed);
        if reached == 0 {
            continue;
        }
        let seconds = seconds[block..block + LANES].as_ptr();
        // SAFETY: as many stand there.
        let seconds = unsafe { _mm512_loadu_si512(seconds.cast()) };
        let more = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(bounds.of_dots(seconds), needed);
        let most = values_of(bounds.most);
        while reached != 0 {
            let at = reached.trailing_zeros() as usize;
            take(Top {
                panel: block + at,
                lane: lane_of(firsts[block + at]),
                most: most[at],
                more: more >> at & 1 == 1,
            });
            reached &= reached - 1;
        }
    }
}

/// See [`super::super::sweep::reaching`].
///
/// # Safety
/// There are `LANES` dots and places to write to for each panel.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn reaching(maxima: Maxima<'_>, kept: Kept<'_>, out: &mut [u32]) -> usize {
    let dots = kept.dots.as_chunks::<LANES>().0;
    let n_panels = maxima.firsts.len();
    let needed = _mm512_set1_ps(maxima.needed);
    let numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut n = 0;
    for block in (0..n_panels / LANES * LANES).step_by(LANES) {
        let bounds = Bounds::of(&maxima, block);
        let mut reached = bounds.reached(needed);
        if reached == 0 {
            continue;
        }
        let (scales, pluses) = (values_of(bounds.scale), values_of(bounds.plus));
        while reached != 0 {
            let at = reached.trailing_zeros() as usize;
            let panel = block + at;
            // SAFETY: a panel has `LANES` dots; the panels before had at most as many places each, so that there is room for
            // as many.
            unsafe {
                let dots = _mm512_cvtepi32_ps(_mm512_loadu_si512(dots[panel].as_ptr().cast()));
                let bound = _mm512_mul_ps(dots, _mm512_set1_ps(scales[at]));
                let bound = _mm512_add_ps(bound, _mm512_set1_ps(pluses[at]));
                let lanes = kept.lanes[panel];
                let lanes = _mm512_mask_cmp_ps_mask::<_CMP_NLT_UQ>(lanes, bound, needed);
                let first = _mm512_set1_epi32((kept.first + (panel * LANES) as u32).cast_signed());
                let places = _mm512_maskz_compress_epi32(lanes, _mm512_add_epi32(first, numbers));
                _mm512_storeu_si512(out.as_mut_ptr().add(n).cast(), places);
                n += lanes.count_ones() as usize;
            }
            reached &= reached - 1;
        }
    }
    n
}

/// Bounds of [`LANES`] panels.
struct Bounds {
    scale: __m512,
    plus: __m512,
    /// Of their largest dots.
    most: __m512,
}

impl Bounds {
    /// From a panel on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn of(maxima: &Maxima<'_>, block: usize) -> Self {
        let Maxima {
            firsts,
            stats,
            step,
            factors,
            ..
        } = maxima;
        let column = |values: &[f32]| {
            let values = values[block..block + LANES].as_ptr();
            // SAFETY: as many stand there.
            unsafe { _mm512_loadu_ps(values) }
        };
        let [first, second, third] = [0, 1, 2].map(|which| {
            _mm512_mul_ps(_mm512_set1_ps(factors[which]), column(stats.lengths[which]))
        });
        let errors = _mm512_add_ps(_mm512_add_ps(first, second), third);
        let bounds = Self {
            scale: _mm512_mul_ps(_mm512_set1_ps(step / LANES as f32), column(stats.scale)),
            plus: _mm512_sub_ps(errors, column(stats.loss)),
            most: _mm512_setzero_ps(),
        };
        let firsts = firsts[block..block + LANES].as_ptr();
        // SAFETY: as many stand there.
        let firsts = unsafe { _mm512_loadu_si512(firsts.cast()) };
        Self {
            most: bounds.of_dots(firsts),
            ..bounds
        }
    }

    /// Of a dot of each.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn of_dots(&self, dots: __m512i) -> __m512 {
        _mm512_add_ps(
            _mm512_mul_ps(_mm512_cvtepi32_ps(dots), self.scale),
            self.plus,
        )
    }

    /// Those whose largest dot reaches what is needed.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn reached(&self, needed: __m512) -> u16 {
        _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(self.most, needed)
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn values_of(register: __m512) -> [f32; LANES] {
    let mut values = [0.0; LANES];
    // SAFETY: the array is as long as the register.
    unsafe { _mm512_storeu_ps(values.as_mut_ptr(), register) };
    values
}

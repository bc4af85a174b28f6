//! AVX-512 with VNNI: one instruction multiplies 64 pairs of bytes and adds them up in fours.

mod scan;

use std::arch::x86_64::*;

use super::sweep::{Kept, Maxima, Top, lane_of};
use super::unordered;
use super::{AHEAD, BLOCK, CodeQuery, CodeRows, Hit, LANES, Look, Pair};

pub use scan::{expect, listable, maxima, two_largest_of_four};

/// Queries that look at a panel together.
const TOGETHER: usize = 8;

/// # Safety
/// The panel holds `LANES` bytes for each of a look's query.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn look(panel: &[u8], looks: &[Look<'_>], found: &mut Vec<Hit>) {
    for some in looks.chunks(TOGETHER) {
        // SAFETY: as promised by the caller.
        unsafe {
            match some.len() {
                1 => look_at::<1, 8>(panel, some, found),
                2 => look_at::<2, 4>(panel, some, found),
                3 => look_at::<3, 2>(panel, some, found),
                4 => look_at::<4, 2>(panel, some, found),
                5 => look_at::<5, 1>(panel, some, found),
                6 => look_at::<6, 1>(panel, some, found),
                7 => look_at::<7, 1>(panel, some, found),
                _ => look_at::<TOGETHER, 1>(panel, some, found),
            }
        }
    }
}

/// Sums are added up in `CHAINS` parts: a product waits for the sum it is added to, and few looks have few.
///
/// # Safety
/// There are `M` looks; the panel holds `LANES` bytes for each of a look's query.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn look_at<const M: usize, const CHAINS: usize>(
    panel: &[u8],
    looks: &[Look<'_>],
    found: &mut Vec<Hit>,
) {
    let mut chains = [[_mm512_setzero_si512(); M]; CHAINS];
    let mut queries = [std::ptr::null(); M];
    for ((sum, query), look) in chains[0].iter_mut().zip(&mut queries).zip(looks) {
        *sum = _mm512_set1_epi32(look.start);
        *query = look.query.as_ptr();
    }
    let n_steps = panel.len() / 64;
    let even = n_steps - n_steps % CHAINS;
    // SAFETY: step `s` reads bytes `64 s..64 s + 64` of the panel and `4 s..4 s + 4` of a query.
    unsafe {
        for first in (0..even).step_by(CHAINS) {
            for (place, sums) in chains.iter_mut().enumerate() {
                multiply(panel, queries, first + place, sums);
            }
        }
        for step in even..n_steps {
            multiply(panel, queries, step, &mut chains[0]);
        }
    }
    let mut sums = chains[0];
    for other in &chains[1..] {
        for (sum, &other) in sums.iter_mut().zip(other) {
            *sum = _mm512_add_epi32(*sum, other);
        }
    }
    for (&sum, look) in sums.iter().zip(looks) {
        let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(look.side.scale));
        let bound = _mm512_add_ps(scaled, _mm512_set1_ps(look.side.plus));
        let needed = _mm512_set1_ps(look.needed);
        let mut reached = _mm512_mask_cmp_ps_mask::<_CMP_NLT_UQ>(look.lanes, bound, needed);
        if reached != 0 {
            let mut bounds = [0.0; LANES];
            // SAFETY: `bounds` is as long as a register.
            unsafe { _mm512_storeu_ps(bounds.as_mut_ptr(), bound) };
            while reached != 0 {
                let lane = reached.trailing_zeros();
                found.push(Hit {
                    query: look.number,
                    place: look.first + lane,
                    most: bounds[lane as usize],
                });
                reached &= reached - 1;
            }
        }
    }
}

/// Add the products of four dimensions.
///
/// # Safety
/// `step` is below the panel's length / 64, and four times as many values are in each query.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn multiply<const M: usize>(
    panel: &[u8],
    queries: [*const i8; M],
    step: usize,
    sums: &mut [__m512i; M],
) {
    // SAFETY: as promised by the caller.
    unsafe {
        let items = _mm512_loadu_si512(panel.as_ptr().add(64 * step).cast());
        for (sum, query) in sums.iter_mut().zip(queries) {
            let query = query.add(4 * step).cast::<i32>();
            let query = _mm512_set1_epi32(query.read_unaligned());
            *sum = _mm512_dpbusd_epi32(*sum, items, query);
        }
    }
}

/// # Safety
/// Every hit has a row and a query, equally wide.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn closer(rows: CodeRows<'_>, queries: &[CodeQuery<'_>], hits: &mut [Hit]) {
    for at in 0..hits.len() {
        if let Some(next) = hits.get(at + AHEAD) {
            rows.expect(next);
        }
        let hit = &mut hits[at];
        let query = &queries[hit.query as usize];
        // SAFETY: as promised by the caller.
        let dot = unsafe {
            let row = rows.bytes.as_ptr().add(hit.place as usize * rows.width);
            row_dot(row, query.values)
        };
        hit.most = rows.bound(hit.place, dot, query);
    }
}

/// # Safety
/// `row` points to as many bytes as the query has.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn row_dot(row: *const u8, query: &[i8]) -> i32 {
    let (lines, rest) = query.as_chunks::<64>();
    let step = |sums: __m512i, line: usize| {
        // SAFETY: both have this line, as promised by the caller.
        unsafe {
            let items = _mm512_loadu_si512(row.add(64 * line).cast());
            let query = _mm512_loadu_si512(lines.as_ptr().add(line).cast());
            _mm512_dpbusd_epi32(sums, items, query)
        }
    };
    let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for line in (1..lines.len()).step_by(2) {
        even = step(even, line - 1);
        odd = step(odd, line);
    }
    if lines.len() % 2 == 1 {
        even = step(even, lines.len() - 1);
    }
    if !rest.is_empty() {
        let mask = (1 << rest.len()) - 1;
        // SAFETY: the bytes that the mask leaves exist in both; others are not read.
        unsafe {
            let items = _mm512_maskz_loadu_epi8(mask, row.add(64 * lines.len()).cast());
            let query = _mm512_maskz_loadu_epi8(mask, rest.as_ptr());
            odd = _mm512_dpbusd_epi32(odd, items, query);
        }
    }
    _mm512_reduce_add_epi32(_mm512_add_epi32(even, odd))
}

/// See [`unordered::dot`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub fn dot(row: &[f32], query: &[f64]) -> f64 {
    unordered::dot(row, query, |sum, a, b| a.mul_add(b, sum))
}

/// See [`unordered::squared_distance`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub fn squared_distance(row: &[f32], query: &[f64]) -> f64 {
    unordered::squared_distance(row, query, |sum, a, b| a.mul_add(b, sum))
}

/// See [`super::sweep::sweep`], whose loop this is.
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

/// See [`super::sweep::reaching`].
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

/// Rows whose sums stay in registers: 8 times the two of a block.
const ROWS: usize = 8;

/// See [`super::project::project`].
///
/// # Safety
/// `matrix` has whole blocks of `n_pairs` lines, `rows` whole rows, `out` a place for each row and column.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn project(rows: &[Pair], n_pairs: usize, matrix: &[Pair], out: &mut [i32]) {
    let n_columns = matrix.len() / n_pairs;
    let n_rows = rows.len() / n_pairs;
    for first in (0..n_rows).step_by(ROWS) {
        for (number, block) in matrix.chunks_exact(n_pairs * BLOCK).enumerate() {
            // SAFETY: rows `first..first + ROWS`, or as many as there are, and their places exist.
            unsafe {
                let rows = rows.as_ptr().add(first * n_pairs);
                let out = out.as_mut_ptr().add(first * n_columns + number * BLOCK);
                if n_rows - first >= ROWS {
                    project_block::<ROWS, 1>(rows, block, out, n_columns);
                    continue;
                }
                for row in 0..n_rows - first {
                    let (rows, out) = (rows.add(row * n_pairs), out.add(row * n_columns));
                    project_block::<1, 4>(rows, block, out, n_columns);
                }
            }
        }
    }
}

/// `M` rows times a block, each added up in `CHAINS` parts.
///
/// # Safety
/// Each row has a pair for each line of the block, and `BLOCK` places every `n_columns` of `out`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn project_block<const M: usize, const CHAINS: usize>(
    rows: *const Pair,
    block: &[Pair],
    out: *mut i32,
    n_columns: usize,
) {
    let lines = block.as_chunks::<BLOCK>().0;
    let mut chains = [[[_mm512_setzero_si512(); 2]; M]; CHAINS];
    let add = |sums: &mut [[__m512i; 2]; M], at: usize| {
        // SAFETY: as promised by the caller.
        unsafe {
            let line = lines.as_ptr().add(at).cast::<__m512i>();
            let halves = [line.read_unaligned(), line.add(1).read_unaligned()];
            for (row, sums) in sums.iter_mut().enumerate() {
                let own = rows.add(row * lines.len() + at).cast::<i32>();
                let own = _mm512_set1_epi32(own.read_unaligned());
                for (sum, half) in sums.iter_mut().zip(halves) {
                    *sum = _mm512_dpwssd_epi32(*sum, half, own);
                }
            }
        }
    };
    let even = lines.len() - lines.len() % CHAINS;
    for first in (0..even).step_by(CHAINS) {
        for (at, sums) in (first..).zip(&mut chains) {
            add(sums, at);
        }
    }
    for at in even..lines.len() {
        add(&mut chains[0], at);
    }
    for row in 0..M {
        for half in 0..2 {
            let mut sum = chains[0][row][half];
            for others in &chains[1..] {
                sum = _mm512_add_epi32(sum, others[row][half]);
            }
            // SAFETY: as promised by the caller.
            unsafe { _mm512_storeu_si512(out.add(row * n_columns + half * 16).cast(), sum) };
        }
    }
}

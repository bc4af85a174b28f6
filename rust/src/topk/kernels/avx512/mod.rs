//! AVX-512 with VNNI: one instruction multiplies 64 pairs of bytes and adds them up in fours.

mod project;
mod scan;
mod sweep;

use std::arch::x86_64::*;

use super::unordered;
use super::{AHEAD, CodeQuery, CodeRows, Hit, LANES, Look};

pub use project::project;
pub use scan::{expect, listable, maxima, two_largest_of_four};
pub use sweep::{reaching, sweep};

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

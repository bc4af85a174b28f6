//! Rows times a matrix, in integers of 16 bits.

use std::arch::x86_64::*;

use super::super::{BLOCK, Pair};

/// Rows whose sums stay in registers: 8 times the two of a block.
const ROWS: usize = 8;

/// See [`super::super::project::project`].
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

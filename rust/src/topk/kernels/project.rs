//! Rows times a matrix: one loop, compiled for each set of instructions.

/// Columns of a block of the matrix.
pub const BLOCK: usize = 32;

/// Products of `rows` (row, dim) with a matrix in blocks, `[block][dim][BLOCK]`, as (row, block · `BLOCK`).
/// `R` rows at a time keep their sums in registers; `step` adds a product.
#[inline(always)]
pub fn project<const R: usize>(
    rows: &[f32],
    dim: usize,
    matrix: &[f32],
    out: &mut [f32],
    step: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    let n_columns = matrix.len() / dim;
    let (n_rows, whole) = (rows.len() / dim, rows.len() / dim / R * R);
    for first in (0..whole).step_by(R) {
        some::<R>(rows, dim, matrix, n_columns, first, out, step);
    }
    for first in whole..n_rows {
        some::<1>(rows, dim, matrix, n_columns, first, out, step);
    }
}

#[inline(always)]
fn some<const R: usize>(
    rows: &[f32],
    dim: usize,
    matrix: &[f32],
    n_columns: usize,
    first: usize,
    out: &mut [f32],
    step: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    let mut few = [&rows[..0]; R];
    for (number, row) in few.iter_mut().enumerate() {
        *row = &rows[(first + number) * dim..][..dim];
    }
    for (block, matrix) in matrix.chunks_exact(dim * BLOCK).enumerate() {
        let mut sums = [[0.0_f32; BLOCK]; R];
        for (column, values) in matrix.as_chunks::<BLOCK>().0.iter().enumerate() {
            for (sums, row) in sums.iter_mut().zip(&few) {
                let factor = row[column];
                for (sum, &value) in sums.iter_mut().zip(values) {
                    *sum = step(*sum, factor, value);
                }
            }
        }
        for (number, sums) in sums.iter().enumerate() {
            out[(first + number) * n_columns + block * BLOCK..][..BLOCK].copy_from_slice(sums);
        }
    }
}

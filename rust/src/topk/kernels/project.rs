//! Rows times a matrix: one loop, compiled for each set of instructions.

/// Columns of a block of the matrix.
pub const BLOCK: usize = 32;

/// Blocks that a single row is multiplied by side by side, so that sums do not wait for each other.
const TOGETHER: usize = 4;

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
    let many = rows.chunks_exact(R * dim);
    let few = many.remainder();
    let (first, last) = out.split_at_mut((rows.len() - few.len()) / dim * n_columns);
    for (rows, out) in many.zip(first.chunks_exact_mut(R * n_columns)) {
        for (number, blocks) in matrix.chunks_exact(dim * BLOCK).enumerate() {
            some::<R, 1>(rows, dim, blocks, number, out, step);
        }
    }
    for (row, out) in few.chunks_exact(dim).zip(last.chunks_exact_mut(n_columns)) {
        let wide = matrix.chunks_exact(TOGETHER * dim * BLOCK);
        let n_wide = wide.len() * TOGETHER;
        let narrow = wide.remainder().chunks_exact(dim * BLOCK);
        for (number, blocks) in wide.enumerate() {
            some::<1, TOGETHER>(row, dim, blocks, number * TOGETHER, out, step);
        }
        for (number, blocks) in narrow.enumerate() {
            some::<1, 1>(row, dim, blocks, n_wide + number, out, step);
        }
    }
}

/// `R` rows times `B` blocks, of which the first is number `first`.
#[inline(always)]
fn some<const R: usize, const B: usize>(
    rows: &[f32],
    dim: usize,
    blocks: &[f32],
    first: usize,
    out: &mut [f32],
    step: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    let n_columns = out.len() / R;
    let rows: [&[f32]; R] = std::array::from_fn(|row| &rows[row * dim..][..dim]);
    let blocks: [&[[f32; BLOCK]]; B] =
        std::array::from_fn(|block| blocks[block * dim * BLOCK..][..dim * BLOCK].as_chunks().0);
    let mut sums = [[[0.0_f32; BLOCK]; B]; R];
    for column in 0..dim {
        for (sums, row) in sums.iter_mut().zip(&rows) {
            for (sums, block) in sums.iter_mut().zip(&blocks) {
                for (sum, &value) in sums.iter_mut().zip(&block[column]) {
                    *sum = step(*sum, row[column], value);
                }
            }
        }
    }
    for (sums, out) in sums.iter().zip(out.chunks_exact_mut(n_columns)) {
        out[first * BLOCK..][..B * BLOCK].copy_from_slice(sums.as_flattened());
    }
}

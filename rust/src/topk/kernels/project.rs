//! Rows times a matrix, in integers of 16 bits: its shape, and the plain way.

/// Columns of a block of the matrix.
pub const BLOCK: usize = 32;

/// Two neighbours of a column, or of a row: what one instruction multiplies and adds.
pub type Pair = [i16; 2];

/// Plain products of `rows` (row, dim / 2) with a matrix in blocks, `[block][dim / 2][BLOCK]`, as (row, block · `BLOCK`).
pub fn project(rows: &[Pair], n_pairs: usize, matrix: &[Pair], out: &mut [i32]) {
    let n_columns = matrix.len() / n_pairs;
    for (row, out) in rows
        .chunks_exact(n_pairs)
        .zip(out.chunks_exact_mut(n_columns))
    {
        let blocks = matrix.chunks_exact(n_pairs * BLOCK);
        for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
            *out = [0; BLOCK];
            for (own, line) in row.iter().zip(block.as_chunks::<BLOCK>().0) {
                for (sum, pair) in out.iter_mut().zip(line) {
                    let products = [0, 1].map(|at| i32::from(own[at]) * i32::from(pair[at]));
                    *sum += products[0] + products[1];
                }
            }
        }
    }
}

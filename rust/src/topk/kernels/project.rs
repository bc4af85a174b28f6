//! Rows times a matrix: one loop, compiled for each set of instructions.

/// Columns of a block of the matrix.
pub const BLOCK: usize = 32;

/// Parts that the sums of a single row are made in, so that products do not wait for each other.
const CHAINS: usize = 4;

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
        for (number, block) in matrix.chunks_exact(dim * BLOCK).enumerate() {
            some::<R>(rows, dim, block, number, out, step);
        }
    }
    for (row, out) in few.chunks_exact(dim).zip(last.chunks_exact_mut(n_columns)) {
        let blocks = matrix.chunks_exact(dim * BLOCK);
        for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
            *out = one(row, block, step);
        }
    }
}

/// `R` rows times block number `number`.
#[inline(always)]
fn some<const R: usize>(
    rows: &[f32],
    dim: usize,
    block: &[f32],
    number: usize,
    out: &mut [f32],
    step: impl Fn(f32, f32, f32) -> f32 + Copy,
) {
    let n_columns = out.len() / R;
    let rows: [&[f32]; R] = std::array::from_fn(|row| &rows[row * dim..][..dim]);
    let mut sums = [[0.0_f32; BLOCK]; R];
    for (column, values) in block.as_chunks::<BLOCK>().0.iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(&rows) {
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum = step(*sum, row[column], value);
            }
        }
    }
    for (sums, out) in sums.iter().zip(out.chunks_exact_mut(n_columns)) {
        out[number * BLOCK..][..BLOCK].copy_from_slice(sums);
    }
}

/// A row times a block.
#[inline(always)]
fn one(row: &[f32], block: &[f32], step: impl Fn(f32, f32, f32) -> f32 + Copy) -> [f32; BLOCK] {
    let mut chains = [[0.0_f32; BLOCK]; CHAINS];
    let add = |sums: &mut [f32; BLOCK], own: f32, values: &[f32; BLOCK]| {
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum = step(*sum, own, value);
        }
    };
    let (fours, rest) = row.as_chunks::<CHAINS>();
    let (lines, last) = block.as_chunks::<BLOCK>().0.as_chunks::<CHAINS>();
    for (four, lines) in fours.iter().zip(lines) {
        for (sums, (&own, values)) in chains.iter_mut().zip(four.iter().zip(lines)) {
            add(sums, own, values);
        }
    }
    for (&own, values) in rest.iter().zip(last) {
        add(&mut chains[0], own, values);
    }
    let mut sums = chains[0];
    for others in &chains[1..] {
        for (sum, &other) in sums.iter_mut().zip(others) {
            *sum += other;
        }
    }
    sums
}

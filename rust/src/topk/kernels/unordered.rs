//! Sums in float64 whose terms are added in any order: the same loops, compiled for each set of instructions.

/// Sums that run side by side.
const SUMS: usize = 32;

/// Sum of the products, each of which `step` adds to a sum.
#[inline(always)]
pub fn dot(row: &[f32], query: &[f64], step: impl Fn(f64, f64, f64) -> f64 + Copy) -> f64 {
    let mut sums = [0.0; SUMS];
    let ((rows, rest), (queries, last)) = (row.as_chunks::<SUMS>(), query.as_chunks::<SUMS>());
    for (row, query) in rows.iter().zip(queries) {
        for ((sum, &value), &query) in sums.iter_mut().zip(row).zip(query) {
            *sum = step(*sum, f64::from(value), query);
        }
    }
    for ((sum, &value), &query) in sums.iter_mut().zip(rest).zip(last) {
        *sum = step(*sum, f64::from(value), query);
    }
    total(sums)
}

/// Sum of the squared differences, whose squares `step` adds to a sum.
#[inline(always)]
pub fn squared_distance(
    row: &[f32],
    query: &[f64],
    step: impl Fn(f64, f64, f64) -> f64 + Copy,
) -> f64 {
    let mut sums = [0.0; SUMS];
    let ((rows, rest), (queries, last)) = (row.as_chunks::<SUMS>(), query.as_chunks::<SUMS>());
    for (row, query) in rows.iter().zip(queries) {
        for ((sum, &value), &query) in sums.iter_mut().zip(row).zip(query) {
            let difference = query - f64::from(value);
            *sum = step(*sum, difference, difference);
        }
    }
    for ((sum, &value), &query) in sums.iter_mut().zip(rest).zip(last) {
        let difference = query - f64::from(value);
        *sum = step(*sum, difference, difference);
    }
    total(sums)
}

/// Pairs, and pairs of pairs.
#[inline(always)]
fn total(mut sums: [f64; SUMS]) -> f64 {
    let mut n = SUMS;
    while n > 1 {
        n /= 2;
        for at in 0..n {
            sums[at] += sums[at + n];
        }
    }
    sums[0]
}

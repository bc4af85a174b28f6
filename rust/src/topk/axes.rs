//! Which directions the scan looks at first, and whether it is worth it.
//!
//! Neither choice can make a list wrong; both decide how long it takes to find.

use ndarray::{Array2, ArrayView2};

use super::kernels::Kernels;
use super::space::Axes;

/// Items that the axes are made for.
const SAMPLE: usize = 4096;
/// Sessions of four items that stand for queries.
const QUERIES: usize = 48;
const EVENTS: usize = 4;
/// Items in a list that stands for all lists.
const PLACES: f64 = 20.0;
const ROUNDS: usize = 5;

/// Numbers of axes that a scan may have.
const CHOICES: [usize; 8] = [64, 96, 128, 160, 192, 224, 256, 320];

/// A fair sample of at most [`SAMPLE`] rows: every so many-th.
pub fn sample(n_items: usize) -> impl Iterator<Item = usize> {
    let n = n_items.min(SAMPLE);
    (0..n).map(move |place| place * n_items / n)
}

/// What products of tiles cost beside those of registers.
const TILES: f64 = 0.25;

/// Axes for these centred rows, or none where a scan of all dimensions is cheaper. `cached`: the items' bytes
/// stay in the cache, where products and not memory limit a scan.
pub fn choose(
    rows: &[f32],
    dim: usize,
    n_items: usize,
    cached: bool,
    kernels: Kernels,
) -> Option<Axes> {
    let product = if cached && kernels.has_tiles() {
        TILES
    } else {
        1.0
    };
    let n_rows = rows.len() / dim;
    let most = CHOICES.into_iter().filter(|&n| n * 4 <= dim * 3).max()?;
    if n_rows < 2 * most {
        return None;
    }
    let rows = ArrayView2::from_shape((n_rows, dim), rows).ok()?;
    let axes = leading(&rows, most);
    let (n_axes, front) = cheapest(&rows, &axes.view(), n_items, cached, product)?;
    // Turned at random within what they span: coordinates of one size lose least by 8 bits of one step.
    // What few queries read and the rest keep their spans.
    let mut turned = axes.slice(ndarray::s![.., ..n_axes]).to_owned();
    for part in [0..front, front..n_axes] {
        let mut part = turned.slice_mut(ndarray::s![.., part]);
        let n = part.ncols();
        let other = part.dot(&noise(n, n));
        part.assign(&other);
    }
    orthonormalise(&mut turned);
    Some(Axes::new(&turned.view(), front))
}

/// The leading principal directions as columns, by subspace iteration on the rows' second moments.
fn leading(rows: &ArrayView2<'_, f32>, n_axes: usize) -> Array2<f32> {
    let moments = rows.t().dot(rows);
    let dim = rows.ncols();
    let mut axes = noise(dim, n_axes);
    for _ in 0..ROUNDS {
        axes = moments.dot(&axes);
        orthonormalise(&mut axes);
    }
    axes
}

/// Numbers that lean on no direction, hashes of their place.
fn noise(n_rows: usize, n_columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((n_rows, n_columns), |(i, j)| {
        // A sum of two is closer to normal, whose directions are even.
        let uniform = |number: usize| {
            let hash = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (hash >> 40) as f32 / 16_777_216.0 - 0.5
        };
        let place = 2 * (i * n_columns + j);
        uniform(place) + uniform(place + 1)
    })
}

/// Gram–Schmidt, twice for each column, in float64. A column that the others span, as there are where items
/// have fewer directions than axes, gives way to the first unit vector that they do not.
fn orthonormalise(axes: &mut Array2<f32>) {
    let dim = axes.nrows();
    let mut done: Vec<Vec<f64>> = Vec::with_capacity(axes.ncols());
    for mut column in axes.columns_mut() {
        let mut values: Vec<f64> = column.iter().map(|&value| f64::from(value)).collect();
        let mut units = 0..dim;
        loop {
            let before = squared(&values).sqrt();
            for _ in 0..2 {
                for other in &done {
                    let along: f64 = values.iter().zip(other).map(|(a, b)| a * b).sum();
                    for (value, other) in values.iter_mut().zip(other) {
                        *value -= along * other;
                    }
                }
            }
            let length = squared(&values).sqrt();
            if length > 1e-4 * before {
                for value in &mut values {
                    *value /= length;
                }
                break;
            }
            let Some(unit) = units.next() else { break };
            values.fill(0.0);
            values[unit] = 1.0;
        }
        for (&value, out) in values.iter().zip(&mut column) {
            *out = value as f32;
        }
        done.push(values);
    }
}

fn squared(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum()
}

/// The numbers of axes with the lowest costs for many queries and, among the first of these, for few (all of
/// them where the cache holds the items: a scan then does not wait for memory); `None` if a scan of all
/// dimensions costs less for many.
///
/// Costs are in steps of 64 byte products of registers; a step of the scan costs `product`. An item costs its
/// scan; one that survives costs a look at all its dimensions, far from where the scan reads, and is taken to
/// cost another scan of its panel, which it seldom does.
fn cheapest(
    rows: &ArrayView2<'_, f32>,
    axes: &ArrayView2<'_, f32>,
    n_items: usize,
    cached: bool,
    product: f64,
) -> Option<(usize, usize)> {
    const OTHER: f64 = 0.3;
    const LOOK: f64 = 220.0;
    /// Few queries wait for memory: a step is a line of it, and a survivor costs so many.
    const LINES: f64 = 40.0;
    /// A rounded vector differs from the vector by about this share of its length.
    const ROUNDING: f32 = 0.008;
    let (n_rows, dim) = rows.dim();
    let queries = Array2::from_shape_fn((QUERIES, dim), |(query, column)| {
        let (first, second) = (query * 37 % n_rows, (query * 101 + n_rows / 2) % n_rows);
        rows[[first, column]] + rows[[second, column]]
    });
    let (whole, asked) = (rows.dot(axes), queries.dot(axes));
    let exact = queries.dot(&rows.t());
    // A session's own items come first.
    let place = (PLACES * n_rows as f64 / n_items as f64).ceil() as usize + EVENTS;
    let lengths = |matrix: &ArrayView2<'_, f32>| -> Vec<f32> {
        matrix.rows().into_iter().map(|row| row.dot(&row)).collect()
    };
    let (all, all_asked) = (lengths(rows), lengths(&queries.view()));
    let survivors = |n_axes: usize| {
        let (items, asked) = (
            whole.slice(ndarray::s![.., ..n_axes]),
            asked.slice(ndarray::s![.., ..n_axes]),
        );
        let scanned = asked.dot(&items.t());
        let (parts, parts_asked) = (lengths(&items), lengths(&asked));
        let mut n_survivors = 0;
        for query in 0..QUERIES {
            let mut scores = exact.row(query).to_vec();
            scores.sort_unstable_by(|a, b| b.total_cmp(a));
            let floor = scores[place.min(n_rows) - 1];
            let left = (all_asked[query] - parts_asked[query]).max(0.0);
            n_survivors += (0..n_rows)
                .filter(|&item| {
                    let rest = (left * (all[item] - parts[item]).max(0.0)).sqrt();
                    let rounding = 2.0 * ROUNDING * (parts[item] * parts_asked[query]).sqrt();
                    scanned[[query, item]] + rest + rounding >= floor
                })
                .count();
        }
        n_survivors as f64 / (QUERIES * n_rows) as f64
    };
    let left: Vec<(usize, f64)> = CHOICES
        .into_iter()
        .filter(|&n| n <= axes.ncols())
        .map(|n| (n, survivors(n)))
        .collect();
    let least = |most: usize, cost: &dyn Fn(usize, f64) -> f64| {
        let choices = left.iter().filter(|&&(n, _)| n <= most);
        choices
            .map(|&(n, survivors)| (cost(n, survivors), n))
            .min_by(|left, right| left.0.total_cmp(&right.0))
    };
    let (cost, n_axes) = least(usize::MAX, &|n, survivors| {
        let scan = n as f64 / 64.0;
        product * scan + OTHER + survivors * (16.0 * scan + LOOK)
    })?;
    let plain = product * dim as f64 / 64.0 + OTHER;
    let front = if cached {
        n_axes
    } else {
        least(n_axes, &|n, survivors| n as f64 / 64.0 + survivors * LINES)?.1
    };
    (cost < plain).then_some((n_axes, front))
}

//! Which directions the scan looks at first, and whether it is worth it.
//!
//! Neither choice can make a list wrong; both decide how long it takes to find.

use ndarray::{Array2, ArrayView2, Axis};

use super::kernels::{Kernels, Layout};
use super::project::{Axes, Front, MOST_KEPT};

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
/// How many of a front's may have 8 bits where the others have 4.
const FINE: [usize; 3] = [32, 64, 96];

/// A fair sample of at most [`SAMPLE`] rows: every so many-th.
pub fn sample(n_items: usize) -> impl Iterator<Item = usize> {
    let n = n_items.min(SAMPLE);
    (0..n).map(move |place| place * n_items / n)
}

/// What products of tiles cost beside those of registers.
const TILES: f64 = 0.25;

/// A shared cache holds so many times more than one that is taken to be a scan's own.
const SHARED: usize = 4;
/// Bytes of a usual front.
const FRONT: usize = 128;

/// How fronts are read from somewhere.
struct Reading {
    /// So many queries read them. More of them wait less for the panels than for what fronts leave.
    few: usize,
    /// What a line of 4-bit values costs, in lines of 8-bit values.
    line: f64,
    /// What a survivor costs, in the same.
    survivor: f64,
}

/// A core's own caches hold fronts, and a single query finds survivors item by item.
const FROM_CACHE: Reading = Reading {
    few: 1,
    line: 1.5,
    survivor: 20.0,
};
/// A shared cache brings lines quickly, but does not hold a survivor's dimensions.
const FROM_SHARED_CACHE: Reading = Reading {
    few: 2,
    line: 1.5,
    survivor: 75.0,
};
/// Memory is slow to bring either.
const FROM_MEMORY: Reading = Reading {
    few: 8,
    line: 1.2,
    survivor: 40.0,
};

/// Axes for these centred rows, or none where a scan of all dimensions is cheaper. A `cache` holds so many bytes of items.
pub fn choose(
    rows: &[f32],
    dim: usize,
    n_items: usize,
    cache: usize,
    kernels: Kernels,
) -> Option<Axes> {
    let cached = n_items * dim <= cache;
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
    let trial = Trial::new(&rows, &axes.view(), n_items);
    let n_axes = cheapest(&trial, dim, product)?;
    let reading = if cached {
        FROM_CACHE
    } else if n_items * FRONT <= cache.saturating_mul(SHARED) {
        FROM_SHARED_CACHE
    } else {
        FROM_MEMORY
    };
    let front = cheapest_front(&trial, n_axes, &reading)?;
    let front = Front {
        layout: front,
        few: reading.few,
        most_kept: MOST_KEPT,
    };
    Some(turned(&axes, n_axes, front))
}

/// So many axes for these centred rows, whatever they cost.
pub fn of(rows: &[f32], dim: usize, n_axes: usize, front: Front) -> Option<Axes> {
    let rows = ArrayView2::from_shape((rows.len() / dim, dim), rows).ok()?;
    Some(turned(&leading(&rows, n_axes), n_axes, front))
}

/// The first axes, turned at random within what they span: coordinates of one size lose least by bits of one step.
/// The parts of what few queries read and the rest keep their spans.
fn turned(axes: &Array2<f32>, n_axes: usize, front: Front) -> Axes {
    let mut turned = axes.slice(ndarray::s![.., ..n_axes]).to_owned();
    for part in [
        0..front.layout.fine,
        front.layout.fine..front.layout.width(),
        front.layout.width()..n_axes,
    ] {
        let mut part = turned.slice_mut(ndarray::s![.., part]);
        let n = part.ncols();
        let other = part.dot(&noise(n, n));
        part.assign(&other);
    }
    orthonormalise(&mut turned);
    Axes::new(&turned.view(), front)
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

/// The number of axes with the lowest costs for many queries; `None` if a scan of all dimensions costs less.
///
/// Costs are in steps of 64 byte products of registers; a step of the scan costs `product`. An item costs its
/// scan; one that survives costs a look at all its dimensions, far from where the scan reads, and is taken to
/// cost another scan of its panel, which it seldom does.
fn cheapest(trial: &Trial, dim: usize, product: f64) -> Option<usize> {
    const OTHER: f64 = 0.3;
    const LOOK: f64 = 220.0;
    let cost = |n_axes: usize| {
        let scan = n_axes as f64 / 64.0;
        let survivors = trial.survivors(Layout::fine(n_axes));
        product * scan + OTHER + survivors * (16.0 * scan + LOOK)
    };
    let (n_axes, cost) = least(trial.choices(usize::MAX), cost)?;
    let plain = product * dim as f64 / 64.0 + OTHER;
    (cost < plain).then_some(n_axes)
}

/// The front of so many axes with the lowest costs for few queries, in lines of 8-bit values that a core reads.
fn cheapest_front(trial: &Trial, n_axes: usize, reading: &Reading) -> Option<Layout> {
    let layouts = trial.choices(n_axes).flat_map(|n| {
        let fine = FINE.into_iter().filter(move |&fine| fine < n).chain([n]);
        fine.map(move |fine| Layout {
            fine,
            coarse: n - fine,
        })
    });
    let cost = |layout: Layout| {
        let lines = layout.fine as f64 / 64.0 + reading.line * layout.coarse as f64 / 128.0;
        lines + reading.survivor * trial.survivors(layout)
    };
    Some(least(layouts, cost)?.0)
}

/// What costs least, and how much.
fn least<T: Copy>(of: impl Iterator<Item = T>, cost: impl Fn(T) -> f64) -> Option<(T, f64)> {
    let costs = of.map(|each| (each, cost(each)));
    costs.min_by(|left, right| left.1.total_cmp(&right.1))
}

/// Searches of the sample.
struct Trial {
    /// Coordinates of items and of queries.
    items: Array2<f32>,
    queries: Array2<f32>,
    /// Squared lengths of both in all dimensions.
    wholes: [Vec<f32>; 2],
    /// What each query's list begins with.
    floors: Vec<f32>,
}

impl Trial {
    fn new(rows: &ArrayView2<'_, f32>, axes: &ArrayView2<'_, f32>, n_items: usize) -> Self {
        let (n_rows, dim) = rows.dim();
        let queries = Array2::from_shape_fn((QUERIES, dim), |(query, column)| {
            let (first, second) = (query * 37 % n_rows, (query * 101 + n_rows / 2) % n_rows);
            rows[[first, column]] + rows[[second, column]]
        });
        // A session's own items come first.
        let place = (PLACES * n_rows as f64 / n_items as f64).ceil() as usize + EVENTS;
        let exact = queries.dot(&rows.t());
        let floors = exact.rows().into_iter().map(|scores| {
            let mut scores = scores.to_vec();
            scores.sort_unstable_by(|a, b| b.total_cmp(a));
            scores[place.min(n_rows) - 1]
        });
        Self {
            items: rows.dot(axes),
            queries: queries.dot(axes),
            wholes: [squares(rows), squares(&queries.view())],
            floors: floors.collect(),
        }
    }

    /// Numbers of axes to choose from.
    fn choices(&self, most: usize) -> impl Iterator<Item = usize> {
        let most = most.min(self.items.ncols());
        CHOICES.into_iter().filter(move |&n| n <= most)
    }

    /// Share of the items that a scan of this layout leaves.
    fn survivors(&self, layout: Layout) -> f64 {
        /// What rounding takes from 8-bit and from 4-bit values, as a share of their length.
        const ROUNDING: f32 = 0.008;
        const COARSE_ROUNDING: f32 = 0.15;
        let parts = |all: &Array2<f32>| {
            let scanned = all.slice(ndarray::s![.., ..layout.width()]).to_owned();
            let (fine, coarse) = scanned.view().split_at(Axis(1), layout.fine);
            let squares = [squares(&fine), squares(&coarse)];
            (scanned, squares)
        };
        let (items, of_items) = parts(&self.items);
        let (queries, of_queries) = parts(&self.queries);
        let scores = queries.dot(&items.t());
        let mut n_survivors = 0;
        for (query, scores) in scores.rows().into_iter().enumerate() {
            let own = [0, 1].map(|part| of_queries[part][query]);
            let left = (self.wholes[1][query] - own[0] - own[1]).max(0.0);
            let reaches = |item: usize| {
                let [fine, coarse] = [0, 1].map(|part| of_items[part][item]);
                let rest = (left * (self.wholes[0][item] - fine - coarse).max(0.0)).sqrt();
                // A query's values are fine, all of them.
                let rounding = ROUNDING * ((fine + coarse) * (own[0] + own[1])).sqrt()
                    + ROUNDING * (fine * own[0]).sqrt()
                    + COARSE_ROUNDING * (coarse * own[1]).sqrt();
                scores[item] + rest + rounding >= self.floors[query]
            };
            n_survivors += (0..items.nrows()).filter(|&item| reaches(item)).count();
        }
        n_survivors as f64 / (QUERIES * items.nrows()) as f64
    }
}

/// Squared lengths.
fn squares(rows: &ArrayView2<'_, f32>) -> Vec<f32> {
    rows.rows().into_iter().map(|row| row.dot(&row)).collect()
}

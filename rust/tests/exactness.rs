//! Top-k against a full scan by the canonical score, bit for bit, on every path of this machine.
//!
//! `LLMSEQ_EXACT_QUERIES` says how many queries each path answers; `make test-exact` asks for a million.

// The environment is changed by the only test of this program, in its only thread.
#![allow(unsafe_code)]

use llmseq_core::cpu::Cpu;
use llmseq_core::matrix::Matrix;
use llmseq_core::parallel::Stop;
use llmseq_core::sessions::Sessions;
use llmseq_core::topk::{Allowed, Front, ItemIndex, Layout, Similarity};

/// Numbers that look random, the same at every run.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 11) as usize % n
    }

    /// About normal, as a sum of uniform numbers.
    fn normal(&mut self) -> f32 {
        (0..4)
            .map(|_| (self.next() >> 40) as f32 / 16_777_216.0 - 0.5)
            .sum::<f32>()
            * 1.7
    }

    fn normals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.normal()).collect()
    }
}

const KINDS: [&str; 12] = [
    "normal",
    "unit",
    "near ties",
    "duplicates",
    "low rank, large offset",
    "huge",
    "tiny",
    "subnormal",
    "mixed lengths",
    "whole numbers",
    "one of many",
    "decaying spectrum",
];

/// Rows of one kind.
fn rows(kind: &str, n: usize, dim: usize, rng: &mut Rng) -> Vec<f32> {
    let mut values = rng.normals(n * dim);
    let scale = |values: &mut Vec<f32>, factor: f32| values.iter_mut().for_each(|v| *v *= factor);
    match kind {
        "unit" => {
            for row in values.chunks_exact_mut(dim) {
                let length = row.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-9);
                for value in row {
                    *value /= length;
                }
            }
        }
        "near ties" | "duplicates" => {
            let centres = rng.normals(3 * dim);
            let noise = if kind == "duplicates" { 0.0 } else { 3e-7 };
            for row in values.chunks_exact_mut(dim) {
                let centre = &centres[rng.below(3) * dim..];
                for (value, &centre) in row.iter_mut().zip(centre) {
                    *value = centre * (1.0 + noise * *value);
                }
            }
        }
        "low rank, large offset" => {
            let rank = 1 + rng.below(4);
            let (axes, offset) = (rng.normals(rank * dim), rng.normals(dim));
            for row in values.chunks_exact_mut(dim) {
                let weights = rng.normals(rank);
                for (column, value) in row.iter_mut().enumerate() {
                    let along = weights.iter().enumerate();
                    *value = 100.0 * offset[column]
                        + along
                            .map(|(axis, w)| w * axes[axis * dim + column])
                            .sum::<f32>();
                }
            }
        }
        "huge" => scale(&mut values, 1e37 / dim as f32),
        "tiny" => scale(&mut values, 1e-25),
        "subnormal" => scale(&mut values, 3e-42),
        "mixed lengths" => {
            for row in values.chunks_exact_mut(dim) {
                let factor = 10.0_f32.powi(rng.below(24) as i32 - 12);
                for value in row {
                    *value *= factor;
                }
            }
        }
        "whole numbers" => values.iter_mut().for_each(|v| *v = (*v * 2.0).round()),
        "one of many" => {
            for row in values.chunks_exact_mut(dim) {
                let kept = rng.below(dim);
                for (column, value) in row.iter_mut().enumerate() {
                    *value *= f32::from(u8::from(column == kept));
                }
            }
        }
        "decaying spectrum" => {
            for row in values.chunks_exact_mut(dim) {
                for (column, value) in row.iter_mut().enumerate() {
                    *value /= 1.0 + column as f32 / 4.0;
                }
            }
        }
        _ => {}
    }
    values
}

/// The list by sorting all canonical scores.
fn full_scan(
    similarity: Similarity,
    items: &[f32],
    query: &[f32],
    allowed: impl Fn(usize) -> bool,
    k: usize,
) -> Vec<(i32, u32)> {
    let unit = |row: &[f32]| -> Vec<f32> {
        let length = row
            .iter()
            .map(|&v| f64::from(v) * f64::from(v))
            .sum::<f64>()
            .sqrt();
        if similarity != Similarity::Cosine || length == 0.0 {
            return row.to_vec();
        }
        row.iter()
            .map(|&v| (f64::from(v) / length) as f32)
            .collect()
    };
    let query = unit(query);
    let rows = items.chunks_exact(query.len()).enumerate();
    let mut scored: Vec<(f32, usize)> = rows
        .filter(|(item, _)| allowed(*item))
        .map(|(item, row)| {
            let pairs = query.iter().zip(unit(row)).collect::<Vec<_>>();
            let score = if similarity == Similarity::Euclidean {
                let squares = pairs.iter().map(|&(&a, b)| {
                    let difference = f64::from(a) - f64::from(b);
                    difference * difference
                });
                1.0 / (1.0 + squares.sum::<f64>().sqrt())
            } else {
                let products = pairs.iter().map(|&(&a, b)| f64::from(a) * f64::from(b));
                products.fold(0.0, |sum, product| sum + product)
            };
            (score as f32 + 0.0, item)
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let first = scored.into_iter().take(k);
    first
        .map(|(score, item)| (item as i32, score.to_bits()))
        .collect()
}

#[test]
fn lists_are_those_of_a_full_scan() {
    let wanted: usize = std::env::var("LLMSEQ_EXACT_QUERIES")
        .map_or(800, |text| text.parse().expect("a number of queries"));
    for &path in Cpu::available() {
        // SAFETY: no other thread reads the environment meanwhile.
        unsafe { std::env::set_var(Cpu::VARIABLE, path.name()) };
        let mut rng = Rng(0x1234_5678_9abc_def1);
        let mut answered = 0;
        let mut round = 0;
        while answered < wanted {
            answered += one_set(round, path.name(), &mut rng);
            round += 1;
        }
        println!("{}: {answered} queries", path.name());
    }
}

/// Answers and checks the queries of one set of items.
fn one_set(round: usize, path: &str, rng: &mut Rng) -> usize {
    let kind = KINDS[round % KINDS.len()];
    let similarity =
        [Similarity::Dot, Similarity::Cosine, Similarity::Euclidean][round / KINDS.len() % 3];
    // Every eighth set is large enough for axes.
    let large = rng.below(8) == 0;
    let dim = if large {
        86 + rng.below(64)
    } else {
        1 + rng.below(48)
    };
    let n_items = if large {
        200 + rng.below(1200)
    } else {
        1 + rng.below(700)
    };
    let n_queries = [1 + rng.below(8), 1 + rng.below(8), 20, 64, 150][rng.below(5)];
    let k = [1, 3, 20, 20, 100, 1000][rng.below(6)];
    let items = rows(kind, n_items, dim, rng);
    let other = KINDS[rng.below(KINDS.len())];
    let kind_of_queries = if rng.below(4) == 0 { other } else { kind };
    let mut queries = rows(kind_of_queries, n_queries, dim, rng);
    if rng.below(2) == 0 {
        // A query that is an item.
        let item = rng.below(n_items) * dim;
        queries[..dim].copy_from_slice(&items[item..item + dim]);
    }
    let mask: Vec<bool> = (0..n_items).map(|_| rng.below(4) > 0).collect();
    let masked = rng.below(3) == 0;
    let mut excluded = Vec::new();
    let mut offsets = vec![0_i64];
    for _ in 0..n_queries {
        for _ in 0..rng.below(12) {
            excluded.push(rng.below(n_items) as i32);
        }
        offsets.push(excluded.len() as i64);
    }
    let excluding = rng.below(2) == 0;
    let exclude = Sessions::new(&excluded, &offsets, n_items, "exclude").expect("rows");
    // Half of the sets that are wide enough are scanned by a few axes, with fronts of all kinds.
    let n_axes = 32 * rng.below(dim / 32 + 1);
    let coarse = 8 * rng.below(n_axes / 8 + 1);
    let fine = 4 * rng.below((n_axes - coarse) / 4 + 1);
    let front = Front {
        layout: Layout { fine, coarse },
        few: 16,
        most_kept: 1000 * rng.below(2),
    };
    let with_axes = front.layout.is_whole() && rng.below(2) == 0;
    let matrix = Matrix::new(&items, n_items, dim, "items").expect("finite");
    let index = if with_axes {
        ItemIndex::with_axes(matrix, similarity, n_axes, front)
    } else {
        ItemIndex::new(matrix, similarity)
    };
    let index = index.expect("items");
    let allowed = Allowed {
        exclude: excluding.then_some(exclude),
        candidates: masked.then_some(&mask[..]),
    };
    let asked = Matrix::new(&queries, n_queries, dim, "queries").expect("finite");
    let lists = index
        .search(asked, k, allowed, 2, &Stop::default())
        .expect("lists");
    for (row, query) in queries.chunks_exact(dim).enumerate() {
        let left_out = exclude.row(row);
        let expected = full_scan(
            similarity,
            &items,
            query,
            |item| !(masked && !mask[item] || excluding && left_out.contains(&(item as i32))),
            k,
        );
        let found = &lists.items[row * k..(row + 1) * k];
        let scores = &lists.scores[row * k..(row + 1) * k];
        let listed = found.iter().zip(scores).filter(|(item, _)| **item >= 0);
        let listed: Vec<(i32, u32)> = listed.map(|(&item, s)| (item, s.to_bits())).collect();
        assert_eq!(
            listed, expected,
            "{path}, round {round}: {kind} × {kind_of_queries}, {similarity:?}, {n_items} × {dim}, k {k}, row {row}"
        );
    }
    n_queries
}

//! Pooling, metrics and fusion equal naive loops bit for bit, on extreme values too, for any number of threads.

use std::collections::{BTreeMap, HashSet};

use llmseq_core::fusion::{Fusion, Member, fuse_lists};
use llmseq_core::lists::MISSING;
use llmseq_core::matrix::Matrix;
use llmseq_core::metrics::{Against, ListTable, evaluate_lists};
use llmseq_core::parallel::{Stop, pool};
use llmseq_core::pooling::{Pooling, pool_sessions};
use llmseq_core::sessions::Sessions;
use proptest::prelude::*;
use proptest::sample::select;

const N_ITEMS: usize = 40;

/// Rows of items as flat arrays.
fn ragged(rows: &[Vec<i32>]) -> (Vec<i32>, Vec<i64>) {
    let mut offsets = vec![0];
    for row in rows {
        offsets.push(offsets[offsets.len() - 1] + row.len() as i64);
    }
    (rows.concat(), offsets)
}

/// Values that tie, cancel, vanish and overflow in float32 sums.
fn value() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -1.0_f32..1.0,
        2 => select(vec![0.0, -0.0, 1.0, -1.0, 0.1, 1.000_000_1]),
        1 => select(vec![1e-45, -1e-40, 1e-20, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e19]),
    ]
}

/// Lists of `k` places that hold up to `k` different items.
fn lists(n: usize, k: usize) -> impl Strategy<Value = Vec<Vec<i32>>> {
    let list = (
        Just((0..N_ITEMS as i32).collect::<Vec<_>>()).prop_shuffle(),
        0..=k,
    );
    let list = list.prop_map(move |(mut items, held)| {
        items.truncate(held);
        items.resize(k, MISSING);
        items
    });
    prop::collection::vec(list, n)
}

fn held(list: &[i32]) -> Vec<i32> {
    list.iter().copied().filter(|&item| item >= 0).collect()
}

fn weight(pooling: &str, i: f64, n: f64) -> f64 {
    let scaled = f64::max(1.0 - (i - 1.0) / n, 1e-5);
    match pooling {
        "last" => f64::from(u8::from(i == 1.0)),
        "mean" => 1.0,
        "constant_linear" => f64::max(1.0 - 0.1 * (i - 1.0), 1e-5),
        "scaling_linear" => scaled,
        "scaling_quadratic" => scaled * scaled,
        "scaling_cubic" => scaled * scaled * scaled,
        "log" => 1.0 / (i.ln() + 1.0),
        "harmonic" => 1.0 / i,
        _ => 1.0 / (i * i),
    }
}

fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, |sum, value| sum + value)
}

/// Metrics of one list at one cut-off, in the order of their names.
fn naive_metrics(list: &[i32], targets: &[i32], k: usize, counts: &[i64]) -> Vec<f64> {
    let targets: HashSet<i32> = targets.iter().copied().collect();
    let top: Vec<i32> = held(list).into_iter().take(k).collect();
    let ranks = (1..).zip(&top).filter(|(_, item)| targets.contains(item));
    let ranks: Vec<usize> = ranks.map(|(rank, _)| rank).collect();
    let discount = |rank: usize| 1.0 / ((rank + 1) as f64).log2();
    let possible = targets.len().min(k);
    let mut popular: Vec<usize> = (0..counts.len()).collect();
    popular.sort_by_key(|&item| -i128::from(counts[item]));
    popular.truncate(k);
    let surprising = |&rank: &usize| !popular.contains(&(top[rank - 1] as usize));
    let total = counts.iter().map(|&count| i128::from(count)).sum::<i128>() as f64;
    let information = |&item: &i32| -(counts[item as usize].max(1) as f64 / total).log2();
    let n = top.len() as f64;
    let listed = sum(top.iter().map(|&item| counts[item as usize] as f64));
    let precisions = (1..)
        .zip(&ranks)
        .map(|(n, &rank)| f64::from(n) / rank as f64);
    vec![
        sum(ranks.iter().map(|&rank| discount(rank))) / sum((1..=possible).map(discount)),
        f64::from(u8::from(!ranks.is_empty())),
        ranks.first().map_or(0.0, |&rank| 1.0 / rank as f64),
        ranks.len() as f64 / targets.len() as f64,
        ranks.len() as f64 / k as f64,
        sum(precisions) / possible as f64,
        f64::from(u8::from(ranks.iter().any(surprising))),
        sum(top.iter().map(information)) / n,
        listed / n / (total / counts.len() as f64),
    ]
}

/// Coverage, and Gini as the mean difference of all pairs over twice the mean.
fn naive_exposure(lists: &[Vec<i32>], k: usize) -> (f64, f64) {
    let mut counts = [0_i64; N_ITEMS];
    for item in lists.iter().flat_map(|list| held(list).into_iter().take(k)) {
        counts[item as usize] += 1;
    }
    let listed = counts.iter().filter(|&&count| count > 0).count();
    let differences = counts
        .iter()
        .flat_map(|a| counts.iter().map(move |b| (a - b).abs()));
    let (differences, total) = (
        differences.sum::<i64>() as f64,
        counts.iter().sum::<i64>() as f64,
    );
    let gini = if total > 0.0 {
        differences / (2.0 * N_ITEMS as f64 * total)
    } else {
        0.0
    };
    (listed as f64 / N_ITEMS as f64, gini)
}

/// What a list gives each of its items, and what it gives any other.
fn shares(list: &[i32], scores: &[f32], weight: f64, fusion: Fusion, c: f64) -> (Vec<f64>, f64) {
    let n = held(list).len();
    if fusion == Fusion::ReciprocalRank {
        return (
            (1..=n).map(|rank| weight / (c + rank as f64)).collect(),
            0.0,
        );
    }
    let scores: Vec<f64> = scores[..n].iter().map(|&score| f64::from(score)).collect();
    let of = n.max(1) as f64;
    let mean = sum(scores.iter().copied()) / of;
    let deviation = (sum(scores.iter().map(|score| (score - mean) * (score - mean))) / of).sqrt();
    let z = |&score: &f64| {
        if deviation > 0.0 {
            (score - mean) / deviation
        } else {
            0.0
        }
    };
    let shares: Vec<f64> = scores.iter().map(|score| weight * z(score)).collect();
    let lowest = shares.iter().copied().reduce(f64::min).unwrap_or(0.0);
    (shares, lowest)
}

/// Lists of one model, their scores and its weight.
type Model = (Vec<Vec<i32>>, Vec<Vec<f32>>, f64);

fn models(n_sessions: usize) -> impl Strategy<Value = Vec<Model>> {
    let weight = select(vec![0.0, 1.0, 0.3, 1e-300, 1e200]);
    let model = (1_usize..9).prop_flat_map(move |k| {
        let scores = prop::collection::vec(prop::collection::vec(value(), k), n_sessions);
        (lists(n_sessions, k), scores, weight.clone())
    });
    prop::collection::vec(model, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pooling(
        (dim, vectors) in (1_usize..80).prop_flat_map(|dim| {
            (Just(dim), prop::collection::vec(value(), dim * 5))
        }),
        rows in prop::collection::vec(prop::collection::vec(0..5_i32, 0..30), 0..40),
        name in select(Pooling::NAMES.to_vec()),
        n_threads in 1_usize..4,
    ) {
        let table = Matrix::new(&vectors, 5, dim, "vectors").unwrap();
        let (items, offsets) = ragged(&rows);
        let sessions = Sessions::new(&items, &offsets, 5, "sessions").unwrap();
        let kind = Pooling::parse(name).unwrap();
        let found = pool(n_threads).unwrap().install(|| pool_sessions(table, sessions, kind, &Stop::default()));
        let mut expected = Vec::new();
        for row in &rows {
            let weights = (0..row.len()).map(|place| weight(name, (row.len() - place) as f64, row.len() as f64));
            let weights: Vec<f64> = weights.collect();
            for column in 0..dim {
                let values = row.iter().map(|&item| f64::from(vectors[item as usize * dim + column]));
                let total = sum(weights.iter().copied());
                let value = (sum(values.zip(&weights).map(|(value, weight)| weight * value)) / total) as f32;
                expected.push(if row.is_empty() { 0.0 } else { value });
            }
        }
        prop_assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn metrics(
        (table, targets, counts) in (1_usize..30, 1_usize..N_ITEMS).prop_flat_map(|(n, k)| (
            lists(n, k),
            prop::collection::vec(prop::collection::vec(0..N_ITEMS as i32, 1..6), n),
            prop::collection::vec(select(vec![0, 1, 1, 2, 5, i64::MAX]), N_ITEMS),
        )),
        ks in select(vec![vec![3], vec![20, 1], vec![7, usize::MAX, 2]]),
        n_threads in 1_usize..4,
    ) {
        let (n, k, flat) = (table.len(), table[0].len(), table.concat());
        let counts = if counts.iter().all(|&count| count == 0) { vec![1; N_ITEMS] } else { counts };
        let (items, offsets) = ragged(&targets);
        let wanted = Sessions::new(&items, &offsets, N_ITEMS, "targets").unwrap();
        let lists = ListTable { items: &flat, n_lists: n, k };
        let against = Against { ks: &ks, popularity: Some(&counts), n_items: Some(N_ITEMS) };
        let mut found = vec![0.5; 9 * ks.len() * n];
        let means = pool(n_threads).unwrap().install(|| evaluate_lists(lists, wanted, against, &mut found, &Stop::default()));
        let means = means.unwrap();
        for (at, &k) in ks.iter().enumerate() {
            let rows: Vec<Vec<f64>> = (0..n).map(|row| naive_metrics(&table[row], &targets[row], k, &counts)).collect();
            for metric in 0..9 {
                let column = metric * ks.len() + at;
                let expected: Vec<f64> = rows.iter().map(|values| values[metric]).collect();
                let bits = |values: &[f64]| -> Vec<u64> {
                    values.iter().map(|value| if value.is_nan() { f64::NAN } else { *value }.to_bits()).collect()
                };
                prop_assert_eq!(bits(&found[column * n..][..n]), bits(&expected), "{}", means[column].0);
                let present: Vec<f64> = expected.into_iter().filter(|value| !value.is_nan()).collect();
                let mean = sum(present.iter().copied()) / present.len() as f64;
                prop_assert_eq!(bits(&[means[column].1]), bits(&[mean]), "{}", means[column].0);
            }
            let (coverage, gini) = naive_exposure(&table, k);
            let spread = &means[9 * ks.len()..];
            prop_assert_eq!(spread[at].1, coverage);
            prop_assert!((spread[ks.len() + at].1 - gini).abs() < 1e-12);
        }
    }

    #[test]
    fn fusion(
        models in (1_usize..20).prop_flat_map(models),
        name in select(Fusion::NAMES.to_vec()),
        (k, c) in (1_usize..30, select(vec![0.0, 1.0, 60.5, 1e300])),
        n_threads in 1_usize..4,
    ) {
        let (n, fusion) = (models[0].0.len(), Fusion::parse(name).unwrap());
        let flat: Vec<_> = models.iter().map(|model| (model.0.concat(), model.1.concat())).collect();
        let members = models.iter().zip(&flat).enumerate().map(|(number, (model, (items, scores)))| {
            Member::new(items, scores, model.0[0].len(), model.2, number).unwrap()
        });
        let members: Vec<_> = members.collect();
        let found = pool(n_threads).unwrap().install(|| fuse_lists(&members, n, k, fusion, c, &Stop::default()));
        if models.iter().all(|model| model.2 == 0.0) {
            prop_assert!(found.is_err());
            return Ok(());
        }
        let found = found.unwrap();
        for row in 0..n {
            let given: Vec<_> = models.iter().filter(|model| model.2 > 0.0).map(|model| {
                let (shares, absent) = shares(&model.0[row], &model.1[row], model.2, fusion, c);
                (held(&model.0[row]).into_iter().zip(shares).collect::<BTreeMap<i32, f64>>(), absent)
            }).collect();
            let items: HashSet<i32> = given.iter().flat_map(|(shares, _)| shares.keys().copied()).collect();
            let score = |item: i32| sum(given.iter().map(|(shares, absent)| *shares.get(&item).unwrap_or(absent)));
            let mut expected: Vec<(i32, f32)> = items.into_iter().map(|item| (item, score(item) as f32 + 0.0)).collect();
            expected.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
            expected.resize(k.max(expected.len()), (MISSING, f32::NEG_INFINITY));
            expected.truncate(k);
            let places = row * k..(row + 1) * k;
            let listed = found.items[places.clone()].iter().copied().zip(found.scores[places].iter().copied());
            prop_assert_eq!(listed.collect::<Vec<_>>(), expected);
        }
    }
}

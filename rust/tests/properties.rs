//! Searches against naive loops, on inputs that proptest makes.

use llmseq_core::cooccurrence::{self, CooccurrenceIndex};
use llmseq_core::knn::{Query, Sampling, SessionIndex, SessionSimilarity, Train};
use llmseq_core::lists::MISSING;
use llmseq_core::matrix::Matrix;
use llmseq_core::parallel::{Stop, pool};
use llmseq_core::pooling::Pooling;
use llmseq_core::sessions::Sessions;
use llmseq_core::topk::{Allowed, ItemIndex, Similarity};
use proptest::prelude::*;

const N_ITEMS: usize = 9;

/// Rows of items as flat arrays.
fn ragged(rows: &[Vec<i32>]) -> (Vec<i32>, Vec<i64>) {
    let mut offsets = vec![0];
    for row in rows {
        offsets.push(offsets[offsets.len() - 1] + row.len() as i64);
    }
    (rows.concat(), offsets)
}

fn sessions(n: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<Vec<i32>>> {
    prop::collection::vec(prop::collection::vec(0..N_ITEMS as i32, 0..7), n)
}

/// Values that tie, cancel, vanish and overflow in float32 sums.
fn value() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -1.0_f32..1.0,
        2 => prop::sample::select(vec![0.0, -0.0, 1.0, -1.0, 0.1, 1.000_000_1]),
        1 => prop::sample::select(vec![1e-45, -1e-40, 1e-20, 3e38, -3e38, 1e19]),
    ]
}

/// Sort everything by the canonical score.
fn naive_top_k(
    query: &[f32],
    vectors: &[f32],
    similarity: Similarity,
    excluded: &[i32],
    k: usize,
) -> Vec<(i32, f32)> {
    let unit = |row: &[f32]| -> Vec<f32> {
        let squares = row.iter().map(|&value| f64::from(value) * f64::from(value));
        let norm = squares.fold(0.0, |sum, square| sum + square).sqrt();
        let divide = |&value: &f32| {
            if norm > 0.0 {
                (f64::from(value) / norm) as f32
            } else {
                value
            }
        };
        let is_cosine = similarity == Similarity::Cosine;
        if is_cosine {
            row.iter().map(divide).collect()
        } else {
            row.to_vec()
        }
    };
    let query = unit(query);
    let mut scored: Vec<(i32, f32)> = Vec::new();
    for (item, row) in vectors.chunks(query.len()).enumerate() {
        let mut sum = 0.0;
        for (&a, &b) in query.iter().zip(&unit(row)) {
            let (a, b) = (f64::from(a), f64::from(b));
            sum += if similarity == Similarity::Euclidean {
                (a - b) * (a - b)
            } else {
                a * b
            };
        }
        if similarity == Similarity::Euclidean {
            sum = 1.0 / (1.0 + sum.sqrt());
        }
        if !excluded.contains(&(item as i32)) {
            scored.push((item as i32, sum as f32 + 0.0));
        }
    }
    scored.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    scored.resize(k, (MISSING, f32::NEG_INFINITY));
    scored
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn top_k_equals_sorting(
        (dim, vectors, queries, mask) in prop_oneof![3 => 1_usize..6, 1 => 6_usize..80].prop_flat_map(|dim| (
            Just(dim),
            prop::collection::vec(prop::collection::vec(value(), dim), 1..400).prop_map(|rows| rows.concat()),
            prop::collection::vec(prop::collection::vec(value(), dim), 1..6).prop_map(|rows| rows.concat()),
            prop::option::of(prop::collection::vec(prop::bool::weighted(0.8), 400)),
        )),
        name in prop::sample::select(Similarity::NAMES.to_vec()),
        excluded in prop::collection::vec(0..1_i32, 0..2),
        k in 1_usize..12,
        n_threads in 1_usize..4,
    ) {
        let similarity = Similarity::parse(name).unwrap();
        let items = Matrix::new(&vectors, vectors.len() / dim, dim, "vectors").unwrap();
        let asked = Matrix::new(&queries, queries.len() / dim, dim, "queries").unwrap();
        let (flat, offsets) = ragged(&vec![excluded.clone(); asked.n_rows()]);
        let exclude = Sessions::new(&flat, &offsets, items.n_rows(), "exclude").unwrap();
        let mask = mask.map(|mask| mask[..items.n_rows()].to_vec());
        let allowed = Allowed { exclude: Some(exclude), candidates: mask.as_deref() };
        let barred = (0..items.n_rows() as i32).filter(|&item| mask.as_ref().is_some_and(|mask| !mask[item as usize]));
        let barred: Vec<i32> = barred.chain(excluded).collect();
        let index = ItemIndex::new(items, similarity).unwrap();
        let lists = pool(n_threads).unwrap().install(|| index.search(asked, k, allowed, n_threads, &Stop::default()));
        let lists = lists.unwrap();
        for row in 0..asked.n_rows() {
            let expected = naive_top_k(asked.row(row), &vectors, similarity, &barred, k);
            let found: Vec<(i32, f32)> = (row * k..(row + 1) * k)
                .map(|place| (lists.items[place], lists.scores[place]))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn dot_votes_equal_counting(train in sessions(1..12), prompt in prop::collection::vec(0..N_ITEMS as i32, 0..6)) {
        let (items, offsets) = ragged(&train);
        let sessions = Sessions::new(&items, &offsets, N_ITEMS, "train").unwrap();
        let held = Train { sessions, n_items: N_ITEMS, order: None, newest: None, followers: false, vectors: None };
        let index = SessionIndex::new(&held, &Stop::default()).unwrap();
        let prompts = [0, prompt.len() as i64];
        let prompts = Sessions::new(&prompt, &prompts, N_ITEMS, "prompts").unwrap();
        let query = Query {
            k_items: N_ITEMS, k: 99, sample_size: 99, similarity: SessionSimilarity::Dot, ..Query::default()
        };
        let lists = index.search(prompts, &query, &Stop::default()).unwrap();
        // With the dot of 0/1 vectors a session votes with the number of distinct items it shares.
        let votes = |item: i32| -> usize {
            let shared = |session: &&Vec<i32>| (0..N_ITEMS as i32).filter(|i| session.contains(i) && prompt.contains(i)).count();
            train.iter().filter(|session| session.contains(&item)).map(|session| shared(&session)).sum()
        };
        let mut expected: Vec<(i32, usize)> = (0..N_ITEMS as i32)
            .filter(|item| !prompt.contains(item))
            .map(|item| (item, votes(item)))
            .filter(|&(_, votes)| votes > 0)
            .collect();
        expected.sort_by_key(|&(item, votes)| (std::cmp::Reverse(votes), item));
        let found: Vec<(i32, usize)> = lists.items.iter().zip(&lists.scores)
            .take_while(|(item, _)| **item != MISSING)
            .map(|(&item, &score)| (item, score as usize))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_prompt_alone_has_the_list_it_has_among_others(
        train in sessions(1..30),
        prompts in sessions(1..12),
        name in prop::sample::select(Sampling::NAMES.to_vec()),
        (k, sample_size, seed) in (1_usize..6, 6_usize..20, any::<u64>()),
        n_threads in 1_usize..4,
    ) {
        let (items, offsets) = ragged(&train);
        let order: Vec<i64> = (0..train.len() as i64).map(|row| row % 5).collect();
        let sessions = Sessions::new(&items, &offsets, N_ITEMS, "train").unwrap();
        let held = Train { sessions, n_items: N_ITEMS, order: Some(&order), newest: None, followers: false, vectors: None };
        let index = SessionIndex::new(&held, &Stop::default()).unwrap();
        let query = Query { k_items: 4, k, sample_size, sampling: Sampling::parse(name).unwrap(), seed, ..Query::default() };
        let search = |rows: &[Vec<i32>], n_threads| {
            let (items, offsets) = ragged(rows);
            let rows = Sessions::new(&items, &offsets, N_ITEMS, "prompts").unwrap();
            pool(n_threads).unwrap().install(|| index.search(rows, &query, &Stop::default())).unwrap()
        };
        let together = search(&prompts, n_threads);
        for (row, prompt) in prompts.iter().enumerate() {
            let alone = search(std::slice::from_ref(prompt), 1);
            prop_assert_eq!(&together.items[row * 4..][..4], &alone.items);
            prop_assert_eq!(&together.scores[row * 4..][..4], &alone.scores);
            prop_assert!(alone.items.iter().all(|item| !prompt.contains(item)));
        }
    }

    #[test]
    fn pairs_equal_counting(train in sessions(0..12), prompt in 0..N_ITEMS as i32, window in 0_usize..4) {
        let (items, offsets) = ragged(&train);
        let sessions = Sessions::new(&items, &offsets, N_ITEMS, "train").unwrap();
        let forward: Vec<f64> = (0..window).map(|step| 1.0 / f64::from(1 << step)).collect();
        let held = cooccurrence::Train { sessions, n_items: N_ITEMS, forward: &forward, backward: &[2.0], row_power: 0.0, near: None };
        let index = CooccurrenceIndex::new(&held, &Stop::default()).unwrap();
        let (prompt, ends) = ([prompt], [0, 1]);
        let prompts = Sessions::new(&prompt, &ends, N_ITEMS, "prompts").unwrap();
        let query = cooccurrence::Query { k: N_ITEMS, pooling: Pooling::Mean, exclude_seen: false, candidates: None };
        let lists = index.search(prompts, &query, &Stop::default()).unwrap();
        let mut expected = [0.0; N_ITEMS];
        for session in &train {
            for (place, _) in session.iter().enumerate().filter(|(_, item)| **item == prompt[0]) {
                for (other, &item) in session.iter().enumerate() {
                    expected[item as usize] += match other.cmp(&place) {
                        std::cmp::Ordering::Greater => forward.get(other - place - 1).copied().unwrap_or(0.0),
                        std::cmp::Ordering::Less if place - other == 1 => 2.0,
                        _ => 0.0,
                    };
                }
            }
        }
        let mut found = [0.0; N_ITEMS];
        for (&item, &score) in lists.items.iter().zip(&lists.scores).filter(|(item, _)| **item != MISSING) {
            found[item as usize] = f64::from(score);
        }
        prop_assert_eq!(found, expected);
    }
}

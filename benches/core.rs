//! Rough speed of the kernels at the size of Amazon Beauty: `cargo bench`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use llmseq_core::knn::{Decay, Query, Sampling, SessionIndex, Train};
use llmseq_core::matrix::Matrix;
use llmseq_core::parallel::Stop;
use llmseq_core::pooling::{Pooling, pool_sessions};
use llmseq_core::sessions::Sessions;
use llmseq_core::topk::{Allowed, ItemIndex, Similarity};

const N_ITEMS: usize = 12_101;
const DIM: usize = 384;
const LENGTH: usize = 8;

/// A plain generator: the benches need no good random numbers, only the same ones each time.
fn numbers(n: usize) -> impl Iterator<Item = u64> {
    let mut state = 1_u64;
    (0..n).map(move |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    })
}

fn vectors(n: usize) -> Vec<f32> {
    let unit = |number| (number as f32 / (1_u64 << 31) as f32) - 0.5;
    numbers(n * DIM).map(unit).collect()
}

fn sessions(n: usize) -> (Vec<i32>, Vec<i64>) {
    // The product of two even numbers is small more often than large: some items are popular.
    let items = numbers(n * LENGTH * 2).collect::<Vec<_>>();
    let skewed = items.chunks_exact(2).map(|pair| {
        (pair[0] % N_ITEMS as u64 * (pair[1] % N_ITEMS as u64) / N_ITEMS as u64) as i32
    });
    let offsets = (0..=n).map(|row| (row * LENGTH) as i64);
    (skewed.collect(), offsets.collect())
}

fn kernels(criterion: &mut Criterion) {
    let stop = Stop::default();
    let mut group = criterion.benchmark_group("core");
    group.sample_size(10);
    let (rows, asked) = (vectors(N_ITEMS), vectors(512));
    let items = Matrix::new(&rows, N_ITEMS, DIM, "vectors").expect("finite");
    let queries = Matrix::new(&asked, 512, DIM, "queries").expect("finite");
    for name in Similarity::NAMES {
        let similarity = Similarity::parse(name).expect("a name of the list");
        let index = ItemIndex::new(items, similarity).expect("items");
        group.bench_function(format!("top_20_of_12101_by_{name}_512_queries"), |bench| {
            bench.iter(|| index.search(black_box(queries), 20, Allowed::default(), &stop));
        });
    }
    let (flat, offsets) = sessions(18_000);
    let train = Sessions::new(&flat, &offsets, N_ITEMS, "train").expect("in range");
    group.bench_function("pool_18000_sessions", |bench| {
        bench.iter(|| pool_sessions(black_box(items), train, Pooling::Harmonic, &stop));
    });
    let held = Train {
        sessions: train,
        n_items: N_ITEMS,
        order: None,
        newest: None,
        followers: false,
        vectors: None,
    };
    let index = SessionIndex::new(&held, &stop).expect("sessions");
    let (flat, offsets) = sessions(512);
    let prompts = Sessions::new(&flat, &offsets, N_ITEMS, "prompts").expect("in range");
    let query = Query {
        k_items: 20,
        k: 320,
        sample_size: 1530,
        sampling: Sampling::Random,
        decay: Decay::Harmonic,
        ..Query::default()
    };
    group.bench_function("v_sknn_512_prompts", |bench| {
        bench.iter(|| index.search(black_box(prompts), &query, &stop));
    });
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);

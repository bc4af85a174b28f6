//! Rough speed of the kernels at the size of Amazon Beauty: `cargo bench`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use llmseq_core::fusion::{Fusion, Member, fuse_lists};
use llmseq_core::knn::{Decay, Query, Sampling, SessionIndex, Train};
use llmseq_core::matrix::Matrix;
use llmseq_core::metrics::{Against, ListTable, evaluate_lists};
use llmseq_core::parallel::Stop;
use llmseq_core::pooling::{Pooling, pool_into};
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

/// Lists of different items: steps of 7 through the catalogue from a random start.
fn lists(n: usize, k: usize) -> Vec<i32> {
    let list = |start: u64| (0..k).map(move |place| (start as usize + 7 * place) % N_ITEMS);
    numbers(n).flat_map(list).map(|item| item as i32).collect()
}

fn of_lists(criterion: &mut Criterion) {
    let stop = Stop::default();
    let mut group = criterion.benchmark_group("lists");
    group.sample_size(10);
    let (n, k) = (200_000, 20);
    let items = lists(n, k);
    let table = ListTable {
        items: &items,
        n_lists: n,
        k,
    };
    // About every third list holds its target.
    let wanted = items.chunks_exact(k).zip(numbers(n));
    let wanted = wanted.map(|(list, number)| list[0] + 7 * (number % 60) as i32);
    let wanted: Vec<i32> = wanted.map(|item| item % N_ITEMS as i32).collect();
    let offsets: Vec<i64> = (0..=n as i64).collect();
    let targets = Sessions::new(&wanted, &offsets, N_ITEMS, "targets").expect("in range");
    let counts: Vec<i64> = (0..N_ITEMS as i64).collect();
    let against = Against {
        ks: &[10, 20],
        popularity: Some(&counts),
        n_items: Some(N_ITEMS),
    };
    let mut per_session = vec![0.0; against.names().len() * n];
    group.bench_function("metrics_200000_lists", |bench| {
        bench.iter(|| evaluate_lists(black_box(table), targets, against, &mut per_session, &stop));
    });
    let (n, k) = (4_469, 100);
    let items = lists(5 * n, k);
    let scores: Vec<f32> = (0..n * k).map(|place| -((place % k) as f32)).collect();
    let members = items.chunks_exact(n * k).enumerate();
    let members = members.map(|(number, items)| Member::new(items, &scores, k, 1.0, number));
    let members: Vec<Member<'_>> = members.map(|member| member.expect("fits")).collect();
    for name in Fusion::NAMES {
        let fusion = Fusion::parse(name).expect("a name of the list");
        group.bench_function(format!("fuse_5_of_4469_by_{name}"), |bench| {
            bench.iter(|| fuse_lists(black_box(&members), n, 20, fusion, 10.0, &stop));
        });
    }
    group.finish();
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
            bench.iter(|| index.search(black_box(queries), 20, Allowed::default(), 2, &stop));
        });
    }
    let (flat, offsets) = sessions(18_000);
    let train = Sessions::new(&flat, &offsets, N_ITEMS, "train").expect("in range");
    let mut pooled = vec![0.0; train.len() * DIM];
    group.bench_function("pool_18000_sessions", |bench| {
        bench.iter(|| {
            pool_into(
                black_box(items),
                train,
                Pooling::Harmonic,
                &mut pooled,
                &stop,
            )
        });
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

criterion_group!(benches, kernels, of_lists);
criterion_main!(benches);

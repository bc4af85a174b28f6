//! What the twins in Python computed, bit for bit. `golden/make.py` writes the file.

use std::collections::HashMap;
use std::fmt::Debug;
use std::str::FromStr;

use llmseq_core::fusion::{Fusion, Member, fuse_lists};
use llmseq_core::knn::{Decay, Query, Sampling, SessionIndex, Train};
use llmseq_core::lists::Lists;
use llmseq_core::matrix::Matrix;
use llmseq_core::metrics::{Against, ListTable, evaluate_lists};
use llmseq_core::parallel::Stop;
use llmseq_core::pooling::{Pooling, pool_sessions};
use llmseq_core::sessions::Sessions;
use llmseq_core::topk::{Allowed, ItemIndex, Similarity};

struct Golden(HashMap<&'static str, Vec<&'static str>>);

impl Golden {
    fn read() -> Self {
        let lines = include_str!("golden/golden.txt").lines();
        Self(
            lines
                .map(|line| {
                    let mut words = line.split(' ');
                    (words.next().unwrap(), words.collect())
                })
                .collect(),
        )
    }

    fn numbers<T: FromStr<Err: Debug>>(&self, name: &str) -> Vec<T> {
        let words = self.0.get(name).unwrap_or_else(|| panic!("no {name}"));
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let bits = self.numbers::<u32>(name);
        bits.into_iter().map(f32::from_bits).collect()
    }

    fn assert_lists(&self, name: &str, lists: &Lists) {
        assert_eq!(
            lists.items,
            self.numbers::<i32>(&format!("{name}.items")),
            "{name}"
        );
        assert_eq!(
            lists.scores,
            self.floats(&format!("{name}.scores")),
            "{name}"
        );
    }
}

/// Inputs, owned.
struct Input {
    golden: Golden,
    sizes: [usize; 4],
    vectors: Vec<f32>,
    items: Vec<i32>,
    offsets: Vec<i64>,
}

impl Input {
    fn read() -> Self {
        let golden = Golden::read();
        Self {
            sizes: golden.numbers("sizes").try_into().unwrap(),
            vectors: golden.floats("vectors"),
            items: golden.numbers("items"),
            offsets: golden.numbers("offsets"),
            golden,
        }
    }

    fn vectors(&self) -> Matrix<'_> {
        let [n_items, dim, _, _] = self.sizes;
        Matrix::new(&self.vectors, n_items, dim, "vectors").unwrap()
    }

    fn sessions(&self) -> Sessions<'_> {
        Sessions::new(&self.items, &self.offsets, self.sizes[0], "sessions").unwrap()
    }

    /// The lists of every similarity, queries pooled like the last pooling.
    fn top_k(&self) -> Vec<(&'static str, Lists)> {
        let [_, dim, n_sessions, k] = self.sizes;
        let queries = self.golden.floats("pool.harmonic_squared");
        let queries = Matrix::new(&queries, n_sessions, dim, "queries").unwrap();
        let allowed = Allowed {
            exclude: Some(self.sessions()),
            candidates: None,
        };
        let search = |name: &'static str| {
            let similarity = Similarity::parse(name).unwrap();
            let index = ItemIndex::new(self.vectors(), similarity).unwrap();
            (
                name,
                index
                    .search(queries, k, allowed, 2, &Stop::default())
                    .unwrap(),
            )
        };
        Similarity::NAMES.map(search).into()
    }
}

#[test]
fn pooling() {
    let input = Input::read();
    for name in Pooling::NAMES {
        let pooling = Pooling::parse(name).unwrap();
        let pooled = pool_sessions(input.vectors(), input.sessions(), pooling, &Stop::default());
        assert_eq!(
            pooled.unwrap(),
            input.golden.floats(&format!("pool.{name}")),
            "{name}"
        );
    }
}

#[test]
fn top_k() {
    let input = Input::read();
    for (name, lists) in input.top_k() {
        input.golden.assert_lists(&format!("topk.{name}"), &lists);
    }
}

#[test]
fn session_knn() {
    let input = Input::read();
    let [n_items, _, n_sessions, k] = input.sizes;
    let order: Vec<i64> = (0..n_sessions as i64).collect();
    let train = Train {
        sessions: input.sessions(),
        n_items,
        order: Some(&order),
        newest: None,
        followers: false,
        vectors: None,
    };
    let index = SessionIndex::new(&train, &Stop::default()).unwrap();
    for name in Sampling::NAMES {
        let query = Query {
            k_items: k,
            k: 3,
            sample_size: 4,
            sampling: Sampling::parse(name).unwrap(),
            decay: Decay::Log,
            idf_weighting: true,
            seed: 17,
            ..Query::default()
        };
        let lists = index.search(input.sessions(), &query, &Stop::default());
        input
            .golden
            .assert_lists(&format!("knn.{name}"), &lists.unwrap());
    }
}

#[test]
fn fusion() {
    let input = Input::read();
    let [_, _, n_sessions, k] = input.sizes;
    let found = input.top_k();
    let member = |(number, weight): (usize, f64)| {
        let lists = &found[number].1;
        Member::new(&lists.items, &lists.scores, k, weight, number).unwrap()
    };
    let members = [(0, 1.0), (1, 0.5), (2, 2.0)].map(member);
    for name in Fusion::NAMES {
        let fusion = Fusion::parse(name).unwrap();
        let fused = fuse_lists(&members, n_sessions, k, fusion, 10.0, &Stop::default());
        input
            .golden
            .assert_lists(&format!("fuse.{name}"), &fused.unwrap());
    }
}

#[test]
fn metrics() {
    let input = Input::read();
    let [n_items, _, n_lists, k] = input.sizes;
    let items = input.golden.numbers("fuse.zscore.items");
    let counts = input.golden.numbers("counts");
    let (wanted, offsets) = (
        input.golden.numbers("targets.items"),
        input.golden.numbers("targets.offsets"),
    );
    let targets = Sessions::new(&wanted, &offsets, n_items, "targets").unwrap();
    let against = Against {
        ks: &[2, k],
        popularity: Some(&counts),
        n_items: Some(n_items),
    };
    let table = ListTable {
        items: &items,
        n_lists,
        k,
    };
    let mut per_session = vec![0.0; against.names().len() * n_lists];
    let stop = Stop::default();
    let means = evaluate_lists(table, targets, against, &mut per_session, &stop).unwrap();
    assert_eq!(means.len(), 22);
    for (name, value) in means {
        let bits = input.golden.numbers::<u64>(&format!("mean.{name}"));
        assert_eq!(value.to_bits(), bits[0], "{name}");
    }
}

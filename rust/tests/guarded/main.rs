//! Every buffer of every kernel ends at a protected page, so that a read or a write past its end faults, on
//! every path of the CPU that this machine has; and every path gives the same bits.

#![cfg(target_os = "linux")]
// The allocator, the environment variable and the read that must fault cannot be had without it.
#![allow(unsafe_code)]

mod allocator;

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use allocator::{Guarding, arm, disarm};
use llmseq_core::cooccurrence::{self, CooccurrenceIndex, Near};
use llmseq_core::cpu::Cpu;
use llmseq_core::fusion::{Fusion, Member, fuse_lists};
use llmseq_core::knn::{self, Decay, SessionIndex};
use llmseq_core::lists::Lists;
use llmseq_core::matrix::Matrix;
use llmseq_core::metrics::{Against, ListTable, evaluate_lists};
use llmseq_core::parallel::{Stop, pool};
use llmseq_core::pooling::{Pooling, pool_into};
use llmseq_core::sessions::Sessions;
use llmseq_core::topk::{Allowed, Front, ItemIndex, Layout, Similarity};

#[global_allocator]
static ALLOCATOR: Guarding = Guarding;

/// Run a case on every path with its buffers guarded; the bits that it returns must not differ.
fn on_every_path(case: impl Fn() -> Vec<u64> + Sync) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let lock = ONE_AT_A_TIME.lock();
    let _alone = lock.unwrap_or_else(PoisonError::into_inner);
    let mut first: Option<(Cpu, Vec<u64>)> = None;
    for &path in Cpu::available() {
        // SAFETY: only Rust's standard library reads the environment here, and it takes a lock.
        unsafe { std::env::set_var(Cpu::VARIABLE, path.name()) };
        assert_eq!(Cpu::chosen(), Ok(path));
        arm();
        let bits = pool(2).unwrap().install(&case);
        disarm();
        unsafe { std::env::remove_var(Cpu::VARIABLE) };
        match &first {
            None => first = Some((path, bits)),
            Some((other, expected)) => {
                assert!(bits == *expected, "{path:?} differs from {other:?}");
            }
        }
    }
}

/// A plain generator; its vectors have no room to spare, so that their last value ends the page.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    fn floats(&mut self, n: usize) -> Vec<f32> {
        exact((0..n).map(|_| self.next() as f32 / (1_u64 << 30) as f32 - 1.0))
    }

    /// Rows of up to `longest` items.
    fn rows(&mut self, n_rows: usize, longest: usize, n_items: usize) -> (Vec<i32>, Vec<i64>) {
        let mut offsets = vec![0; n_rows + 1];
        for row in 0..n_rows {
            offsets[row + 1] = offsets[row] + self.below(longest + 1) as i64;
        }
        let n_events = offsets[n_rows] as usize;
        let items = exact((0..n_events).map(|_| self.below(n_items) as i32));
        (items, offsets)
    }

    /// Lists of `k` different items, every third one short.
    fn lists(&mut self, n_lists: usize, k: usize, n_items: usize) -> Vec<i32> {
        let mut lists = vec![-1; n_lists * k];
        for (row, list) in lists.chunks_exact_mut(k).enumerate() {
            let held = if row % 3 == 0 { self.below(k + 1) } else { k };
            let start = self.below(n_items);
            for (place, item) in list[..held.min(n_items)].iter_mut().enumerate() {
                *item = ((start + place) % n_items) as i32;
            }
        }
        lists
    }

    fn mask(&mut self, n_items: usize) -> Vec<bool> {
        exact((0..n_items).map(|_| self.below(4) > 0))
    }
}

fn exact<T>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.shrink_to_fit();
    values
}

fn matrix(values: &[f32], dim: usize) -> Matrix<'_> {
    Matrix::new(values, values.len() / dim, dim, "vectors").unwrap()
}

fn rows((items, offsets): &(Vec<i32>, Vec<i64>), n_items: usize) -> Sessions<'_> {
    Sessions::new(items, offsets, n_items, "rows").unwrap()
}

fn push_lists(bits: &mut Vec<u64>, lists: &Lists) {
    bits.extend(lists.items.iter().map(|&item| u64::from(item as u32)));
    bits.extend(lists.scores.iter().map(|score| u64::from(score.to_bits())));
}

#[test]
fn a_read_past_the_end_faults() {
    if std::env::var_os("LLMSEQ_TEST_FAULT").is_some() {
        arm();
        let values = exact((0..77).map(|value: i32| value));
        disarm();
        let end = values.as_ptr_range().end;
        // SAFETY: none. It is the read that all other tests must not make.
        println!("{}", unsafe { end.read_volatile() });
        std::process::exit(0);
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "a_read_past_the_end_faults"]);
    let ended = again.env("LLMSEQ_TEST_FAULT", "1").output().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&ended.status);
    assert_eq!(signal, Some(libc::SIGSEGV), "{ended:?}");
}

#[test]
fn pooling() {
    on_every_path(|| {
        let mut bits = Vec::new();
        for dim in 1..=130 {
            let mut numbers = Numbers(dim as u64);
            let vectors = numbers.floats(7 * dim);
            let sessions = numbers.rows(5, 6, 7);
            for pooling in [Pooling::Harmonic, Pooling::Last, Pooling::ScalingCubic] {
                let mut pooled = vec![0.0; 5 * dim];
                let stop = Stop::default();
                pool_into(
                    matrix(&vectors, dim),
                    rows(&sessions, 7),
                    pooling,
                    &mut pooled,
                    &stop,
                )
                .unwrap();
                bits.extend(pooled.iter().map(|value| u64::from(value.to_bits())));
            }
        }
        bits
    });
}

#[test]
fn metrics() {
    on_every_path(|| {
        let mut bits = Vec::new();
        for k in (1..=70).chain([255, 256, 257]) {
            let mut numbers = Numbers(k as u64);
            let n_items = k + numbers.below(40);
            let items = numbers.lists(9, k, n_items);
            let lists = ListTable {
                items: &items,
                n_lists: 9,
                k,
            };
            // One target, or several: never none.
            let mut wanted = numbers.rows(9, k % 4, n_items);
            for (row, offset) in wanted.1.iter_mut().enumerate() {
                *offset += row as i64;
            }
            wanted.0 = exact((0..wanted.1[9]).map(|_| numbers.below(n_items) as i32));
            let counts = exact((0..n_items).map(|item| 1 + item as i64 % 5));
            for n_known in [None, Some(n_items)] {
                let against = Against {
                    ks: &[1, k.div_ceil(2) + 1, 2 * k + 5],
                    popularity: n_known.map(|_| &counts[..]),
                    n_items: n_known,
                };
                let mut per_session = vec![0.0; against.names().len() * 9];
                let (targets, stop) = (rows(&wanted, n_items), Stop::default());
                let means =
                    evaluate_lists(lists, targets, against, &mut per_session, &stop).unwrap();
                bits.extend(per_session.iter().map(|value| value.to_bits()));
                bits.extend(means.iter().map(|mean| mean.1.to_bits()));
            }
        }
        bits
    });
}

#[test]
fn fusion() {
    on_every_path(|| {
        let mut bits = Vec::new();
        for k in 1..=40 {
            let mut numbers = Numbers(k as u64);
            let widths = [k, 1 + numbers.below(9), 3 * k];
            let tables =
                widths.map(|width| (numbers.lists(11, width, 130), numbers.floats(11 * width)));
            for name in Fusion::NAMES {
                let member = |number: usize| {
                    let ((items, scores), weight) = (&tables[number], number as f64);
                    Member::new(items, scores, widths[number], weight, number).unwrap()
                };
                let (members, fusion) = ([0, 1, 2].map(member), Fusion::parse(name).unwrap());
                let fused = fuse_lists(&members, 11, k, fusion, 10.0, &Stop::default());
                push_lists(&mut bits, &fused.unwrap());
            }
        }
        bits
    });
}

#[test]
fn top_k() {
    // Around multiples of 16 and 64; every width from 1 to 130, up to 35 queries.
    let counts = [1, 2, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129];
    on_every_path(|| {
        let mut bits = Vec::new();
        for dim in 1..=130 {
            let mut numbers = Numbers(dim as u64);
            let (n_items, n_queries) = (counts[dim % counts.len()], 1 + dim % 20);
            let vectors = numbers.floats(n_items * dim);
            let queries = numbers.floats(n_queries * dim);
            let excluded = numbers.rows(n_queries, 3, n_items);
            let mask = numbers.mask(n_items);
            let similarity = Similarity::parse(Similarity::NAMES[dim % 3]).unwrap();
            let index = ItemIndex::new(matrix(&vectors, dim), similarity).unwrap();
            let restricted = Allowed {
                exclude: Some(rows(&excluded, n_items)),
                candidates: Some(&mask),
            };
            for allowed in [Allowed::default(), restricted] {
                for k in [1, 5, n_items + 1] {
                    let lists =
                        index.search(matrix(&queries, dim), k, allowed, 2, &Stop::default());
                    push_lists(&mut bits, &lists.unwrap());
                }
            }
        }
        bits
    });
}

#[test]
fn top_k_by_fronts() {
    on_every_path(|| {
        let mut bits = Vec::new();
        for (n_items, n_axes, fine, coarse) in [
            (17, 32, 4, 8),
            (63, 32, 0, 16),
            (64, 64, 32, 32),
            (129, 64, 20, 40),
            (257, 96, 44, 0),
        ] {
            let mut numbers = Numbers(n_items as u64);
            let dim = n_axes + n_items % 7;
            let vectors = numbers.floats(n_items * dim);
            let front = |most_kept| Front {
                layout: Layout { fine, coarse },
                few: 16,
                most_kept,
            };
            let items = matrix(&vectors, dim);
            let indexes = [0, 1000].map(|most_kept| {
                let front = front(most_kept);
                ItemIndex::with_axes(items, Similarity::Dot, n_axes, front).unwrap()
            });
            for (n_queries, index) in
                (1..=17).flat_map(|n| indexes.each_ref().map(|index| (n, index)))
            {
                let queries = numbers.floats(n_queries * dim);
                let asked = matrix(&queries, dim);
                let lists = index.search(asked, 5, Allowed::default(), 2, &Stop::default());
                push_lists(&mut bits, &lists.unwrap());
            }
        }
        bits
    });
}

#[test]
fn session_knn() {
    on_every_path(|| {
        let mut bits = Vec::new();
        for n_items in 1..=40 {
            let mut numbers = Numbers(n_items as u64);
            let (dim, n_sessions) = (1 + n_items % 9, 1 + 3 * n_items);
            let sessions = numbers.rows(n_sessions, 7, n_items);
            let order = exact((0..n_sessions as i64).rev());
            let vectors = numbers.floats(n_items * dim);
            let (prompts, mask) = (numbers.rows(6, 9, n_items), numbers.mask(n_items));
            for vectors in [None, Some((matrix(&vectors, dim), Pooling::Harmonic))] {
                let train = knn::Train {
                    sessions: rows(&sessions, n_items),
                    n_items,
                    order: Some(&order),
                    newest: Some(5),
                    followers: true,
                    vectors,
                };
                let index = SessionIndex::new(&train, &Stop::default()).unwrap();
                for name in knn::Sampling::NAMES {
                    let query = knn::Query {
                        k_items: 3,
                        k: 4,
                        sample_size: 6,
                        sampling: knn::Sampling::parse(name).unwrap(),
                        decay: if vectors.is_some() {
                            Decay::None
                        } else {
                            Decay::Log
                        },
                        pooling: Pooling::Harmonic,
                        half_life: Some(3.0),
                        only_followers: n_items % 2 == 0,
                        candidates: Some(&mask),
                        ..knn::Query::default()
                    };
                    let lists = index.search(rows(&prompts, n_items), &query, &Stop::default());
                    push_lists(&mut bits, &lists.unwrap());
                }
            }
        }
        bits
    });
}

#[test]
fn cooccurrence() {
    on_every_path(|| {
        let mut bits = Vec::new();
        for n_items in 2..=40 {
            let mut numbers = Numbers(n_items as u64);
            let sessions = numbers.rows(2 * n_items, 7, n_items);
            let width = 1 + n_items % 5;
            let (near, scores) = (
                numbers.lists(n_items, width, n_items),
                numbers.floats(n_items * width),
            );
            let near = Near {
                items: &near,
                scores: &scores,
                width,
                of_prompts: 0.5,
                of_items: 0.25,
                direct: 2.0,
            };
            let train = cooccurrence::Train {
                sessions: rows(&sessions, n_items),
                n_items,
                forward: &[1.0, 0.5, 0.25],
                backward: &[0.5],
                row_power: 0.3,
                near: Some(near),
            };
            let index = CooccurrenceIndex::new(&train, &Stop::default()).unwrap();
            let (prompts, mask) = (numbers.rows(6, 9, n_items), numbers.mask(n_items));
            let query = cooccurrence::Query {
                k: 1 + n_items % 7,
                pooling: Pooling::Harmonic,
                exclude_seen: true,
                candidates: Some(&mask),
            };
            let lists = index.search(rows(&prompts, n_items), &query, &Stop::default());
            push_lists(&mut bits, &lists.unwrap());
        }
        bits
    });
}

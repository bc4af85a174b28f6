//! From queries to lists: who searches what.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::canonical::Similarity;
use super::find::{Finder, Scratch, WORDS};
use super::gather::{Gatherer, Scanned};
use super::kernels::{Kernels, LANES};
use super::plan::{Cut, Plan};
use super::query::Group;
use super::rank::Ranker;
use super::scan::{Dots, Scanner};
use super::{ItemIndex, prepared_rows};
use crate::crew::{Apart, Crew, Hand, Parts, Work};
use crate::error::{CoreError, Result};
use crate::lists::{Lists, keep_best, write_row};
use crate::matrix::Matrix;
use crate::parallel::Stop;
use crate::sessions::{Sessions, check_mask};

/// Which items a search may list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed<'a> {
    /// Items left out, one row a query.
    pub exclude: Option<Sessions<'a>>,
    /// One value an item; false leaves it out for every query.
    pub candidates: Option<&'a [bool]>,
}

/// Buffers of one hand.
#[derive(Debug, Default)]
pub struct Buffers {
    group: Group,
    dots: Dots,
    scratch: Scratch,
}

/// Buffers of all hands that share a group, each in its hand's lock.
pub type Desks = Vec<Apart<Mutex<Buffers>>>;

/// A group of queries on its way.
#[derive(Debug, Clone, Copy)]
struct Task<'a> {
    index: &'a ItemIndex,
    finder: Finder<'a>,
    /// Rows of the group.
    queries: &'a [f32],
    /// Number of the first of them.
    first: usize,
    exclude: Option<Sessions<'a>>,
}

/// One hand's work on a group.
struct Share<'a> {
    task: Task<'a>,
    number: usize,
    parts: &'a Parts,
    buffers: MutexGuard<'a, Buffers>,
    is_prepared: bool,
}

impl ItemIndex {
    /// Whether a search of so many queries keeps to the calling thread, and to helpers that come to it. Others take a
    /// pool of threads.
    pub fn is_shared(&self, n_queries: usize, n_threads: usize) -> bool {
        !self.plan(n_queries, n_threads).spread
    }

    fn plan(&self, n_queries: usize, n_threads: usize) -> Plan {
        Plan::of(
            n_queries,
            self.lanes.len(),
            LANES * self.space.scanned(n_queries).n_bytes(),
            n_threads,
        )
    }

    /// The best `k` items of each query by canonical score, ties to the lower index.
    ///
    /// # Errors
    /// `Config` for `k` = 0, no threads, or a CPU path that this machine lacks, `Shape` for queries, exclusions or a mask
    /// of another size, `Stopped`.
    pub fn search(
        &self,
        queries: Matrix<'_>,
        k: usize,
        allowed: Allowed<'_>,
        n_threads: usize,
        stop: &Stop,
    ) -> Result<Lists> {
        if n_threads == 0 {
            return Err(CoreError::Config(
                "n_threads must be at least 1, got 0".into(),
            ));
        }
        let plan = self.plan(queries.n_rows(), n_threads);
        let crew = Crew::of(plan.n_hands, plan.long);
        self.search_by(plan, &crew, queries, k, allowed, stop)
    }

    fn search_by(
        &self,
        plan: Plan,
        crew: &Crew,
        queries: Matrix<'_>,
        k: usize,
        allowed: Allowed<'_>,
        stop: &Stop,
    ) -> Result<Lists> {
        let (n_queries, dim) = (queries.n_rows(), self.dim());
        if queries.n_cols() != dim {
            return Err(CoreError::Shape(format!(
                "queries must have {dim} columns like the item vectors, got {}",
                queries.n_cols()
            )));
        }
        if let Some(exclude) = allowed.exclude {
            exclude.expect_rows(n_queries, "exclude", "queries")?;
        }
        check_mask(allowed.candidates, self.n_items)?;
        let mut lists = Lists::empty(n_queries, k)?;
        let lanes = allowed.candidates.map(|mask| self.store.lanes(Some(mask)));
        let lanes = lanes.as_deref().unwrap_or(&self.lanes);
        let cut = plan.cut(crew.n_hands());
        let group = cut.group;
        let finder = self.finder(lanes, cut, k)?;
        let prepared = prepared_rows(queries, self.similarity, plan.spread);
        let tasks = prepared.chunks(group * dim).enumerate();
        let tasks = tasks.map(|(number, queries)| Task {
            index: self,
            finder,
            queries,
            first: number * group,
            exclude: allowed.exclude,
        });
        let places = lists.items.chunks_mut(group * k);
        let places = places.zip(lists.scores.chunks_mut(group * k));
        let work = |(task, (items, scores)): (Task<'_>, (&mut [i32], &mut [f32]))| {
            stop.check()?;
            let places = items.chunks_exact_mut(k).zip(scores.chunks_exact_mut(k));
            task.search(crew, places);
            Ok(())
        };
        if plan.spread {
            let groups: Vec<_> = tasks.zip(places).collect();
            groups.into_par_iter().try_for_each(work)?;
        } else {
            tasks.zip(places).try_for_each(work)?;
        }
        Ok(lists)
    }

    fn finder<'a>(&'a self, lanes: &'a [u16], cut: Cut, k: usize) -> Result<Finder<'a>> {
        let kernels = Kernels::chosen()?;
        Ok(Finder {
            gatherer: Gatherer {
                scanner: Scanner {
                    kernels,
                    store: &self.store,
                    lanes,
                    chunk: cut.chunk,
                    far: cut.far,
                },
                dim: self.dim(),
                loss: self.similarity == Similarity::Euclidean,
            },
            ranker: Ranker {
                kernels,
                rows: &self.rows,
                order: &self.store.order,
                needs: self.needs,
                k,
            },
        })
    }
}

impl Task<'_> {
    /// Make the lists of the group.
    fn search<'l>(self, crew: &Crew, lists: impl Iterator<Item = (&'l mut [i32], &'l mut [f32])>) {
        let n_queries = self.queries.len() / self.index.dim();
        let n_chunks = self.finder.gatherer.scanner.n_chunks();
        let parts = Parts::new(n_chunks, crew.n_hands());
        let mut desks = self.index.desks.lend(Desks::default);
        desks.work(|desks| {
            desks.resize_with(desks.len().max(crew.n_hands()), Default::default);
            let came = crew.together(WORDS * n_queries, |number| Share {
                task: self,
                number,
                parts: &parts,
                buffers: desks[number].lock().unwrap_or_else(PoisonError::into_inner),
                is_prepared: false,
            });
            let mut hands = desks.iter_mut().map(|desk| {
                let buffers = desk.get_mut().unwrap_or_else(PoisonError::into_inner);
                &mut buffers.scratch.rankings[..]
            });
            let Some(own) = hands.next() else { return };
            for (_, other) in (1..).zip(hands).filter(|(number, _)| came.contains(number)) {
                for (own, other) in own.iter_mut().zip(&*other).take(n_queries) {
                    own.best.extend_from_slice(&other.best);
                    keep_best(&mut own.best, self.finder.ranker.k);
                }
            }
            for (ranking, (items, scores)) in own.iter().zip(lists) {
                write_row(&ranking.best, items, scores);
            }
        });
    }

    /// Make the queries ready for the scan.
    fn prepare(self, buffers: &mut Buffers) {
        let ItemIndex {
            space,
            needs,
            lanes,
            ..
        } = self.index;
        let (group, kernels) = (&mut buffers.group, self.finder.ranker.kernels);
        kernels.compiled(
            #[inline(always)]
            || group.prepare(self.queries, space, *needs, lanes.len(), kernels),
        );
        buffers.dots.chunks.clear();
    }

    /// Rank what the scanned chunks hold.
    fn rank(self, buffers: &mut Buffers, hand: &Hand<'_>) {
        let Buffers {
            group,
            dots,
            scratch,
        } = buffers;
        let n_queries = group.known.len();
        scratch.fit(n_queries);
        for (number, wanted) in scratch.wanted.iter_mut().enumerate().take(n_queries) {
            wanted.excluded.clear();
            if let Some(exclude) = self.exclude {
                let (items, places) = (exclude.row(self.first + number), self.index.places());
                let excluded = items.iter().map(|&item| places[item as usize]);
                wanted.excluded.extend(excluded);
                wanted.excluded.sort_unstable();
            }
        }
        let codes: Vec<_> = group.codes().collect();
        let scanned = Scanned {
            group,
            codes: &codes,
            dots,
        };
        self.finder.find(scanned, self.queries, hand, scratch);
    }
}

impl Work for Share<'_> {
    /// Prepare the queries, then scan a chunk.
    fn step(&mut self) -> bool {
        let Self { task, buffers, .. } = self;
        if !self.is_prepared {
            task.prepare(buffers);
            self.is_prepared = true;
            return true;
        }
        let Some(chunk) = self.parts.take(self.number) else {
            return false;
        };
        let Buffers { group, dots, .. } = &mut **buffers;
        task.finder.gatherer.scanner.scan(group, chunk, dots);
        true
    }

    fn finish(&mut self, hand: &Hand<'_>) {
        self.task.rank(&mut self.buffers, hand);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topk::{Front, Layout};

    /// Rows about a few points, so that some are near ties; the same at every call.
    fn rows(n: usize, dim: usize) -> Vec<f32> {
        let value = |row: usize, column: usize| {
            let hash = |number: usize| (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let unit = |number: usize| (hash(number) >> 40) as f32 / 16_777_216.0 - 0.5;
            unit(row % 37 * dim + column) + 0.1 * unit((row * dim + column) * 31)
        };
        let of_row = |row: usize| (0..dim).map(move |column| value(row, column));
        (0..n).flat_map(of_row).collect()
    }

    #[test]
    fn hands_together_find_what_one_finds() {
        let (n_items, dim, most_queries) = (1500, 96, 11);
        let (items, queries) = (rows(n_items, dim), rows(most_queries, dim));
        let matrix = |rows, n| Matrix::new(rows, n, dim, "rows").unwrap();
        let excluded: Vec<i32> = (0..most_queries as i32)
            .flat_map(|q| [q, q + 37, 900])
            .collect();
        let offsets: Vec<i64> = (0..=most_queries as i64).map(|q| q * 3).collect();
        let candidates: Vec<bool> = (0..n_items).map(|item| item % 5 > 0 || item < 40).collect();
        let all = |n_queries: usize| {
            let (items, offsets) = (&excluded[..3 * n_queries], &offsets[..=n_queries]);
            Allowed {
                exclude: Some(Sessions::new(items, offsets, n_items, "exclude").unwrap()),
                candidates: Some(&candidates),
            }
        };
        let layout = Layout {
            fine: 32,
            coarse: 16,
        };
        let front = |most_kept| Front {
            layout,
            few: 4,
            most_kept,
        };
        let matrix_of_items = matrix(&items[..], n_items);
        for similarity in [Similarity::Dot, Similarity::Euclidean] {
            let plain = ItemIndex::new(matrix_of_items, similarity).unwrap();
            let [looks, keeps] = [0, 10_000].map(|most_kept| {
                let front = front(most_kept);
                ItemIndex::with_axes(matrix_of_items, similarity, 64, front).unwrap()
            });
            let asks = [&plain, &looks, &keeps].map(|index| [(index, 3), (index, most_queries)]);
            for &(index, n_queries) in asks.as_flattened() {
                let reads_fronts = index.space.scanned(n_queries) == layout;
                assert_eq!(
                    reads_fronts,
                    n_queries == 3 && !std::ptr::eq(index, &raw const plain)
                );
                for k in [1, 3, 20, 90, 200, 2000] {
                    for allowed in [Allowed::default(), all(n_queries)] {
                        let asked = matrix(&queries[..n_queries * dim], n_queries);
                        let stop = Stop::default();
                        let right = index.search(asked, k, allowed, 1, &stop).unwrap();
                        for (n_hands, n_looks) in [(1, 0), (2, 0), (2, 3), (3, 9), (4, 0)] {
                            let crew = Crew::late(n_hands, n_looks);
                            let few = Plan::in_small(n_queries, index.lanes.len(), n_hands);
                            let found = index.search_by(few, &crew, asked, k, allowed, &stop);
                            assert_eq!(found.unwrap(), right, "{n_hands} {n_looks} {k}");
                        }
                    }
                }
            }
        }
    }
}

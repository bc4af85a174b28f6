//! From queries to lists: who searches what.

use rayon::prelude::*;

use super::canonical::Similarity;
use super::find::{Board, Finder, Scratch};
use super::gather::{Gatherer, Scanned};
use super::kernels::Kernels;
use super::plan::{Cut, Plan};
use super::query::Group;
use super::rank::Ranker;
use super::{ItemIndex, prepared_rows};
use crate::crew::{Crew, Hand, Parts, Work};
use crate::error::{CoreError, Result};
use crate::lists::{Lists, write_row};
use crate::matrix::Matrix;
use crate::parallel::Stop;
use crate::sessions::{Sessions, check_mask};
use crate::shelf::Lent;

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
    chunks: Vec<usize>,
    maxima: Vec<i32>,
    scratch: Scratch,
}

/// What the hands that share a group tell each other.
#[derive(Debug, Default)]
pub struct Boards {
    planted: Board,
    found: Board,
}

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
    boards: &'a Boards,
    buffers: Lent<'a, Buffers>,
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
            self.store.panel(0).len(),
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
        let Cut { group, chunk } = plan.cut(crew.n_hands());
        let finder = self.finder(lanes, chunk, k)?;
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

    fn finder<'a>(&'a self, lanes: &'a [u16], chunk: usize, k: usize) -> Result<Finder<'a>> {
        let kernels = Kernels::chosen()?;
        Ok(Finder {
            gatherer: Gatherer {
                kernels,
                store: &self.store,
                dim: self.dim(),
                loss: self.similarity == Similarity::Euclidean,
                lanes,
                chunk,
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
        let parts = Parts::new(self.finder.gatherer.n_chunks(), crew.n_hands());
        let mut boards = self.index.boards.lend(Boards::default);
        boards.work(|boards| {
            boards.planted.clear(n_queries);
            boards.found.clear(n_queries);
            let all = &*boards;
            crew.together(|number| Share {
                task: self,
                number,
                parts: &parts,
                boards: all,
                buffers: self.index.buffers.lend(Buffers::default),
                is_prepared: false,
            });
            for (found, (items, scores)) in boards.found.lists().zip(lists) {
                write_row(found, items, scores);
            }
        });
    }

    /// Make the queries ready for the scan.
    fn prepare(self, buffers: &mut Buffers) {
        let ItemIndex {
            space,
            similarity,
            needs,
            ..
        } = self.index;
        let (group, kernels) = (&mut buffers.group, self.finder.gatherer.kernels);
        kernels.compiled(
            #[inline(always)]
            || group.prepare(self.queries, space, *similarity, needs.longest, kernels),
        );
        buffers.chunks.clear();
    }

    /// Rank what the scanned chunks hold.
    fn rank(self, buffers: &mut Buffers, boards: &Boards, hand: &Hand<'_>) {
        let Buffers {
            group,
            chunks,
            maxima,
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
            chunks,
            maxima,
        };
        let finder = self.finder;
        finder.find(scanned, self.queries, hand, &boards.planted, scratch);
        boards
            .found
            .add(&scratch.rankings[..n_queries], finder.ranker.k);
    }
}

impl Work for Share<'_> {
    /// Prepare the queries, then scan a chunk.
    fn step(&mut self) -> bool {
        let Self { task, buffers, .. } = self;
        if !self.is_prepared {
            buffers.work(|buffers| task.prepare(buffers));
            self.is_prepared = true;
            return true;
        }
        let Some(chunk) = self.parts.take(self.number) else {
            return false;
        };
        buffers.work(|buffers| {
            let Buffers {
                group,
                chunks,
                maxima,
                ..
            } = buffers;
            task.finder.gatherer.scan(group, chunk, chunks, maxima);
        });
        true
    }

    fn finish(&mut self, hand: &Hand<'_>) {
        let (task, boards) = (self.task, self.boards);
        self.buffers
            .work(|buffers| task.rank(buffers, boards, hand));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topk::Layout;

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
        let (n_items, dim, n_queries) = (1500, 96, 11);
        let (items, queries) = (rows(n_items, dim), rows(n_queries, dim));
        let matrix = |rows, n| Matrix::new(rows, n, dim, "rows").unwrap();
        let excluded: Vec<i32> = (0..n_queries as i32)
            .flat_map(|q| [q, q + 37, 900])
            .collect();
        let offsets: Vec<i64> = (0..=n_queries as i64).map(|q| q * 3).collect();
        let exclude = Sessions::new(&excluded, &offsets, n_items, "exclude").unwrap();
        let candidates: Vec<bool> = (0..n_items).map(|item| item % 5 > 0 || item < 40).collect();
        let all = Allowed {
            exclude: Some(exclude),
            candidates: Some(&candidates),
        };
        let front = Layout {
            fine: 32,
            coarse: 16,
        };
        let matrix_of_items = matrix(&items[..], n_items);
        for similarity in [Similarity::Dot, Similarity::Euclidean] {
            let plain = ItemIndex::new(matrix_of_items, similarity).unwrap();
            let with_axes = ItemIndex::with_axes(matrix_of_items, similarity, 64, front, 4);
            for index in [plain, with_axes.unwrap()] {
                for k in [1, 3, 20, 90, 200, 2000] {
                    for allowed in [Allowed::default(), all] {
                        let asked = matrix(&queries[..], n_queries);
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

//! Every metric of ranked lists in one pass, at many cut-offs.

mod catalogue;
mod exposure;
mod per_list;

use rayon::prelude::*;

use crate::cpu::Cpu;
use crate::error::{CoreError, Result};
use crate::lists::{check_list, well_ended};
use crate::parallel::Stop;
use crate::sessions::Sessions;
use crate::simd::compiled_for;
use crate::slots::Slots;
use per_list::{ACCURACY, ListScorer, POPULARITY, Scratch};

/// Lists with −1 in missing places, row after row.
#[derive(Debug, Clone, Copy)]
pub struct ListTable<'a> {
    /// Items.
    pub items: &'a [i32],
    /// Number of lists.
    pub n_lists: usize,
    /// Places in a list.
    pub k: usize,
}

/// What else a metric may need.
#[derive(Debug, Clone, Copy)]
pub struct Against<'a> {
    /// Cut-offs, each at least 1, none twice.
    pub ks: &'a [usize],
    /// Count of each item: serendipity, novelty and popularity lift.
    pub popularity: Option<&'a [i64]>,
    /// Size of the catalogue: coverage and Gini.
    pub n_items: Option<usize>,
}

impl<'a> ListTable<'a> {
    fn list(&self, row: usize) -> &'a [i32] {
        &self.items[row * self.k..(row + 1) * self.k]
    }

    fn check(&self, targets: Sessions<'_>) -> Result<()> {
        if self.n_lists.checked_mul(self.k) != Some(self.items.len()) {
            return Err(CoreError::Shape(format!(
                "lists hold {} values, which is not {} rows of {}",
                self.items.len(),
                self.n_lists,
                self.k
            )));
        }
        if self.n_lists == 0 {
            return Err(CoreError::Data("there are no lists to score".into()));
        }
        targets.expect_rows(self.n_lists, "targets", "lists")?;
        if let Some(row) = (0..targets.len()).find(|&row| targets.row(row).is_empty()) {
            return Err(CoreError::Data(format!(
                "targets: row {row} is empty; every session needs at least one target"
            )));
        }
        Ok(())
    }

    /// The items of a list, or nothing where [`Self::first_wrong`] has something to say.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn checked(&self, row: usize, n_items: usize, slots: &mut Slots) -> Option<&'a [i32]> {
        let list = well_ended(self.list(row))?;
        let highest = list.iter().fold(-1, |highest, &item| highest.max(item));
        (i64::from(highest) < n_items as i64 && slots.distinct(list)).then_some(list)
    }

    /// What is wrong with the first list that is.
    fn first_wrong(&self, n_items: usize) -> Result<()> {
        let mut sorted = Vec::new();
        for row in 0..self.n_lists {
            check_list(self.list(row), "lists", row, &mut sorted)?;
            if let Some(last) = sorted.last().filter(|&&item| item as usize >= n_items) {
                return Err(CoreError::Data(format!(
                    "lists: row {row} holds item {last}, which is not in 0..{n_items}"
                )));
            }
        }
        Ok(())
    }
}

impl Against<'_> {
    fn check(&self) -> Result<()> {
        if self.ks.is_empty() {
            return Err(CoreError::Config(
                "ks must hold at least one cut-off".into(),
            ));
        }
        for (place, &k) in self.ks.iter().enumerate() {
            if k == 0 {
                return Err(CoreError::Config("ks must be at least 1, got 0".into()));
            }
            if self.ks[..place].contains(&k) {
                return Err(CoreError::Config(format!("ks holds {k} twice")));
            }
        }
        if self.n_items == Some(0) {
            return Err(CoreError::Config(
                "n_items must be at least 1, got 0".into(),
            ));
        }
        let Some(popularity) = self.popularity else {
            return Ok(());
        };
        if let Some(n_items) = self.n_items.filter(|&n_items| n_items != popularity.len()) {
            return Err(CoreError::Shape(format!(
                "popularity must hold one count for each of the {n_items} items, got {}",
                popularity.len()
            )));
        }
        if let Some(item) = popularity.iter().position(|&count| count < 0) {
            return Err(CoreError::Data(format!(
                "popularity must be counts of at least 0, but item {item} has {}",
                popularity[item]
            )));
        }
        if popularity.iter().all(|&count| count == 0) {
            return Err(CoreError::Data(
                "popularity holds no count above 0, so nothing is popular".into(),
            ));
        }
        Ok(())
    }

    /// Items that lists and targets may hold.
    pub fn catalogue(&self) -> usize {
        let n_items = self.n_items.or(self.popularity.map(<[i64]>::len));
        n_items.unwrap_or(i32::MAX as usize)
    }

    /// Names of the metrics of a session ("ndcg@20"), metric after metric, each at every cut-off.
    pub fn names(&self) -> Vec<String> {
        let popularity: &[&str] = self.popularity.map_or(&[], |_| &POPULARITY);
        let names = ACCURACY.iter().chain(popularity);
        let at = |name| self.ks.iter().map(move |k| format!("{name}@{k}"));
        names.flat_map(at).collect()
    }
}

/// Score lists against the targets of the same sessions.
///
/// `per_session` (metrics in the order of [`Against::names`], `n_lists`) takes the values, NaN where a
/// metric of listed items has no list to look at. Returned are the means over sessions (without NaN) by
/// name, then coverage and Gini of the lists as a whole. A target that stands twice counts once. Sums run
/// in float64 in the order of the sessions.
///
/// # Errors
/// `Shape` for sizes that do not fit, `Data` for a session without a target, a list that holds an item
/// twice or outside the catalogue, counts below 0 or all 0, `Config` for wrong cut-offs or an unknown
/// `LLMSEQ_CPU`, `Stopped`.
pub fn evaluate_lists(
    lists: ListTable<'_>,
    targets: Sessions<'_>,
    against: Against<'_>,
    per_session: &mut [f64],
    stop: &Stop,
) -> Result<Vec<(String, f64)>> {
    against.check()?;
    lists.check(targets)?;
    let (cpu, names) = (Cpu::chosen()?, against.names());
    if names.len().checked_mul(lists.n_lists) != Some(per_session.len()) {
        return Err(CoreError::Shape(format!(
            "per_session must be ({}, {}), got {} values",
            names.len(),
            lists.n_lists,
            per_session.len()
        )));
    }
    let lengths = (0..targets.len()).map(|row| targets.row(row).len());
    let most_targets = lengths.max().unwrap_or(0);
    let scorer = ListScorer::new(against.ks, lists.k, most_targets, against.popularity);
    let n_items = against.catalogue();
    let fine = row_blocks(per_session, lists.n_lists)
        .into_par_iter()
        .enumerate()
        .map_init(
            || (Slots::new(lists.k), Scratch::default()),
            |scratch, (block, mut columns)| {
                stop.check()?;
                let rows = block * ROWS..lists.n_lists.min((block + 1) * ROWS);
                Ok(compiled_for(
                    cpu,
                    #[inline(always)]
                    || {
                        score_rows(
                            lists,
                            targets,
                            &scorer,
                            n_items,
                            rows,
                            &mut columns,
                            scratch,
                        )
                    },
                ))
            },
        )
        .try_reduce(|| true, |left, right| Ok(left && right))?;
    if !fine {
        lists.first_wrong(n_items)?;
    }
    let mut means: Vec<(String, f64)> = names
        .into_iter()
        .zip(means(per_session, lists.n_lists))
        .collect();
    if let Some(n_items) = against.n_items {
        means.extend(exposure::coverage_and_gini(lists, against.ks, n_items));
    }
    Ok(means)
}

/// Lists that one task scores.
const ROWS: usize = 512;

/// A table of long rows as blocks of [`ROWS`] columns, so that each task writes its own.
fn row_blocks(table: &mut [f64], n_columns: usize) -> Vec<Vec<&mut [f64]>> {
    let mut blocks: Vec<Vec<&mut [f64]>> = Vec::new();
    blocks.resize_with(n_columns.div_ceil(ROWS), Vec::new);
    for row in table.chunks_exact_mut(n_columns) {
        for (block, part) in blocks.iter_mut().zip(row.chunks_mut(ROWS)) {
            block.push(part);
        }
    }
    blocks
}

/// Score some lists; whether all are as they must be.
// Always inlined: a closure that is compiled for a path must hold the whole loop.
#[allow(clippy::inline_always)]
#[inline(always)]
fn score_rows(
    lists: ListTable<'_>,
    targets: Sessions<'_>,
    scorer: &ListScorer<'_>,
    n_items: usize,
    rows: std::ops::Range<usize>,
    columns: &mut [&mut [f64]],
    (slots, scratch): &mut (Slots, Scratch),
) -> bool {
    for (place, row) in rows.enumerate() {
        let Some(list) = lists.checked(row, n_items, slots) else {
            return false;
        };
        scorer.score(list, targets.row(row), slots, scratch, |column, value| {
            columns[column][place] = value;
        });
    }
    true
}

/// Sums that go on at the same time: each waits for its last addition, not for the others'.
const LOCKSTEP: usize = 4;

/// Mean of each row's values that are numbers, summed in their order; NaN where there is none.
fn means(table: &[f64], n_columns: usize) -> Vec<f64> {
    table
        .par_chunks(LOCKSTEP * n_columns)
        .flat_map_iter(|rows| {
            let row = |number: usize| rows.chunks_exact(n_columns).nth(number);
            let row = |number| row(number).unwrap_or(&rows[..n_columns]);
            let (mut sums, mut counts) = ([0.0; LOCKSTEP], [0_usize; LOCKSTEP]);
            let [a, b, c, d] = std::array::from_fn(row);
            for (((&a, &b), &c), &d) in a.iter().zip(b).zip(c).zip(d) {
                for (lane, value) in [a, b, c, d].into_iter().enumerate() {
                    // Adding 0 to a sum that began at 0 changes no bit of it.
                    sums[lane] += if value.is_nan() { 0.0 } else { value };
                    counts[lane] += usize::from(!value.is_nan());
                }
            }
            let means = sums.into_iter().zip(counts).map(|(sum, n)| sum / n as f64);
            means.take(rows.len() / n_columns)
        })
        .collect()
}

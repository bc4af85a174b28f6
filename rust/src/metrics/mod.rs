//! Every metric of ranked lists in one pass, at many cut-offs.

mod exposure;
mod per_list;

use rayon::prelude::*;

use crate::error::{CoreError, Result};
use crate::lists::check_list;
use crate::parallel::{Stop, filled};
use crate::sessions::Sessions;
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

/// Metrics by name ("ndcg@20").
#[derive(Debug, Clone, PartialEq)]
pub struct ListMetrics {
    /// One value a session; NaN where a metric of listed items has no list to look at.
    pub per_session: Vec<(String, Vec<f64>)>,
    /// Means over sessions (without NaN), then those of the lists as a whole.
    pub means: Vec<(String, f64)>,
}

impl<'a> ListTable<'a> {
    fn list(&self, row: usize) -> &'a [i32] {
        &self.items[row * self.k..(row + 1) * self.k]
    }

    fn check(&self, targets: Sessions<'_>, n_items: Option<usize>) -> Result<()> {
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
        let wrong = (0..self.n_lists)
            .into_par_iter()
            .with_min_len(256)
            .map_init(Vec::new, |sorted, row| self.check_row(row, n_items, sorted))
            .find_map_first(Result::err);
        wrong.map_or(Ok(()), Err)
    }

    fn check_row(&self, row: usize, n_items: Option<usize>, sorted: &mut Vec<i32>) -> Result<()> {
        check_list(self.list(row), "lists", row, sorted)?;
        let last = sorted.last().copied().unwrap_or(0);
        match n_items {
            Some(n_items) if last as usize >= n_items => Err(CoreError::Data(format!(
                "lists: row {row} holds item {last}, which is not in 0..{n_items}"
            ))),
            _ => Ok(()),
        }
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
    pub fn catalogue(&self) -> Option<usize> {
        self.n_items.or(self.popularity.map(<[i64]>::len))
    }
}

/// Score lists against the targets of the same sessions.
///
/// A target that stands twice counts once. Sums run in float64 in the order of the sessions.
///
/// # Errors
/// `Shape` for sizes that do not fit, `Data` for a session without a target, a list that holds an item
/// twice or outside the catalogue, counts below 0 or all 0, `Config` for wrong cut-offs, `Stopped`.
pub fn evaluate_lists(
    lists: ListTable<'_>,
    targets: Sessions<'_>,
    against: Against<'_>,
    stop: &Stop,
) -> Result<ListMetrics> {
    against.check()?;
    lists.check(targets, against.catalogue())?;
    let most_targets = (0..targets.len())
        .map(|row| targets.row(row).len())
        .max()
        .unwrap_or(0);
    let scorer = ListScorer::new(against.ks, lists.k, most_targets, against.popularity);
    let n_values = scorer.n_values();
    let mut values = filled(lists.n_lists, n_values, 0.0_f64, "metrics")?;
    values
        .par_chunks_exact_mut(n_values)
        .enumerate()
        .with_min_len(64)
        .try_for_each_init(Scratch::default, |scratch, (row, out)| {
            stop.check()?;
            scorer.score(lists.list(row), targets.row(row), scratch, out);
            Ok::<(), CoreError>(())
        })?;
    let names = ACCURACY.iter().chain(if against.popularity.is_some() {
        &POPULARITY[..]
    } else {
        &[]
    });
    let names: Vec<String> = names
        .flat_map(|name| against.ks.iter().map(move |k| format!("{name}@{k}")))
        .collect();
    let columns: Vec<(f64, Vec<f64>)> = (0..n_values)
        .into_par_iter()
        .map(|column| {
            let column: Vec<f64> = values[column..].iter().step_by(n_values).copied().collect();
            (mean(&column), column)
        })
        .collect();
    let mut means: Vec<(String, f64)> = Vec::with_capacity(n_values);
    let mut per_session = Vec::with_capacity(n_values);
    for (name, (mean, column)) in names.into_iter().zip(columns) {
        means.push((name.clone(), mean));
        per_session.push((name, column));
    }
    if let Some(n_items) = against.n_items {
        means.extend(exposure::coverage_and_gini(lists, against.ks, n_items));
    }
    Ok(ListMetrics { per_session, means })
}

/// Mean of the values that are numbers, summed in their order; NaN where there is none.
fn mean(values: &[f64]) -> f64 {
    let (mut sum, mut n) = (0.0, 0_usize);
    for &value in values.iter().filter(|value| !value.is_nan()) {
        sum += value;
        n += 1;
    }
    sum / n as f64
}

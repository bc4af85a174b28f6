//! Counted pairs with the text neighbours of every item: made, saved, mapped.

use std::path::Path;

use super::count::count;
use super::search::Scratch;
use super::smoothing::Smoothing;
use super::weighted::Weighted;
use crate::error::{CoreError, Result};
use crate::lists::check_list;
use crate::mapped::{Array, IndexFile, Part};
use crate::parallel::Stop;
use crate::sessions::Sessions;
use crate::shelf::Shelf;

/// What a saved index calls itself.
pub const FORMAT: &str = "llmseq co-occurrence index";
/// Version of the arrays in a saved index.
pub const VERSION: &str = "1";

/// Train sessions and how pairs in them count.
#[derive(Debug, Clone, Copy)]
pub struct Train<'a> {
    /// Oldest event first.
    pub sessions: Sessions<'a>,
    /// Size of the catalogue.
    pub n_items: usize,
    /// Weight of an item 1, 2, … events later.
    pub forward: &'a [f64],
    /// Weight of an item 1, 2, … events before.
    pub backward: &'a [f64],
    /// c: an item's row is divided by its sum to the power c.
    pub row_power: f64,
    /// Text neighbours of every item.
    pub near: Option<Near<'a>>,
}

/// Neighbours of each item in a table (`n_items`, `width`), −1 in missing places, and what they do.
#[derive(Debug, Clone, Copy)]
pub struct Near<'a> {
    /// Item indices.
    pub items: &'a [i32],
    /// Similarities; those of 0 and below count as none.
    pub scores: &'a [f32],
    /// Places in a row.
    pub width: usize,
    /// α: what a prompt's item passes on to its neighbours.
    pub of_prompts: f64,
    /// β: what an item takes from its neighbours' scores.
    pub of_items: f64,
    /// γ: what a prompt's neighbours score by themselves.
    pub direct: f64,
}

/// A sparse matrix of pairs, and one of text neighbours both ways.
#[derive(Debug)]
pub struct CooccurrenceIndex {
    pub(super) pairs: Weighted,
    /// What a prompt's item weighs before its row is read: its row's sum to the power −c.
    pub(super) scale: Array<f64>,
    pub(super) smoothing: Option<Smoothing>,
    pub(super) shelf: Shelf<Scratch>,
}

impl CooccurrenceIndex {
    /// Count the pairs of train sessions.
    ///
    /// # Errors
    /// `Shape` if the neighbours are not those of `n_items` items, `Data` if one of them does not exist,
    /// `Config` for weights below 0 or not finite, `Stopped`.
    pub fn new(train: &Train<'_>, stop: &Stop) -> Result<Self> {
        check(train)?;
        let pairs = count(
            train.sessions,
            train.n_items,
            train.forward,
            train.backward,
            stop,
        )?;
        let sum = |item| pairs.row(item).fold(0.0, |sum, (_, value)| sum + value);
        let mut sums: Vec<f64> = (0..train.n_items as u32).map(sum).collect();
        let smoothing = train.near.map(|near| Smoothing::new(near, train.n_items));
        if let Some(smoothing) = &smoothing {
            sums = smoothing.smooth(&sums);
        }
        let scale = |&sum: &f64| {
            if sum > 0.0 {
                sum.powf(-train.row_power)
            } else {
                0.0
            }
        };
        Ok(Self {
            pairs,
            scale: sums.iter().map(scale).collect::<Vec<_>>().into(),
            smoothing,
            shelf: Shelf::default(),
        })
    }

    /// Map an index that was saved with its `parts`; nothing is counted again.
    ///
    /// # Errors
    /// `Artifact` that names the file if it is missing, damaged, cut short or of another version.
    pub fn open(path: &Path) -> Result<Self> {
        let file = IndexFile::open(path, FORMAT, VERSION)?;
        let scale: Array<f64> = file.array("scale")?;
        let n_items = scale.len();
        if scale.iter().any(|scale| !scale.is_finite()) {
            return Err(file.damaged("\"scale\" holds what is no number"));
        }
        Ok(Self {
            pairs: Weighted::read(&file, "pairs", n_items)?,
            smoothing: Smoothing::read(&file, n_items)?,
            scale,
            shelf: Shelf::default(),
        })
    }

    /// Number of items.
    pub fn n_items(&self) -> usize {
        self.scale.len()
    }

    /// Number of pairs that were seen.
    pub fn n_pairs(&self) -> usize {
        self.pairs.weights.len()
    }

    /// What is saved, by name; the same names are read by `open`.
    pub fn parts(&self) -> Vec<(String, Part<'_>)> {
        let mut parts = vec![("scale".into(), Part::F64(&self.scale))];
        parts.extend(self.pairs.parts("pairs"));
        parts.extend(self.smoothing.iter().flat_map(Smoothing::parts));
        parts
    }
}

fn check(train: &Train<'_>) -> Result<()> {
    let n_items = train.n_items;
    if u32::try_from(train.sessions.n_events()).is_err() || i32::try_from(n_items).is_err() {
        return Err(CoreError::Data(format!(
            "events are numbered in 32 bits, got {}; leave the oldest sessions out",
            train.sessions.n_events()
        )));
    }
    let weights = [("forward", train.forward), ("backward", train.backward)];
    let mut numbers: Vec<(&str, f64)> = vec![("row_power", train.row_power)];
    for (name, values) in weights {
        numbers.extend(values.iter().map(|&value| (name, value)));
    }
    if let Some(near) = &train.near {
        let strengths = [near.of_prompts, near.of_items, near.direct];
        numbers.extend(
            ["of_prompts", "of_items", "direct"]
                .into_iter()
                .zip(strengths),
        );
        if near.width == 0
            || near.items.len() != n_items * near.width
            || near.scores.len() != near.items.len()
        {
            return Err(CoreError::Shape(format!(
                "near must have one row for each of the {n_items} items, got {}: it belongs to another \
                 catalogue",
                near.items.len() / near.width.max(1)
            )));
        }
        let mut sorted = Vec::new();
        for (row, list) in near.items.chunks_exact(near.width).enumerate() {
            check_list(list, "near", row, &mut sorted)?;
            if let Some(&item) = sorted.last().filter(|&&item| item >= n_items as i32) {
                return Err(CoreError::Data(format!(
                    "near: row {row} holds item {item}, which is not in 0..{n_items}"
                )));
            }
        }
        if let Some(at) = near
            .items
            .iter()
            .zip(near.scores)
            .position(|(&item, score)| item >= 0 && !score.is_finite())
        {
            return Err(CoreError::Data(format!(
                "near: row {} holds a similarity that is not finite",
                at / near.width
            )));
        }
    }
    match numbers
        .iter()
        .find(|(_, value)| !(*value >= 0.0 && value.is_finite()))
    {
        Some((name, value)) => Err(CoreError::Config(format!(
            "{name} must be finite and not below 0, got {value}"
        ))),
        None => Ok(()),
    }
}

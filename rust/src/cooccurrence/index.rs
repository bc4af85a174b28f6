//! Counted pairs with the text neighbours of every item: made, saved, mapped.

use std::path::Path;

use super::count::count;
use super::search::Scratch;
use crate::csr::Csr;
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
    pub(super) columns: Csr,
    pub(super) values: Array<f32>,
    /// What a prompt's item weighs before its row is read: its row's sum to the power −c.
    pub(super) scale: Array<f64>,
    pub(super) smoothing: Option<Smoothing>,
    pub(super) shelf: Shelf<Scratch>,
}

#[derive(Debug)]
pub(super) struct Smoothing {
    /// Neighbours of each item, and by how much.
    pub near: Weighted,
    /// Items that have an item as their neighbour, and by how much.
    pub near_to: Weighted,
    /// α, β, γ.
    pub strengths: Array<f64>,
}

/// Rows with a weight for every value.
#[derive(Debug)]
pub(super) struct Weighted {
    pub columns: Csr,
    pub weights: Array<f32>,
}

impl Weighted {
    /// Columns and weights of a row.
    pub fn row(&self, row: u32) -> impl Iterator<Item = (u32, f64)> + '_ {
        let range = self.columns.range(row as usize);
        let columns = self.columns.values()[range.clone()].iter().copied();
        columns.zip(self.weights[range].iter().map(|&weight| f64::from(weight)))
    }
}

impl CooccurrenceIndex {
    /// Count the pairs of train sessions.
    ///
    /// # Errors
    /// `Shape` if the neighbours are not those of `n_items` items, `Data` if one of them does not exist,
    /// `Config` for weights below 0 or not finite, `Stopped`.
    pub fn new(train: &Train<'_>, stop: &Stop) -> Result<Self> {
        check(train)?;
        let counts = count(
            train.sessions,
            train.n_items,
            train.forward,
            train.backward,
            stop,
        )?;
        let mut sums: Vec<f64> = (0..train.n_items)
            .map(|item| {
                let row = &counts.values[counts.columns.range(item)];
                row.iter().fold(0.0, |sum, &value| sum + f64::from(value))
            })
            .collect();
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
            columns: counts.columns,
            values: counts.values.into(),
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
        let (columns, values) = read_weighted(&file, "pairs", n_items)?;
        let smoothing = match file.optional("smoothing")? {
            None => None,
            Some(strengths) => {
                let [near, near_to] =
                    ["near", "near_to"].map(|name| read_weighted(&file, name, n_items));
                let ((near, near_weights), (near_to, near_to_weights)) = (near?, near_to?);
                Some(Smoothing {
                    near: Weighted {
                        columns: near,
                        weights: near_weights,
                    },
                    near_to: Weighted {
                        columns: near_to,
                        weights: near_to_weights,
                    },
                    strengths,
                })
            }
        };
        let strengths = smoothing
            .as_ref()
            .map_or(&[0.0; 3][..], |smoothing| &smoothing.strengths);
        if strengths.len() != 3
            || scale
                .iter()
                .chain(strengths)
                .any(|value| !value.is_finite())
        {
            return Err(file.damaged("its weights are not numbers"));
        }
        Ok(Self {
            columns,
            values,
            scale,
            smoothing,
            shelf: Shelf::default(),
        })
    }

    /// Number of items.
    pub fn n_items(&self) -> usize {
        self.scale.len()
    }

    /// Number of pairs that were seen.
    pub fn n_pairs(&self) -> usize {
        self.values.len()
    }

    /// What is saved, by name; the same names are read by `open`.
    pub fn parts(&self) -> Vec<(String, Part<'_>)> {
        let mut parts = vec![("scale".into(), Part::F64(&self.scale))];
        parts.extend(weighted_parts("pairs", &self.columns, &self.values));
        if let Some(smoothing) = &self.smoothing {
            parts.push(("smoothing".into(), Part::F64(&smoothing.strengths)));
            for (name, rows) in [("near", &smoothing.near), ("near_to", &smoothing.near_to)] {
                parts.extend(weighted_parts(name, &rows.columns, &rows.weights));
            }
        }
        parts
    }
}

impl Smoothing {
    fn new(near: Near<'_>, n_items: usize) -> Self {
        let kept = |(place, (&item, &score)): (usize, (&i32, &f32))| {
            let row = (place / near.width) as u32;
            (item >= 0 && score > 0.0).then_some((row, item as u32, score))
        };
        let entries = near
            .items
            .iter()
            .zip(near.scores)
            .enumerate()
            .filter_map(kept);
        let entries: Vec<(u32, u32, f32)> = entries.collect();
        // Grouping keeps the order, so that the weights group alike by their bits.
        let group = |key: fn(&(u32, u32, f32)) -> (u32, u32)| Weighted {
            columns: Csr::group(n_items, entries.iter().map(key)),
            weights: Csr::group(
                n_items,
                entries
                    .iter()
                    .map(|entry| (key(entry).0, entry.2.to_bits())),
            )
            .values()
            .iter()
            .map(|&bits| f32::from_bits(bits))
            .collect::<Vec<_>>()
            .into(),
        };
        Self {
            near: group(|&(row, item, _)| (row, item)),
            near_to: group(|&(row, item, _)| (item, row)),
            strengths: vec![near.of_prompts, near.of_items, near.direct].into(),
        }
    }

    /// Row sums of (I + αT)·C from those of C.
    fn smooth(&self, sums: &[f64]) -> Vec<f64> {
        let of_prompts = self.strengths[0];
        let smoothed = (0..sums.len()).map(|item| {
            let near = self.near.row(item as u32);
            let passed = near.fold(0.0, |sum, (other, weight)| {
                sum + weight * sums[other as usize]
            });
            sums[item] + of_prompts * passed
        });
        smoothed.collect()
    }
}

fn weighted_parts<'a>(name: &str, columns: &'a Csr, weights: &'a [f32]) -> [(String, Part<'a>); 3] {
    [
        (format!("{name}.values"), Part::U32(columns.values())),
        (format!("{name}.offsets"), Part::U64(columns.offsets())),
        (format!("{name}.weights"), Part::F32(weights)),
    ]
}

fn read_weighted(file: &IndexFile, name: &str, n_items: usize) -> Result<(Csr, Array<f32>)> {
    let columns = Csr::read(file, name, n_items)?;
    let weights: Array<f32> = file.array(&format!("{name}.weights"))?;
    let fits = columns.n_rows() == n_items && weights.len() == columns.values().len();
    if !fits || weights.iter().any(|weight| !weight.is_finite()) {
        return Err(file.damaged(&format!("\"{name}\" holds no weighted rows")));
    }
    Ok((columns, weights))
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

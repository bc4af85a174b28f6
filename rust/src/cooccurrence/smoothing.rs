//! Text neighbours of every item, both ways.

use super::index::Near;
use super::weighted::Weighted;
use crate::csr::Csr;
use crate::error::Result;
use crate::mapped::{Array, IndexFile, Part};

/// Neighbours, and how far a prompt is smoothed by them.
#[derive(Debug)]
pub(super) struct Smoothing {
    /// Neighbours of each item, and by how much.
    pub near: Weighted,
    /// Items that have an item as their neighbour, and by how much.
    pub near_to: Weighted,
    /// α, β, γ.
    pub strengths: Array<f64>,
}

impl Smoothing {
    pub fn new(near: Near<'_>, n_items: usize) -> Self {
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
    pub fn smooth(&self, sums: &[f64]) -> Vec<f64> {
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

    /// Read what `parts` named, if the index was smoothed.
    pub fn read(file: &IndexFile, n_items: usize) -> Result<Option<Self>> {
        let Some(strengths) = file.optional::<f64>("smoothing")? else {
            return Ok(None);
        };
        if strengths.len() != 3 || strengths.iter().any(|value| !value.is_finite()) {
            return Err(file.damaged("\"smoothing\" is not three numbers"));
        }
        Ok(Some(Self {
            near: Weighted::read(file, "near", n_items)?,
            near_to: Weighted::read(file, "near_to", n_items)?,
            strengths,
        }))
    }

    /// What is saved.
    pub fn parts(&self) -> Vec<(String, Part<'_>)> {
        let mut parts = vec![("smoothing".into(), Part::F64(&self.strengths))];
        parts.extend(self.near.parts("near"));
        parts.extend(self.near_to.parts("near_to"));
        parts
    }
}

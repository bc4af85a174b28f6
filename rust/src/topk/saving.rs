//! An index of items as arrays in a file, mapped when it is opened.

use std::path::Path;

use super::bound::Projection;
use super::kernels::{BLOCK, LANES, Layout};
use super::project::{Axes, Front, MOST_KEPT};
use super::space::Space;
use super::store::{COLUMNS, Store};
use super::{ItemIndex, Similarity};
use crate::error::Result;
use crate::mapped::{Array, IndexFile, Part};

/// What the file says that it holds.
pub const FORMAT: &str = "llmseq item index";
/// Raised whenever the arrays change.
pub const VERSION: &str = "5";

const SIMILARITIES: [Similarity; 3] = [Similarity::Dot, Similarity::Cosine, Similarity::Euclidean];

/// The numbers of an index, as the file has them.
#[derive(Debug)]
pub struct Numbers {
    /// Items, width, axes and their exponent, fine and coarse ones of the front, queries that read it, exponent,
    /// similarity.
    whole: [i64; 9],
    /// Longest z, and how far axes are from orthonormal.
    real: [f64; 2],
}

impl Numbers {
    /// Of an index that was made.
    pub fn new(n_items: usize, similarity: Similarity, space: &Space, longest: f64) -> Self {
        let axes = space.axes.as_ref();
        let front = axes.map_or(Layout::default(), |axes| axes.front.layout);
        let errors = axes.map_or(Projection::default(), |axes| axes.errors);
        let number = SIMILARITIES.iter().position(|&known| known == similarity);
        Self {
            whole: [
                n_items as i64,
                space.centre.len() as i64,
                axes.map_or(0, |axes| axes.number as i64),
                axes.map_or(0, |axes| i64::from(axes.exponent)),
                front.fine as i64,
                front.coarse as i64,
                space.few() as i64,
                i64::from(space.exponent),
                number.map_or(-1, |number| number as i64),
            ],
            real: [longest, errors.skew],
        }
    }
}

impl ItemIndex {
    /// The arrays that make the index, by name.
    pub fn parts(&self) -> Vec<(String, Part<'_>)> {
        let store = &self.store;
        let mut parts = vec![
            ("rows", Part::F32(&self.rows)),
            ("numbers", Part::I64(&self.numbers.whole)),
            ("lengths", Part::F64(&self.numbers.real)),
            ("centre", Part::F32(&self.space.centre)),
            ("order", Part::U32(&store.order)),
            ("panels", Part::U8(&store.bytes)),
            ("panel_stats", Part::F32(&store.stats)),
        ];
        if let Some(axes) = &self.space.axes {
            parts.push(("axes", Part::I16(axes.values.as_flattened())));
            parts.push(("fronts", Part::U8(&store.fronts)));
            parts.push(("codes", Part::U8(&store.codes)));
            parts.push(("code_stats", Part::F32(&store.code_stats)));
        }
        let named = parts.into_iter().map(|(name, part)| (name.into(), part));
        named.collect()
    }

    /// Map a saved index.
    ///
    /// # Errors
    /// `Artifact` that names the file if it is missing, cut short, of another kind or version, or if its
    /// arrays do not fit together.
    pub fn open(path: &Path) -> Result<Self> {
        let file = IndexFile::open(path, FORMAT, VERSION)?;
        let misfit = || file.damaged("its arrays do not fit together");
        let (whole, real): (Array<i64>, Array<f64>) =
            (file.array("numbers")?, file.array("lengths")?);
        let (
            &[
                n_items,
                dim,
                n_axes,
                axis_exponent,
                n_fine,
                n_coarse,
                few,
                exponent,
                similarity,
            ],
            &[longest, skew],
        ) = (&*whole, &*real)
        else {
            return Err(misfit());
        };
        let small = |value: i64| u16::try_from(value).map(usize::from).map_err(|_| misfit());
        let n_items = u32::try_from(n_items).map_err(|_| misfit())? as usize;
        let (dim, n_axes) = (small(dim.wrapping_sub(1))? + 1, small(n_axes)?);
        let front = Layout {
            fine: small(n_fine)?,
            coarse: small(n_coarse)?,
        };
        let few = small(few)?;
        let power = |value: i64| i16::try_from(value).map(i32::from).map_err(|_| misfit());
        let exponent = power(exponent)?;
        let similarity = usize::try_from(similarity).ok();
        let similarity = similarity.and_then(|number| SIMILARITIES.get(number).copied());
        let similarity = similarity.ok_or_else(misfit)?;
        let axes = if n_axes > 0 {
            let exponent = power(axis_exponent)?;
            let values: Array<i16> = file.array("axes")?;
            Some(Axes {
                values: values.as_chunks().0.to_vec(),
                exponent,
                number: n_axes,
                front: Front {
                    layout: front,
                    few,
                    most_kept: MOST_KEPT,
                },
                errors: Projection::new(skew, dim, exponent),
            })
        } else {
            None
        };
        let centre: Array<f32> = file.array("centre")?;
        let space = Space {
            centre: centre.to_vec(),
            exponent,
            axes,
        };
        let width = space.width();
        let bytes = |name: &str| {
            let found = file.optional(name)?;
            Ok(found.unwrap_or_else(|| Array::from(Vec::new())))
        };
        let store = Store {
            order: file.array("order")?,
            bytes: file.array("panels")?,
            stats: file.array("panel_stats")?,
            fronts: bytes("fronts")?,
            front: space.front(),
            codes: bytes("codes")?,
            code_stats: file
                .optional("code_stats")?
                .unwrap_or_else(|| Array::from(Vec::new())),
            width,
        };
        let rows: Array<f32> = file.array("rows")?;
        let n_panels = Store::n_panels(n_items);
        let code_rows = if n_axes > 0 { n_items } else { 0 };
        let n_fronts = if space.has_fronts() { n_panels } else { 0 };
        let fits = n_items > 0
            && rows.len() == n_items * dim
            && space.centre.len() == dim
            && space.axes.as_ref().is_none_or(|axes| axes.fit(dim))
            && n_axes.is_multiple_of(BLOCK)
            && front.is_whole() == (n_axes > 0)
            && front.width() <= n_axes
            && store.order.len() == n_items
            && store.bytes.len() == n_panels * LANES * width
            && store.fronts.len() == n_fronts * LANES * store.front.n_bytes()
            && store.stats.len() == n_panels * COLUMNS
            && store.codes.len() == code_rows * dim
            && store.code_stats.len() == code_rows * 3
            && is_permutation(&store.order)
            && [longest, skew]
                .iter()
                .all(|value| value.is_finite() && *value >= 0.0);
        if !fits {
            return Err(misfit());
        }
        Ok(Self::assemble(rows, similarity, space, store, longest))
    }
}

fn is_permutation(order: &[u32]) -> bool {
    let mut seen = vec![false; order.len()];
    order.iter().all(|&item| {
        let place = seen.get_mut(item as usize);
        place.is_some_and(|seen| !std::mem::replace(seen, true))
    })
}

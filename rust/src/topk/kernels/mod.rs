//! The inner loops of a search, written once for each set of instructions.
//!
//! All paths give the same integers for the same bytes; sums of floats may differ within the bounds that their
//! callers derive. The range of a query's 8-bit values differs ([`Kernels::query_limit`]), and with it how many
//! items survive the scan, never which are listed.

#![allow(unsafe_code)]
// Loops that every path compiles for itself have to be inlined; a NaN that no bound excludes must count as
// reached, which only a negated comparison says; the rest is the style of intrinsics.
#![allow(
    clippy::inline_always,
    clippy::neg_cmp_op_on_partial_ord,
    clippy::needless_bitwise_bool,
    clippy::wildcard_imports,
    clippy::cast_ptr_alignment,
    clippy::many_single_char_names
)]

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod project;
mod sweep;
mod unordered;

use super::quantise::{Rounded, quantise};
use crate::cpu::Cpu;
use crate::error::Result;

pub use project::BLOCK;
pub use sweep::{Maxima, PanelStats, Side};

/// Items of a panel: one 512-bit register holds four bytes of each.
pub const LANES: usize = 16;
/// Panels that are scanned together; catalogues are padded to a multiple.
pub const TILE: usize = 4;
/// Hits whose rows are asked for before they are read.
const AHEAD: usize = 8;

/// Panels of 8-bit items as the scan reads them.
#[derive(Debug, Clone, Copy)]
pub struct Panels<'a> {
    /// `[panel][width / 4][lane][4]`, each value + 128.
    pub bytes: &'a [u8],
    /// Bytes of an item, a multiple of 4.
    pub width: usize,
    /// Lanes of each panel that may be listed; `TILE` divides their number.
    pub lanes: &'a [u16],
}

/// 8-bit queries: rows as wide as an item, and what undoes the + 128 of the items.
#[derive(Debug, Clone, Copy)]
pub struct Queries<'a> {
    /// `[query][width]`.
    pub values: &'a [i8],
    /// −128 · the sum of each row.
    pub starts: &'a [i32],
}

/// A query that looks at a panel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look<'a> {
    /// Its 8-bit values.
    pub query: &'a [i8],
    /// −128 · their sum.
    pub start: i32,
    /// What makes bounds of its dots.
    pub side: Side,
    /// What they have to reach.
    pub needed: f32,
    /// Lanes that it may list.
    pub lanes: u16,
    /// Its number in the group.
    pub number: u32,
    /// Place of the panel's first lane.
    pub first: u32,
}

/// An item that may belong to a query's list.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    /// Number of the query in its group.
    pub query: u32,
    /// Place of the item in the scan.
    pub place: u32,
    /// Its bound.
    pub most: f32,
}

impl Hit {
    /// Whether it may have what is needed.
    pub fn reaches(&self, needed: f32) -> bool {
        !(self.most < needed)
    }
}

/// Items in all their dimensions, a row of bytes (each value + 128) each.
#[derive(Debug, Clone, Copy)]
pub struct CodeRows<'a> {
    /// `[place][width]`.
    pub bytes: &'a [u8],
    /// Step, length, length of the rounding.
    pub stats: &'a [[f32; 3]],
    /// Bytes of a row.
    pub width: usize,
    /// Whether an item loses half its squared length.
    pub loss: bool,
}

/// A query in all its dimensions.
#[derive(Debug, Clone, Copy, Default)]
pub struct CodeQuery<'a> {
    /// 8-bit values.
    pub values: &'a [i8],
    /// −128 · their sum.
    pub start: i32,
    /// Their step.
    pub step: f32,
    /// Factors of a row's length and rounding.
    pub factors: [f32; 2],
}

impl CodeRows<'_> {
    /// The most that the item of a row with this dot may have of what is compared.
    #[inline(always)]
    fn bound(&self, place: u32, dot: i32, query: &CodeQuery<'_>) -> f32 {
        let [step, length, rounding] = self.stats[place as usize];
        // Lengths are rounded upwards; half the square must not be.
        let loss = if self.loss {
            length * length * 0.499_999
        } else {
            0.0
        };
        (dot + query.start) as f32 * (query.step * step)
            + query.factors[0] * length
            + query.factors[1] * rounding
            - loss
    }
}

/// Which instructions the loops use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernels {
    /// Plain Rust.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX2 with 8-bit dot products.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// AVX-512 with 8-bit dot products.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// [`Kernels::Avx512Vnni`] and 8-bit products of tiles.
    #[cfg(target_arch = "x86_64")]
    Amx,
}

impl Kernels {
    /// The best that the machine has, or the one that `LLMSEQ_CPU` names; a CPU with AVX-512 but no VNNI
    /// takes AVX2.
    ///
    /// # Errors
    /// `Config` if the variable names a path that this machine lacks.
    pub fn chosen() -> Result<Self> {
        Ok(match Cpu::chosen()? {
            #[cfg(target_arch = "x86_64")]
            Cpu::AmxInt8 => Self::Amx,
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512Vnni => Self::Avx512Vnni,
            #[cfg(target_arch = "x86_64")]
            Cpu::AvxVnni => Self::AvxVnni,
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2 | Cpu::Avx512 => Self::Avx2,
            _ => Self::Portable,
        })
    }

    /// Whether many queries are multiplied in tiles.
    pub fn has_tiles(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => true,
            _ => false,
        }
    }

    /// Largest absolute value of a query's bytes. AVX2 adds pairs of products in 16 bits: 2 · 255 · 63
    /// still fits, 2 · 255 · 127 would not.
    pub fn query_limit(self) -> i8 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 63,
            _ => 127,
        }
    }

    /// The largest dot of each query with each panel's listable lanes, (query, panel); `i32::MIN` where a
    /// panel has none.
    ///
    /// # Panics
    /// If a length does not fit the others: the loops below read without looking.
    pub fn maxima(self, panels: Panels<'_>, queries: Queries<'_>, out: &mut [i32]) {
        let n_panels = panels.lanes.len();
        assert!(panels.width > 0 && panels.width.is_multiple_of(4));
        assert!(n_panels.is_multiple_of(TILE));
        assert_eq!(panels.bytes.len(), n_panels * LANES * panels.width);
        assert_eq!(queries.values.len(), queries.starts.len() * panels.width);
        assert_eq!(out.len(), queries.starts.len() * n_panels);
        // SAFETY: the lengths are as the kernels need them (above); `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => portable::maxima(panels, queries, out),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::maxima(panels, queries, out),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::maxima(panels, queries, out),
                #[cfg(target_arch = "x86_64")]
                Self::Amx if queries.starts.len() >= amx::QUERIES => {
                    amx::maxima(panels, queries, out);
                }
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni | Self::Amx => avx512::maxima(panels, queries, out),
            }
        }
    }

    /// Score a panel for some queries; every listable lane that reaches what is needed is added to `found`.
    ///
    /// # Panics
    /// If a query is not as wide as the panel.
    pub fn look(self, panel: &[u8], looks: &[Look<'_>], found: &mut Vec<Hit>) {
        for look in looks {
            assert_eq!(panel.len(), LANES * look.query.len());
        }
        // SAFETY: the panel holds `LANES` bytes for each of a query's (above), of which there are a multiple
        // of 4 (`Store`); `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => portable::look(panel, looks, found),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::look(panel, looks, found),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::look(panel, looks, found),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni | Self::Amx => avx512::look(panel, looks, found),
            }
        }
    }

    /// Bound every hit by all its dimensions: the dot of a row of bytes (each value + 128) with a query.
    ///
    /// # Panics
    /// If a hit's row or query does not exist.
    pub fn closer(self, rows: CodeRows<'_>, queries: &[CodeQuery<'_>], hits: &mut [Hit]) {
        let n_rows = rows.bytes.len() / rows.width;
        assert_eq!(rows.stats.len(), n_rows);
        assert!(queries.iter().all(|query| query.values.len() == rows.width));
        let most = hits.iter().map(|hit| hit.place as usize).max().unwrap_or(0);
        let last = hits.iter().map(|hit| hit.query as usize).max().unwrap_or(0);
        assert!(hits.is_empty() || (most < n_rows && last < queries.len()));
        // SAFETY: every hit has a row and a query, equally wide (above); `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => portable::closer(rows, queries, hits),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::closer(rows, queries, hits),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::closer(rows, queries, hits),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni | Self::Amx => avx512::closer(rows, queries, hits),
            }
        }
    }

    /// Dot of a row with a query: products in float64, which are exact, added in any order.
    pub fn dot(self, row: &[f32], query: &[f64]) -> f64 {
        // SAFETY: `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => unordered::dot(row, query, |sum, a, b| sum + a * b),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::dot(row, query),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::dot(row, query),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni | Self::Amx => avx512::dot(row, query),
            }
        }
    }

    /// Squared distance of a row and a query: squares in float64, added in any order.
    pub fn squared_distance(self, row: &[f32], query: &[f64]) -> f64 {
        // SAFETY: `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => unordered::squared_distance(row, query, |sum, a, b| sum + a * b),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::squared_distance(row, query),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::squared_distance(row, query),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni | Self::Amx => avx512::squared_distance(row, query),
            }
        }
    }

    /// The places of `maxima` whose upper bound reaches what is needed, each given to `take`.
    ///
    /// # Panics
    /// If the statistics are of another number of panels.
    pub fn sweep(self, maxima: Maxima<'_>, take: &mut dyn FnMut(usize)) {
        // SAFETY: `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => sweep::sweep(maxima, take),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::sweep(maxima, take),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::sweep(maxima, take),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni | Self::Amx => avx512::sweep(maxima, take),
            }
        }
    }

    /// Write the integers nearest to `values / step`, within `±limit`.
    pub fn quantise(self, values: &[f32], step: f32, limit: i8, out: &mut [i8]) -> Rounded {
        // SAFETY: `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => quantise(values, step, limit, out),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::quantise(values, step, limit, out),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::quantise(values, step, limit, out),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni | Self::Amx => avx512::quantise(values, step, limit, out),
            }
        }
    }

    /// Products of rows (row, dim) with a matrix in blocks of [`BLOCK`] columns, `[block][dim][BLOCK]`.
    ///
    /// # Panics
    /// If a length does not fit the others.
    pub fn project(self, rows: &[f32], dim: usize, matrix: &[f32], out: &mut [f32]) {
        assert_eq!(matrix.len() % (dim * BLOCK), 0);
        assert_eq!(rows.len() % dim, 0);
        assert_eq!(out.len(), rows.len() / dim * (matrix.len() / dim));
        // SAFETY: `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => {
                    project::project::<1>(rows, dim, matrix, out, |sum, a, b| sum + a * b);
                }
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::project(rows, dim, matrix, out),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::project(rows, dim, matrix, out),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni | Self::Amx => avx512::project(rows, dim, matrix, out),
            }
        }
    }

    /// How many values are not below a level.
    pub fn count(self, values: &[f32], level: f32) -> usize {
        // SAFETY: `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => sweep::count(values, level),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::count(values, level),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::count(values, level),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni | Self::Amx => avx512::count(values, level),
            }
        }
    }
}

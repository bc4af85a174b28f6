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
mod views;

use crate::cpu::Cpu;
use crate::error::Result;
use crate::simd::compiled_for;

pub use project::{BLOCK, Pair};
pub use sweep::{Kept, Maxima, PanelStats, Top, count, lane_of};
pub use views::{COARSE, CodeQuery, CodeRows, Hit, Layout, Look, Panels, Queries, start_of};

/// Items of a panel: one 512-bit register holds four bytes of each.
pub const LANES: usize = 16;
/// Panels that are scanned together; catalogues are padded to a multiple.
pub const TILE: usize = 4;
/// So many queries wait for memory more than for products; their dots can be kept.
pub const FEW: usize = 8;
/// How far ahead of what they read these ask for bytes.
#[cfg(target_arch = "x86_64")]
const DISTANCE: usize = 14 << 10;
/// Hits whose rows are asked for before they are read.
const AHEAD: usize = 16;

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

    /// Largest absolute value of the bytes of a query of a width. AVX2 adds pairs of products in 16 bits:
    /// 2 · 255 · 63 still fits, 2 · 255 · 127 would not. A dot and its lane stand in 32 bits: LANES · 127 · 127
    /// times the width fits to a width of 8,321.
    pub fn query_limit(self, width: usize) -> i8 {
        let most = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 63,
            _ => 127,
        };
        let fits = (i32::MAX as usize / LANES - 1) / (127 * width);
        i8::try_from(fits).map_or(most, |fits| fits.min(most))
    }

    /// The two largest dots of each query with each panel's listable lanes, each times [`LANES`] and its lane
    /// added: (query, 2, panel). `i32::MIN` where a panel has no such. All of these go to `kept`, (query, panel, lane), unless
    /// it is empty.
    ///
    /// # Panics
    /// If a length does not fit the others: the loops below read without looking.
    pub fn maxima(
        self,
        panels: Panels<'_>,
        queries: Queries<'_>,
        out: &mut [i32],
        kept: &mut [i32],
    ) {
        let n_panels = panels.lanes.len();
        let layout = panels.layout;
        assert!(layout.is_whole() && n_panels.is_multiple_of(TILE));
        assert_eq!(panels.bytes.len(), n_panels * LANES * layout.n_bytes());
        assert_eq!(queries.values.len(), queries.starts.len() * layout.width());
        assert_eq!(out.len(), queries.starts.len() * 2 * n_panels);
        let n_kept = queries.starts.len() * n_panels * LANES;
        assert!(kept.is_empty() || (kept.len() == n_kept && queries.starts.len() <= FEW));
        // SAFETY: the lengths are as the kernels need them (above); `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => portable::maxima(panels, queries, out, kept),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::maxima(panels, queries, out, kept),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::maxima(panels, queries, out, kept),
                #[cfg(target_arch = "x86_64")]
                Self::Amx if queries.starts.len() >= amx::QUERIES && layout.coarse == 0 => {
                    amx::maxima(panels, queries, out);
                }
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni | Self::Amx => avx512::maxima(panels, queries, out, kept),
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
        hits.iter().take(AHEAD).for_each(|hit| rows.expect(hit));
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

    /// The panels whose upper bound reaches what is needed, each given to `take`.
    ///
    /// # Panics
    /// If the statistics or the second dots are of another number of panels.
    pub fn sweep(self, maxima: Maxima<'_>, take: impl FnMut(Top)) {
        maxima.check();
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

    /// Write the places whose bound reaches what is needed, and say how many.
    ///
    /// # Panics
    /// If the statistics, the dots or the lanes are of another number of panels, or if there are fewer places to write
    /// to than dots.
    pub fn reaching(self, maxima: Maxima<'_>, kept: Kept<'_>, out: &mut [u32]) -> usize {
        maxima.check();
        let n_panels = maxima.firsts.len();
        assert!(kept.lanes.len() == n_panels && kept.dots.len() == n_panels * LANES);
        assert!(out.len() >= kept.dots.len());
        // SAFETY: `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => sweep::reaching(maxima, kept, out),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::reaching(maxima, kept, out),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::reaching(maxima, kept, out),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni | Self::Amx => avx512::reaching(maxima, kept, out),
            }
        }
    }

    /// Run a plain loop in code compiled for these instructions; see [`compiled_for`].
    #[inline]
    pub fn compiled<R>(self, work: impl FnOnce() -> R) -> R {
        compiled_for(self.cpu(), work)
    }

    fn cpu(self) -> Cpu {
        match self {
            Self::Portable => Cpu::Portable,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Cpu::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => Cpu::AvxVnni,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Cpu::Avx512Vnni,
            #[cfg(target_arch = "x86_64")]
            Self::Amx => Cpu::AmxInt8,
        }
    }

    /// Products of rows (row, pair) with a matrix in blocks of [`BLOCK`] columns, `[block][pair][BLOCK]`, as
    /// (row, column). No sum may exceed an int32.
    ///
    /// # Panics
    /// If a length does not fit the others.
    pub fn project(self, rows: &[Pair], n_pairs: usize, matrix: &[Pair], out: &mut [i32]) {
        assert_eq!(matrix.len() % (n_pairs * BLOCK), 0);
        assert_eq!(rows.len() % n_pairs, 0);
        assert_eq!(out.len(), rows.len() / n_pairs * (matrix.len() / n_pairs));
        // SAFETY: the lengths fit (above); `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => project::project(rows, n_pairs, matrix, out),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::project(rows, n_pairs, matrix, out),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::project(rows, n_pairs, matrix, out),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni | Self::Amx => avx512::project(rows, n_pairs, matrix, out),
            }
        }
    }
}

//! The five inner loops of a search, written once for each set of instructions.
//!
//! All paths give the same integers and the same canonical sums; only the range of a query's 8-bit values
//! differs ([`Kernels::query_limit`]), and with it how many items survive the scan, never which are listed.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod sweep;

use crate::cpu::Cpu;
use crate::error::Result;

pub use sweep::{Maxima, PanelStats};

/// Items of a panel: one 512-bit register holds four bytes of each.
pub const LANES: usize = 16;
/// Panels that are scanned together; catalogues are padded to a multiple.
pub const TILE: usize = 4;
/// Items whose canonical sums run side by side.
pub const BATCH: usize = 16;

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

/// 8-bit queries: rows of `width` values, and what undoes the + 128 of the items.
#[derive(Debug, Clone, Copy)]
pub struct Queries<'a> {
    /// `[query][width]`.
    pub values: &'a [i8],
    /// −128 · the sum of each row.
    pub starts: &'a [i32],
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
            Cpu::Avx512Vnni => Self::Avx512Vnni,
            #[cfg(target_arch = "x86_64")]
            Cpu::AvxVnni => Self::AvxVnni,
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2 | Cpu::Avx512 => Self::Avx2,
            _ => Self::Portable,
        })
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
                Self::Avx512Vnni => avx512::maxima(panels, queries, out),
            }
        }
    }

    /// Dots of one query with all lanes of four panels, listable or not.
    ///
    /// # Panics
    /// If a panel does not exist or a length does not fit.
    pub fn scores(
        self,
        panels: Panels<'_>,
        which: [u32; TILE],
        query: &[i8],
        start: i32,
    ) -> [[i32; LANES]; TILE] {
        let size = LANES * panels.width;
        assert!(panels.width > 0 && panels.width.is_multiple_of(4));
        assert_eq!(query.len(), panels.width);
        let four = which.map(|panel| &panels.bytes[panel as usize * size..][..size]);
        // SAFETY: each slice holds one panel and the query one row; `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => portable::scores(four, query, start),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::scores(four, query, start),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::scores(four, query, start),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni => avx512::scores(four, query, start),
            }
        }
    }

    /// Dots of one query with rows of bytes (each value + 128) that are as long.
    pub fn row_dots<'a>(self, rows: &'a [u8], query: &'a [i8], start: i32) -> RowDots<'a> {
        RowDots {
            kernels: self,
            rows,
            query,
            start,
        }
    }

    /// Canonical sums of one query with up to [`BATCH`] rows: products in float64, added in index order.
    /// The other places of the answer hold anything.
    ///
    /// # Panics
    /// If there is no row, or too many, or one of another width.
    pub fn dots(self, rows: &[&[f32]], query: &[f64]) -> [f64; BATCH] {
        let rows = batch(rows, query.len());
        // SAFETY: every row is as long as the query; `chosen` found the instructions.
        unsafe {
            match self {
                Self::Portable => portable::dots(&rows, query),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::plain::dots(&rows, query),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => avx2::vnni::dots(&rows, query),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni => avx512::dots(&rows, query),
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
                Self::Avx512Vnni => avx512::sweep(maxima, take),
            }
        }
    }

    /// Ask for memory that will be read soon.
    fn prefetch<T>(self, values: &[T]) {
        #[cfg(target_arch = "x86_64")]
        if self != Self::Portable {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let bytes = size_of_val(values);
            for offset in (0..bytes).step_by(64) {
                // SAFETY: a prefetch reads nothing; the address lies inside the slice.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().cast::<i8>().add(offset)) };
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = values;
    }

    /// Ask for a row that [`Kernels::dots`] will read soon.
    pub fn expect(self, row: &[f32]) {
        self.prefetch(row);
    }
}

/// See [`Kernels::row_dots`].
#[derive(Debug, Clone, Copy)]
pub struct RowDots<'a> {
    kernels: Kernels,
    rows: &'a [u8],
    query: &'a [i8],
    start: i32,
}

impl RowDots<'_> {
    /// Ask for a row that will be read soon.
    pub fn expect(&self, row: u32) {
        self.kernels.prefetch(self.row(row));
    }

    /// The dot with a row.
    pub fn of(&self, row: u32) -> i32 {
        let (row, query) = (self.row(row), self.query);
        // SAFETY: both are equally long; `chosen` found the instructions.
        let dot = unsafe {
            match self.kernels {
                Kernels::Portable => portable::row_dot(row, query),
                #[cfg(target_arch = "x86_64")]
                Kernels::Avx2 => avx2::plain::row_dot(row, query),
                #[cfg(target_arch = "x86_64")]
                Kernels::AvxVnni => avx2::vnni::row_dot(row, query),
                #[cfg(target_arch = "x86_64")]
                Kernels::Avx512Vnni => avx512::row_dot(row, query),
            }
        };
        self.start + dot
    }

    fn row(&self, row: u32) -> &[u8] {
        &self.rows[row as usize * self.query.len()..][..self.query.len()]
    }
}

/// A full batch: the last row again in the places that are left.
fn batch<'a>(rows: &[&'a [f32]], width: usize) -> [&'a [f32]; BATCH] {
    assert!(!rows.is_empty() && rows.len() <= BATCH);
    assert!(rows.iter().all(|row| row.len() == width));
    std::array::from_fn(|place| rows[place.min(rows.len() - 1)])
}

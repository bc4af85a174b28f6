//! AMX: one instruction multiplies 16 queries by 16 items in 64 dimensions. Only the scan of all panels for
//! many queries has use for it; the rest is AVX-512.

use std::arch::asm;
use std::arch::x86_64::*;

use super::avx512::{expect, listable, two_largest_of_four};
use super::{LANES, Panels, Queries, TILE};

/// Queries of a tile.
pub const QUERIES: usize = 16;
/// Dimensions of a tile.
const DEEP: usize = 64;

/// Shapes of the eight tile registers, as `ldtilecfg` reads them.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Shapes {
    /// Sums of four panels (0 to 3), queries and items in [`DEEP`] dimensions (4, 5) and in those that are
    /// left (6, 7).
    fn new(left: usize) -> Self {
        let mut shapes = Self {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        let left = if left == 0 { DEEP } else { left };
        for tile in 0..8 {
            shapes.row_bytes[tile] = if tile == 6 { left as u16 } else { 64 };
            shapes.rows[tile] = if tile == 7 { left as u8 / 4 } else { 16 };
        }
        shapes
    }
}

/// Dots of [`QUERIES`] queries with the lanes of a panel.
#[repr(C, align(64))]
struct Sums([[i32; LANES]; QUERIES]);

/// # Safety
/// The lengths are as `Kernels::maxima` checks them, all values are fine, there are at least [`QUERIES`] queries,
/// and Linux has granted the tiles.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub unsafe fn maxima(panels: Panels<'_>, queries: Queries<'_>, out: &mut [i32]) {
    let (n_panels, n_queries) = (panels.lanes.len(), queries.starts.len());
    let width = panels.layout.fine;
    let size = LANES * width;
    let lines = TILE * size / 64;
    let shapes = Shapes::new(width % DEEP);
    let mut sums = [const { Sums([[0; LANES]; QUERIES]) }; TILE];
    // SAFETY: the shapes are valid; the tiles are given back below.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shapes, options(nostack, readonly)) };
    for (number, lanes) in panels.lanes.as_chunks::<TILE>().0.iter().enumerate() {
        // SAFETY: there are `size` bytes for each panel.
        let bytes = unsafe { panels.bytes.as_ptr().add(number * TILE * size) };
        for first in (0..n_queries).step_by(QUERIES) {
            // The last sixteen stand wholly inside; what two of them share is written twice.
            let first = first.min(n_queries - QUERIES);
            let share = first * lines / n_queries..(first + QUERIES) * lines / n_queries;
            expect(bytes.wrapping_add(TILE * size), share);
            // SAFETY: rows `first..first + QUERIES` exist, and four panels stand at `bytes`.
            unsafe {
                let values = queries.values.as_ptr().add(first * width);
                dots(bytes, values, width, &mut sums);
            }
            for row in 0..QUERIES {
                let start = _mm512_set1_epi32(queries.starts[first + row]);
                let four: [__m512i; TILE] = std::array::from_fn(|panel| {
                    // SAFETY: a row is as long as a register.
                    let dots = unsafe { _mm512_load_si512(sums[panel].0[row].as_ptr().cast()) };
                    _mm512_add_epi32(dots, start)
                });
                let (firsts, seconds) = two_largest_of_four(listable(four, *lanes));
                // SAFETY: row `first + row` of `out` has twice `n_panels` places, of which four begin here and
                // four in the second half.
                unsafe {
                    let row = out.as_mut_ptr().add((first + row) * 2 * n_panels);
                    let place = row.add(number * TILE);
                    _mm_storeu_si128(place.cast(), firsts);
                    _mm_storeu_si128(place.add(n_panels).cast(), seconds);
                }
            }
        }
    }
    // SAFETY: nothing reads the tiles any more.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
}

/// # Safety
/// Four panels of `LANES * width` bytes stand at `panels`, [`QUERIES`] rows of `width` at `values`; the tiles
/// have the [`Shapes`] of `width`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn dots(panels: *const u8, values: *const i8, width: usize, sums: &mut [Sums; TILE]) {
    let size = LANES * width;
    // SAFETY: step `s` reads bytes `64 s..64 s + 64` of sixteen rows and the 16 · 64 bytes at `1024 s` of
    // each panel, s < width / 64; then what is left of them, in tiles of that size.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "test {steps}, {steps}",
            "jz 3f",
            "2:",
            "tileloadd tmm4, [{values} + {width}*1]",
            "tileloadd tmm5, [{a} + {line}*1]",
            "tdpbsud tmm0, tmm4, tmm5",
            "tileloadd tmm5, [{b} + {line}*1]",
            "tdpbsud tmm1, tmm4, tmm5",
            "tileloadd tmm5, [{c} + {line}*1]",
            "tdpbsud tmm2, tmm4, tmm5",
            "tileloadd tmm5, [{d} + {line}*1]",
            "tdpbsud tmm3, tmm4, tmm5",
            "add {values}, 64",
            "add {a}, 1024",
            "add {b}, 1024",
            "add {c}, 1024",
            "add {d}, 1024",
            "dec {steps}",
            "jnz 2b",
            "3:",
            "test {left}, {left}",
            "jz 4f",
            "tileloadd tmm6, [{values} + {width}*1]",
            "tileloadd tmm7, [{a} + {line}*1]",
            "tdpbsud tmm0, tmm6, tmm7",
            "tileloadd tmm7, [{b} + {line}*1]",
            "tdpbsud tmm1, tmm6, tmm7",
            "tileloadd tmm7, [{c} + {line}*1]",
            "tdpbsud tmm2, tmm6, tmm7",
            "tileloadd tmm7, [{d} + {line}*1]",
            "tdpbsud tmm3, tmm6, tmm7",
            "4:",
            "tilestored [{sums} + {line}*1], tmm0",
            "tilestored [{sums} + {line}*1 + 1024], tmm1",
            "tilestored [{sums} + {line}*1 + 2048], tmm2",
            "tilestored [{sums} + {line}*1 + 3072], tmm3",
            values = inout(reg) values => _,
            a = inout(reg) panels => _,
            b = inout(reg) panels.add(size) => _,
            c = inout(reg) panels.add(2 * size) => _,
            d = inout(reg) panels.add(3 * size) => _,
            steps = inout(reg) width / DEEP => _,
            left = in(reg) width % DEEP,
            width = in(reg) width,
            line = in(reg) 64_usize,
            sums = in(reg) sums.as_mut_ptr(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack)
        );
    }
}

//! The scan of all panels: the two largest dots of each query with each.

use std::arch::x86_64::*;
use std::ops::Range;

use super::super::{COARSE, DISTANCE, FEW, LANES, Layout, Panels, Queries, TILE};

/// Queries of a tile: 6 × 4 sums and what they need fill the 32 registers.
const QUERIES: usize = 6;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub fn maxima(panels: Panels<'_>, queries: Queries<'_>, out: &mut [i32], kept: &mut [i32]) {
    let (n_panels, n_queries) = (panels.lanes.len(), queries.starts.len());
    let layout = panels.layout;
    let size = LANES * layout.n_bytes();
    let lines = TILE * size / 64;
    for (number, lanes) in panels.lanes.as_chunks::<TILE>().0.iter().enumerate() {
        // SAFETY: there are `size` bytes for each panel.
        let bytes = unsafe { panels.bytes.as_ptr().add(number * TILE * size) };
        let tile = Tile {
            bytes,
            layout,
            lanes,
        };
        let most = if n_queries <= FEW { FEW } else { QUERIES };
        for first in (0..n_queries).step_by(most) {
            let m = most.min(n_queries - first);
            if n_queries > FEW {
                let share = first * lines / n_queries..(first + m) * lines / n_queries;
                expect(bytes.wrapping_add(TILE * size), share);
            }
            // SAFETY: rows `first..first + m` exist in all three, and a row of `out` has twice `n_panels` places; where
            // anything is kept, that of each of the few has `LANES` times as many.
            unsafe {
                let values = queries.values.as_ptr().add(first * layout.width());
                let starts = queries.starts.as_ptr().add(first);
                let out = out.as_mut_ptr().add(first * 2 * n_panels + number * TILE);
                let place = number * TILE * LANES;
                let kept = (!kept.is_empty()).then(|| kept.as_mut_ptr().add(place));
                let of_few = (out, kept, n_panels);
                match m {
                    QUERIES if n_queries > FEW => tile.maxima(values, starts, out, n_panels),
                    // The last of many ask too: from memory that takes a quarter off sixteen queries.
                    _ if panels.far => tile.maxima_of_some::<true>(m, values, starts, of_few),
                    _ => tile.maxima_of_some::<false>(m, values, starts, of_few),
                }
            }
        }
    }
}

/// Ask for some lines of the panels that stand here. Behind the last panel nothing is read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub fn expect(panels: *const u8, lines: Range<usize>) {
    for line in lines {
        _mm_prefetch::<_MM_HINT_T0>(panels.wrapping_add(line * 64).cast());
    }
}

/// Four panels that follow each other.
struct Tile<'a> {
    bytes: *const u8,
    layout: Layout,
    lanes: &'a [u16; TILE],
}

impl Tile<'_> {
    /// As [`Self::maxima_of_few`], for `m` queries.
    ///
    /// # Safety
    /// As there.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn maxima_of_some<const ASKS: bool>(
        &self,
        m: usize,
        values: *const i8,
        starts: *const i32,
        out: (*mut i32, Option<*mut i32>, usize),
    ) {
        // SAFETY: as promised by the caller.
        unsafe {
            match m {
                1 => self.maxima_of_few::<1, 8, ASKS>(values, starts, out),
                2 => self.maxima_of_few::<2, 4, ASKS>(values, starts, out),
                3 => self.maxima_of_few::<3, 2, ASKS>(values, starts, out),
                4 => self.maxima_of_few::<4, 2, ASKS>(values, starts, out),
                5 => self.maxima_of_few::<5, 2, ASKS>(values, starts, out),
                6 => self.maxima_of_few::<6, 2, ASKS>(values, starts, out),
                7 => self.maxima_of_few::<7, 2, ASKS>(values, starts, out),
                _ => self.maxima_of_few::<FEW, 2, ASKS>(values, starts, out),
            }
        }
    }

    /// As [`Self::maxima`], panel after panel: few queries wait for memory, which is quickest at one stream. All dots
    /// are kept if there is room for them.
    ///
    /// # Safety
    /// As there, with `M` queries; rows of what is kept lie `LANES * n_panels` apart.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn maxima_of_few<const M: usize, const CHAINS: usize, const ASKS: bool>(
        &self,
        values: *const i8,
        starts: *const i32,
        (out, kept, n_panels): (*mut i32, Option<*mut i32>, usize),
    ) {
        let size = LANES * self.layout.n_bytes();
        let mut sums = [[_mm512_setzero_si512(); TILE]; M];
        // SAFETY: four panels stand at `bytes`, of `size` bytes each; the rest as promised by the caller.
        unsafe {
            for panel in 0..TILE {
                let bytes = self.bytes.add(panel * size);
                let dots = dots_of_one::<M, CHAINS, ASKS>(bytes, self.layout, values, starts);
                for (sums, dots) in sums.iter_mut().zip(dots) {
                    sums[panel] = dots;
                }
            }
            let dots = sums.map(|sums| listable(sums, *self.lanes));
            if let Some(kept) = kept {
                for (row, dots) in dots.iter().enumerate() {
                    let kept = kept.add(row * n_panels * LANES);
                    for (panel, &dots) in dots.iter().enumerate() {
                        _mm512_storeu_si512(kept.add(panel * LANES).cast(), dots);
                    }
                }
            }
            write(dots, out, n_panels);
        }
    }

    /// # Safety
    /// `values` points to a row of the layout's width for each of [`QUERIES`], `starts` to as many numbers, `out` to as
    /// many pairs of rows that lie `n_panels` apart and have [`TILE`] places.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn maxima(&self, values: *const i8, starts: *const i32, out: *mut i32, n_panels: usize) {
        // SAFETY: four panels stand at `bytes`; the rest as promised by the caller.
        unsafe {
            let sums = dots_of_four(self.bytes, self.layout, values, starts);
            let dots = sums.map(|sums| listable(sums, *self.lanes));
            write(dots, out, n_panels);
        }
    }
}

/// Write the two largest dots of each panel.
///
/// # Safety
/// `out` points to `M` pairs of rows that lie `n_panels` apart and have [`TILE`] places.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn write<const M: usize>(dots: [[__m512i; TILE]; M], out: *mut i32, n_panels: usize) {
    for (row, four) in dots.into_iter().enumerate() {
        let (firsts, seconds) = two_largest_of_four(four);
        // SAFETY: the pair `row` of rows of `out` has four places each.
        unsafe {
            let out = out.add(row * 2 * n_panels);
            _mm_storeu_si128(out.cast(), firsts);
            _mm_storeu_si128(out.add(n_panels).cast(), seconds);
        }
    }
}
/// The dots of four panels with their lanes, the least number in place of those that may not be listed.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub fn listable(mut dots: [__m512i; TILE], lanes: [u16; TILE]) -> [__m512i; TILE] {
    let numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for dots in &mut dots {
        *dots = _mm512_or_si512(_mm512_slli_epi32::<4>(*dots), numbers);
    }
    if lanes != [u16::MAX; TILE] {
        for (dots, lanes) in dots.iter_mut().zip(lanes) {
            *dots = _mm512_mask_mov_epi32(_mm512_set1_epi32(i32::MIN), lanes, *dots);
        }
    }
    dots
}

/// The largest and the second largest number of each: pairs of all halves of four registers, again and again.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub fn two_largest_of_four([a, b, c, d]: [__m512i; TILE]) -> (__m128i, __m128i) {
    let (low, high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (ab, ab_less) = (_mm512_max_epi32(low, high), _mm512_min_epi32(low, high));
    let (low, high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    let (cd, cd_less) = (_mm512_max_epi32(low, high), _mm512_min_epi32(low, high));
    let (low, high) = (_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let less = _mm512_max_epi32(
        _mm512_unpacklo_epi64(ab_less, cd_less),
        _mm512_unpackhi_epi64(ab_less, cd_less),
    );
    let first = _mm512_max_epi32(low, high);
    let second = _mm512_max_epi32(_mm512_min_epi32(low, high), less);
    let (low, high) = (
        _mm512_castsi512_si256(first),
        _mm512_extracti64x4_epi64::<1>(first),
    );
    let less = _mm256_max_epi32(
        _mm512_castsi512_si256(second),
        _mm512_extracti64x4_epi64::<1>(second),
    );
    let first = _mm256_max_epi32(low, high);
    let second = _mm256_max_epi32(_mm256_min_epi32(low, high), less);
    let (low, high) = (
        _mm256_castsi256_si128(first),
        _mm256_extracti128_si256::<1>(first),
    );
    let less = _mm_max_epi32(
        _mm256_castsi256_si128(second),
        _mm256_extracti128_si256::<1>(second),
    );
    (
        _mm_max_epi32(low, high),
        _mm_max_epi32(_mm_min_epi32(low, high), less),
    )
}

/// Dots of `M` queries with the lanes of a panel, each added up in `CHAINS` parts (an even number): a product waits for
/// the sum it is added to.
///
/// # Safety
/// A panel of `LANES` items of this layout stands at `panel`, `M` rows of its width at `values`, `M` numbers at
/// `starts`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn dots_of_one<const M: usize, const CHAINS: usize, const ASKS: bool>(
    panel: *const u8,
    layout: Layout,
    values: *const i8,
    starts: *const i32,
) -> [__m512i; M] {
    let width = layout.width();
    let line_at = |line: usize| {
        let line = panel.wrapping_add(64 * line);
        if ASKS {
            _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(DISTANCE).cast());
        }
        // SAFETY: as promised by the caller; this and what follows read as `dots_of_four` does.
        unsafe { _mm512_loadu_si512(line.cast()) }
    };
    let add = |sums: &mut [__m512i; M], items: __m512i, at: usize| {
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: as promised by the caller.
            let four = unsafe { values.add(row * width + at).cast::<i32>().read_unaligned() };
            *sum = _mm512_dpbusd_epi32(*sum, items, _mm512_set1_epi32(four));
        }
    };
    let only = _mm512_set1_epi8(15 * COARSE);
    let n_fine = layout.fine / 4;
    let halves = |pair: usize| {
        // Pairs of bytes are moved: what one gets of the other is cut off.
        let items = line_at(n_fine + pair);
        let lower = _mm512_and_si512(_mm512_slli_epi16::<3>(items), only);
        let upper = _mm512_and_si512(_mm512_srli_epi16::<1>(items), only);
        let at = layout.fine + 8 * pair;
        [(lower, at), (upper, at + 4)]
    };
    let mut chains = [[_mm512_setzero_si512(); M]; CHAINS];
    for (row, sum) in chains[0].iter_mut().enumerate() {
        // SAFETY: as promised by the caller.
        *sum = _mm512_set1_epi32(unsafe { *starts.add(row) });
    }
    let even = n_fine - n_fine % CHAINS;
    for first in (0..even).step_by(CHAINS) {
        for (line, sums) in (first..).zip(&mut chains) {
            add(sums, line_at(line), 4 * line);
        }
    }
    for line in even..n_fine {
        add(&mut chains[0], line_at(line), 4 * line);
    }
    let n_pairs = layout.coarse / 8;
    let even = n_pairs - n_pairs % (CHAINS / 2);
    for first in (0..even).step_by(CHAINS / 2) {
        for (pair, chains) in (first..).zip(chains.as_chunks_mut::<2>().0) {
            for (sums, (items, at)) in chains.iter_mut().zip(halves(pair)) {
                add(sums, items, at);
            }
        }
    }
    for pair in even..n_pairs {
        for (items, at) in halves(pair) {
            add(&mut chains[0], items, at);
        }
    }
    let mut sums = chains[0];
    for others in &chains[1..] {
        for (sum, &other) in sums.iter_mut().zip(others) {
            *sum = _mm512_add_epi32(*sum, other);
        }
    }
    sums
}

/// Dots of [`QUERIES`] queries with the lanes of four panels.
///
/// # Safety
/// Four panels of `LANES` items of this layout stand at `panels`, a row of its width at `values` and a number at
/// `starts` for each query.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn dots_of_four(
    panels: *const u8,
    layout: Layout,
    values: *const i8,
    starts: *const i32,
) -> [[__m512i; TILE]; QUERIES] {
    let mut sums = [[_mm512_setzero_si512(); TILE]; QUERIES];
    let (size, width) = (LANES * layout.n_bytes(), layout.width());
    let n_fine = layout.fine / 4;
    let only = _mm512_set1_epi8(15 * COARSE);
    // SAFETY: line `l` of a panel, bytes `64 l..64 l + 64`, goes with the four values of a row at `4 l` or, behind
    // the fine ones, with the eight at `fine + 8 (l - fine / 4)`.
    unsafe {
        for (row, sums) in sums.iter_mut().enumerate() {
            *sums = [_mm512_set1_epi32(*starts.add(row)); TILE];
        }
        for line in 0..n_fine {
            let items = lines_of(panels.add(64 * line), size);
            multiply(items, values.add(4 * line), width, &mut sums);
        }
        for pair in 0..layout.coarse / 8 {
            // Pairs of bytes are moved: what one gets of the other is cut off.
            let items = lines_of(panels.add(64 * (n_fine + pair)), size);
            let values = values.add(layout.fine + 8 * pair);
            let lower = items.map(|items| _mm512_and_si512(_mm512_slli_epi16::<3>(items), only));
            multiply(lower, values, width, &mut sums);
            let upper = items.map(|items| _mm512_and_si512(_mm512_srli_epi16::<1>(items), only));
            multiply(upper, values.add(4), width, &mut sums);
        }
    }
    sums
}

/// A line of each of four panels.
///
/// # Safety
/// Panels of `size` bytes; 64 stand at each line.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn lines_of(line: *const u8, size: usize) -> [__m512i; TILE] {
    // SAFETY: as promised by the caller.
    [0, 1, 2, 3].map(|panel| unsafe { _mm512_loadu_si512(line.add(panel * size).cast()) })
}

/// Add the products of four dimensions.
///
/// # Safety
/// `values` points to four values of each of the queries' rows, which are `width` apart.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn multiply(
    items: [__m512i; TILE],
    values: *const i8,
    width: usize,
    sums: &mut [[__m512i; TILE]; QUERIES],
) {
    for (row, sums) in sums.iter_mut().enumerate() {
        // SAFETY: as promised by the caller.
        let query = unsafe { values.add(row * width).cast::<i32>().read_unaligned() };
        let query = _mm512_set1_epi32(query);
        for (sum, items) in sums.iter_mut().zip(items) {
            *sum = _mm512_dpbusd_epi32(*sum, items, query);
        }
    }
}

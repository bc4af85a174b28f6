//! 256-bit paths: plain AVX2 and AVX-VNNI are one code with another step.

/// The path whose registers take one `$step` from bytes to sums, one `$step_pairs` from pairs of 16 bits.
macro_rules! path {
    ($name:ident, $features:literal, $queries:literal, $step:expr, $step_pairs:expr) => {
        pub mod $name {
            use std::arch::x86_64::*;

            use super::super::sweep::{self, Kept, Maxima, Top};
            use super::super::unordered;
            use super::super::{AHEAD, BLOCK, COARSE, CodeQuery, CodeRows, DISTANCE, FEW, Hit};
            use super::super::{LANES, Layout, Look, Pair, Panels, Queries};

            /// Queries of a tile: with two sums each, all stay in the 16 registers.
            const QUERIES: usize = $queries;

            #[target_feature(enable = $features)]
            pub fn maxima(
                panels: Panels<'_>,
                queries: Queries<'_>,
                out: &mut [i32],
                kept: &mut [i32],
            ) {
                let layout = panels.layout;
                let size = LANES * layout.n_bytes();
                let (n_panels, n_queries) = (panels.lanes.len(), queries.starts.len());
                for (number, &lanes) in panels.lanes.iter().enumerate() {
                    for first in (0..n_queries).step_by(QUERIES) {
                        // SAFETY: panel `number` has `size` bytes; the rows of a tile exist in all three, and
                        // a row of `out` has twice `n_panels` places, one of `kept`, where there are any, `LANES` times
                        // as many.
                        unsafe {
                            let panel = panels.bytes.as_ptr().add(number * size);
                            let values = queries.values.as_ptr().add(first * layout.width());
                            let starts = queries.starts.as_ptr().add(first);
                            let maxima = out.as_mut_ptr().add(first * 2 * n_panels + number);
                            let place = (first * n_panels + number) * LANES;
                            let kept = (!kept.is_empty()).then(|| kept.as_mut_ptr().add(place));
                            let tile = (panel, layout, lanes);
                            let out = (maxima, kept, n_panels);
                            let m = QUERIES.min(n_queries - first);
                            if panels.far && n_queries <= FEW {
                                tile_of_some::<true>(m, tile, values, starts, out);
                            } else {
                                tile_of_some::<false>(m, tile, values, starts, out);
                            }
                        }
                    }
                }
            }

            /// As [`tile_maxima`], for `m` queries.
            ///
            /// # Safety
            /// As there.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn tile_of_some<const ASKS: bool>(
                m: usize,
                tile: (*const u8, Layout, u16),
                values: *const i8,
                starts: *const i32,
                out: (*mut i32, Option<*mut i32>, usize),
            ) {
                // SAFETY: as promised by the caller.
                unsafe {
                    match m {
                        1 => tile_maxima::<1, 2, ASKS>(tile, values, starts, out),
                        2 => tile_maxima::<2, 2, ASKS>(tile, values, starts, out),
                        3 => tile_maxima::<3, 1, ASKS>(tile, values, starts, out),
                        4 if QUERIES > 4 => tile_maxima::<4, 1, ASKS>(tile, values, starts, out),
                        5 if QUERIES > 5 => tile_maxima::<5, 1, ASKS>(tile, values, starts, out),
                        _ => tile_maxima::<QUERIES, 1, ASKS>(tile, values, starts, out),
                    }
                }
            }

            /// # Safety
            /// As [`dots_of_one`], and `out` has two places every `2 * n_panels`, `n_panels` apart; what is kept, if any,
            /// `LANES` places every `LANES * n_panels`.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn tile_maxima<const M: usize, const CHAINS: usize, const ASKS: bool>(
                (panel, layout, lanes): (*const u8, Layout, u16),
                values: *const i8,
                starts: *const i32,
                (out, kept, n_panels): (*mut i32, Option<*mut i32>, usize),
            ) {
                // SAFETY: as promised by the caller.
                unsafe {
                    let sums = dots_of_one::<M, CHAINS, ASKS>(panel, layout, values, starts);
                    for (row, &[low, high]) in sums.iter().enumerate() {
                        let mut low = with_lanes(low, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
                        let mut high =
                            with_lanes(high, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15));
                        if lanes != u16::MAX {
                            low = listable(low, lanes);
                            high = listable(high, lanes >> 8);
                        }
                        if let Some(kept) = kept {
                            let kept = kept.add(row * n_panels * LANES);
                            _mm256_storeu_si256(kept.cast(), low);
                            _mm256_storeu_si256(kept.add(8).cast(), high);
                        }
                        let (first, second) =
                            (_mm256_max_epi32(low, high), _mm256_min_epi32(low, high));
                        let (first, second) = larger_two(halves(first), halves(second));
                        let (first, second) = larger_two(
                            [first, _mm_shuffle_epi32::<0x4e>(first)],
                            [second, _mm_shuffle_epi32::<0x4e>(second)],
                        );
                        let (first, second) = larger_two(
                            [first, _mm_shuffle_epi32::<0xb1>(first)],
                            [second, _mm_shuffle_epi32::<0xb1>(second)],
                        );
                        let out = out.add(row * 2 * n_panels);
                        *out = _mm_cvtsi128_si32(first);
                        *out.add(n_panels) = _mm_cvtsi128_si32(second);
                    }
                }
            }

            /// A dot and its lane in one number.
            #[target_feature(enable = $features)]
            fn with_lanes(dots: __m256i, lanes: __m256i) -> __m256i {
                _mm256_or_si256(_mm256_slli_epi32::<4>(dots), lanes)
            }

            #[target_feature(enable = $features)]
            fn halves(eight: __m256i) -> [__m128i; 2] {
                [
                    _mm256_castsi256_si128(eight),
                    _mm256_extracti128_si256::<1>(eight),
                ]
            }

            /// The two largest of two pairs: the larger first, and the best of the others.
            #[target_feature(enable = $features)]
            fn larger_two(firsts: [__m128i; 2], seconds: [__m128i; 2]) -> (__m128i, __m128i) {
                let other = _mm_min_epi32(firsts[0], firsts[1]);
                let second = _mm_max_epi32(seconds[0], seconds[1]);
                (
                    _mm_max_epi32(firsts[0], firsts[1]),
                    _mm_max_epi32(other, second),
                )
            }

            /// The sums of lanes whose bit is set, `i32::MIN` in the others.
            #[target_feature(enable = $features)]
            fn listable(sums: __m256i, lanes: u16) -> __m256i {
                let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
                let set = _mm256_and_si256(_mm256_set1_epi32(i32::from(lanes)), bits);
                let mask = _mm256_cmpeq_epi32(set, bits);
                _mm256_blendv_epi8(_mm256_set1_epi32(i32::MIN), sums, mask)
            }

            /// Dots of `M` queries with the lanes of a panel, each added up in `CHAINS` parts: a product waits for the sum
            /// it is added to. `ASKS`: ask for what is read soon.
            ///
            /// # Safety
            /// The panel holds `LANES` items of this layout, `values` `M` rows of its width, `starts` `M` numbers.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn dots_of_one<const M: usize, const CHAINS: usize, const ASKS: bool>(
                panel: *const u8,
                layout: Layout,
                values: *const i8,
                starts: *const i32,
            ) -> [[__m256i; 2]; M] {
                let mut chains = [[[_mm256_setzero_si256(); 2]; M]; CHAINS];
                let (width, n_fine) = (layout.width(), layout.fine / 4);
                let even = n_fine - n_fine % CHAINS;
                // SAFETY: line `l` of the panel, bytes `64 l..64 l + 64`, goes with the four values of a row at
                // `4 l` or, behind the fine ones, with the eight at `fine + 8 (l - fine / 4)`.
                unsafe {
                    for (row, sums) in chains[0].iter_mut().enumerate() {
                        *sums = [_mm256_set1_epi32(*starts.add(row)); 2];
                    }
                    for first in (0..even).step_by(CHAINS) {
                        for (line, sums) in (first..).zip(&mut chains) {
                            let items = line_of::<ASKS>(panel, line);
                            multiply(items, values.add(4 * line), width, sums);
                        }
                    }
                    for line in even..n_fine {
                        let items = line_of::<ASKS>(panel, line);
                        multiply(items, values.add(4 * line), width, &mut chains[0]);
                    }
                    for pair in 0..layout.coarse / 8 {
                        let items = line_of::<ASKS>(panel, n_fine + pair);
                        let [lower, upper] = coarse_halves(items);
                        let values = values.add(layout.fine + 8 * pair);
                        multiply(lower, values, width, &mut chains[0]);
                        multiply(upper, values.add(4), width, &mut chains[CHAINS / 2]);
                    }
                }
                let mut sums = chains[0];
                for others in &chains[1..] {
                    for (sums, others) in sums.iter_mut().zip(others) {
                        for (sum, &other) in sums.iter_mut().zip(others) {
                            *sum = _mm256_add_epi32(*sum, other);
                        }
                    }
                }
                sums
            }

            /// # Safety
            /// The panel has such a line of 64 bytes.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn line_of<const ASKS: bool>(panel: *const u8, line: usize) -> [__m256i; 2] {
                if ASKS {
                    let ahead = panel.wrapping_add(64 * line + DISTANCE);
                    _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                }
                // SAFETY: as promised by the caller.
                unsafe {
                    [
                        _mm256_loadu_si256(panel.add(64 * line).cast()),
                        _mm256_loadu_si256(panel.add(64 * line + 32).cast()),
                    ]
                }
            }

            /// [`COARSE`] times the lower and the upper half of each byte. Pairs of bytes are moved: what one gets of
            /// the other is cut off.
            #[inline]
            #[target_feature(enable = $features)]
            fn coarse_halves(items: [__m256i; 2]) -> [[__m256i; 2]; 2] {
                let only = _mm256_set1_epi8(15 * COARSE);
                let [low, high] = items;
                [
                    [
                        _mm256_and_si256(_mm256_slli_epi16::<3>(low), only),
                        _mm256_and_si256(_mm256_slli_epi16::<3>(high), only),
                    ],
                    [
                        _mm256_and_si256(_mm256_srli_epi16::<1>(low), only),
                        _mm256_and_si256(_mm256_srli_epi16::<1>(high), only),
                    ],
                ]
            }

            /// Add the products of four dimensions with those of `M` queries.
            ///
            /// # Safety
            /// `values` points to four values of each of `M` rows that are `width` apart.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn multiply<const M: usize>(
                items: [__m256i; 2],
                values: *const i8,
                width: usize,
                sums: &mut [[__m256i; 2]; M],
            ) {
                let step = $step;
                for (row, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: as promised by the caller.
                    let query = unsafe { values.add(row * width).cast::<i32>().read_unaligned() };
                    let query = _mm256_set1_epi32(query);
                    for (sum, items) in sums.iter_mut().zip(items) {
                        *sum = step(*sum, items, query);
                    }
                }
            }

            /// # Safety
            /// The panel holds `LANES` bytes for each of a look's query.
            #[target_feature(enable = $features)]
            pub unsafe fn look(panel: &[u8], looks: &[Look<'_>], found: &mut Vec<Hit>) {
                for look in looks {
                    let (values, start) = (look.query.as_ptr(), &raw const look.start);
                    let layout = Layout::fine(look.query.len());
                    let mut bounds = [0.0; LANES];
                    let mut reached = 0;
                    // SAFETY: as promised by the caller; `bounds` is as long as two registers.
                    unsafe {
                        let [halves] =
                            dots_of_one::<1, 2, false>(panel.as_ptr(), layout, values, start);
                        for (half, &sums) in halves.iter().enumerate() {
                            let scale = _mm256_set1_ps(look.side.scale);
                            let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale);
                            let bound = _mm256_add_ps(scaled, _mm256_set1_ps(look.side.plus));
                            let needed = _mm256_set1_ps(look.needed);
                            let not_below = _mm256_cmp_ps::<_CMP_NLT_UQ>(bound, needed);
                            reached |= (_mm256_movemask_ps(not_below) as u16) << (8 * half);
                            _mm256_storeu_ps(bounds.as_mut_ptr().add(8 * half), bound);
                        }
                    }
                    reached &= look.lanes;
                    while reached != 0 {
                        let lane = reached.trailing_zeros();
                        found.push(Hit {
                            query: look.number,
                            place: look.first + lane,
                            most: bounds[lane as usize],
                        });
                        reached &= reached - 1;
                    }
                }
            }

            /// # Safety
            /// Every hit has a row and a query, equally wide.
            #[target_feature(enable = $features)]
            pub unsafe fn closer(rows: CodeRows<'_>, queries: &[CodeQuery<'_>], hits: &mut [Hit]) {
                for at in 0..hits.len() {
                    if let Some(next) = hits.get(at + AHEAD) {
                        rows.expect(next);
                    }
                    let hit = &mut hits[at];
                    let query = &queries[hit.query as usize];
                    let row = &rows.bytes[hit.place as usize * rows.width..][..rows.width];
                    // SAFETY: as promised by the caller.
                    let dot = unsafe { row_dot(row, query.values) };
                    hit.most = rows.bound(hit.place, dot, query);
                }
            }

            /// # Safety
            /// `row` is as long as `query`.
            #[target_feature(enable = $features)]
            unsafe fn row_dot(row: &[u8], query: &[i8]) -> i32 {
                let step = $step;
                let mut sums = _mm256_setzero_si256();
                let whole = query.len() / 32 * 32;
                for start in (0..whole).step_by(32) {
                    // SAFETY: 32 bytes from `start` on exist in both.
                    let (items, query) = unsafe {
                        (
                            _mm256_loadu_si256(row.as_ptr().add(start).cast()),
                            _mm256_loadu_si256(query.as_ptr().add(start).cast()),
                        )
                    };
                    sums = step(sums, items, query);
                }
                let four = _mm_add_epi32(
                    _mm256_castsi256_si128(sums),
                    _mm256_extracti128_si256::<1>(sums),
                );
                let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0x4e>(four));
                let one = _mm_add_epi32(two, _mm_shuffle_epi32::<0xb1>(two));
                let rest = row[whole..].iter().zip(&query[whole..]);
                let rest: i32 = rest.map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
                _mm_cvtsi128_si32(one) + rest
            }

            /// See [`unordered::dot`].
            #[target_feature(enable = $features)]
            pub fn dot(row: &[f32], query: &[f64]) -> f64 {
                unordered::dot(row, query, |sum, a, b| a.mul_add(b, sum))
            }

            /// See [`unordered::squared_distance`].
            #[target_feature(enable = $features)]
            pub fn squared_distance(row: &[f32], query: &[f64]) -> f64 {
                unordered::squared_distance(row, query, |sum, a, b| a.mul_add(b, sum))
            }

            /// See [`super::super::project::project`].
            ///
            /// # Safety
            /// `matrix` has whole blocks of `n_pairs` lines, `rows` whole rows, `out` a place for each row and column.
            #[target_feature(enable = $features)]
            pub unsafe fn project(rows: &[Pair], n_pairs: usize, matrix: &[Pair], out: &mut [i32]) {
                let n_columns = matrix.len() / n_pairs;
                let n_rows = rows.len() / n_pairs;
                for first in (0..n_rows).step_by(2) {
                    for (number, block) in matrix.chunks_exact(n_pairs * BLOCK).enumerate() {
                        // SAFETY: the rows from `first` on and their places exist.
                        unsafe {
                            let rows = rows.as_ptr().add(first * n_pairs);
                            let out = out.as_mut_ptr().add(first * n_columns + number * BLOCK);
                            if n_rows - first == 1 {
                                project_block::<1>(rows, block, out, n_columns);
                            } else {
                                project_block::<2>(rows, block, out, n_columns);
                            }
                        }
                    }
                }
            }

            /// `M` rows times a block.
            ///
            /// # Safety
            /// Each row has a pair for each line of the block, and `BLOCK` places every `n_columns` of `out`.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn project_block<const M: usize>(
                rows: *const Pair,
                block: &[Pair],
                out: *mut i32,
                n_columns: usize,
            ) {
                let step = $step_pairs;
                let lines = block.as_chunks::<BLOCK>().0;
                let mut sums = [[_mm256_setzero_si256(); BLOCK / 8]; M];
                for (at, line) in lines.iter().enumerate() {
                    for (row, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: as promised by the caller; a line is as long as these registers.
                        unsafe {
                            let own = rows.add(row * lines.len() + at).cast::<i32>();
                            let own = _mm256_set1_epi32(own.read_unaligned());
                            for (part, sum) in sums.iter_mut().enumerate() {
                                let items = line.as_ptr().add(8 * part).cast();
                                *sum = step(*sum, _mm256_loadu_si256(items), own);
                            }
                        }
                    }
                }
                for (row, sums) in sums.iter().enumerate() {
                    for (part, &sum) in sums.iter().enumerate() {
                        // SAFETY: as promised by the caller.
                        unsafe {
                            let out = out.add(row * n_columns + 8 * part);
                            _mm256_storeu_si256(out.cast(), sum);
                        }
                    }
                }
            }

            /// See [`sweep::sweep`].
            #[target_feature(enable = $features)]
            pub fn sweep(maxima: Maxima<'_>, take: impl FnMut(Top)) {
                sweep::sweep(maxima, take);
            }

            /// See [`sweep::reaching`].
            #[target_feature(enable = $features)]
            pub fn reaching(maxima: Maxima<'_>, kept: Kept<'_>, out: &mut [u32]) -> usize {
                sweep::reaching(maxima, kept, out)
            }
        }
    };
}

path!(
    plain,
    "avx2,fma",
    4,
    |sums, items, query| {
        let pairs = _mm256_maddubs_epi16(items, query);
        _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    },
    |sums, items, query| _mm256_add_epi32(sums, _mm256_madd_epi16(items, query))
);
path!(
    vnni,
    "avx2,fma,avxvnni",
    6,
    |sums, items, query| _mm256_dpbusd_avx_epi32(sums, items, query),
    |sums, items, query| _mm256_dpwssd_avx_epi32(sums, items, query)
);

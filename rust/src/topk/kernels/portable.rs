//! Plain Rust: for CPUs without the other paths, and what they are tested against.

use super::{COARSE, CodeQuery, CodeRows, Hit, LANES, Layout, Look, Panels, Queries};

pub fn maxima(panels: Panels<'_>, queries: Queries<'_>, out: &mut [i32], kept: &mut [i32]) {
    let layout = panels.layout;
    let size = LANES * layout.n_bytes();
    let rows = queries.values.chunks_exact(layout.width());
    let n_panels = panels.lanes.len();
    let outs = out.chunks_exact_mut(2 * n_panels);
    for (number, ((query, &start), out)) in rows.zip(queries.starts).zip(outs).enumerate() {
        let (firsts, seconds) = out.split_at_mut(n_panels);
        let each = panels.bytes.chunks_exact(size).zip(panels.lanes);
        for (at, ((panel, &lanes), (first, second))) in
            each.zip(firsts.iter_mut().zip(seconds)).enumerate()
        {
            let scores = panel_scores(panel, layout, query, start);
            (*first, *second) = (i32::MIN, i32::MIN);
            let mut dots = [i32::MIN; LANES];
            for (lane, score) in scores.into_iter().enumerate() {
                if lanes >> lane & 1 == 1 {
                    let dot = score * LANES as i32 + lane as i32;
                    dots[lane] = dot;
                    *second = (*second).max(dot.min(*first));
                    *first = (*first).max(dot);
                }
            }
            if !kept.is_empty() {
                kept[(number * n_panels + at) * LANES..][..LANES].copy_from_slice(&dots);
            }
        }
    }
}

pub fn look(panel: &[u8], looks: &[Look<'_>], found: &mut Vec<Hit>) {
    for look in looks {
        let scores = panel_scores(
            panel,
            Layout::fine(look.query.len()),
            look.query,
            look.start,
        );
        for (lane, &score) in scores.iter().enumerate() {
            let most = look.side.bound(score);
            if look.lanes >> lane & 1 == 1 && !(most < look.needed) {
                found.push(Hit {
                    query: look.number,
                    place: look.first + lane as u32,
                    most,
                });
            }
        }
    }
}

pub fn closer(rows: CodeRows<'_>, queries: &[CodeQuery<'_>], hits: &mut [Hit]) {
    for hit in hits {
        let query = &queries[hit.query as usize];
        let row = &rows.bytes[hit.place as usize * rows.width..][..rows.width];
        hit.most = rows.bound(hit.place, row_dot(row, query.values), query);
    }
}

fn panel_scores(panel: &[u8], layout: Layout, query: &[i8], start: i32) -> [i32; LANES] {
    let mut sums = [start; LANES];
    let (fine, coarse) = panel.split_at(LANES * layout.fine);
    let (of_fine, of_coarse) = query.split_at(layout.fine);
    let lines = fine.as_chunks::<{ 4 * LANES }>().0;
    for (items, query) in lines.iter().zip(of_fine.chunks_exact(4)) {
        multiply(items, query, |item| item, &mut sums);
    }
    let lines = coarse.as_chunks::<{ 4 * LANES }>().0;
    for (items, query) in lines.iter().zip(of_coarse.chunks_exact(8)) {
        let factor = COARSE.cast_unsigned();
        multiply(items, &query[..4], |item| (item & 15) * factor, &mut sums);
        multiply(items, &query[4..], |item| (item >> 4) * factor, &mut sums);
    }
    sums
}

/// Add the products of four dimensions.
fn multiply(
    items: &[u8; 4 * LANES],
    query: &[i8],
    value: impl Fn(u8) -> u8,
    sums: &mut [i32; LANES],
) {
    for (sum, item) in sums.iter_mut().zip(items.as_chunks::<4>().0) {
        for (&item, &query) in item.iter().zip(query) {
            *sum += i32::from(value(item)) * i32::from(query);
        }
    }
}

fn row_dot(row: &[u8], query: &[i8]) -> i32 {
    row.iter()
        .zip(query)
        .map(|(&item, &query)| i32::from(item) * i32::from(query))
        .sum()
}

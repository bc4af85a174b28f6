//! Plain Rust: for CPUs without the other paths, and what they are tested against.

use super::{CodeQuery, CodeRows, Hit, LANES, Look, Panels, Queries};

pub fn maxima(panels: Panels<'_>, queries: Queries<'_>, out: &mut [i32]) {
    let size = LANES * panels.width;
    let rows = queries.values.chunks_exact(panels.width);
    let n_panels = panels.lanes.len();
    let outs = out.chunks_exact_mut(2 * n_panels);
    for ((query, &start), out) in rows.zip(queries.starts).zip(outs) {
        let (firsts, seconds) = out.split_at_mut(n_panels);
        let each = panels.bytes.chunks_exact(size).zip(panels.lanes);
        for ((panel, &lanes), (first, second)) in each.zip(firsts.iter_mut().zip(seconds)) {
            let scores = panel_scores(panel, query, start);
            (*first, *second) = (i32::MIN, i32::MIN);
            for (lane, score) in scores.into_iter().enumerate() {
                if lanes >> lane & 1 == 1 {
                    let dot = score * LANES as i32 + lane as i32;
                    *second = (*second).max(dot.min(*first));
                    *first = (*first).max(dot);
                }
            }
        }
    }
}

pub fn look(panel: &[u8], looks: &[Look<'_>], found: &mut Vec<Hit>) {
    for look in looks {
        let scores = panel_scores(panel, look.query, look.start);
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

fn panel_scores(panel: &[u8], query: &[i8], start: i32) -> [i32; LANES] {
    let mut sums = [start; LANES];
    let steps = panel.as_chunks::<{ 4 * LANES }>().0;
    for (items, query) in steps.iter().zip(query.as_chunks::<4>().0) {
        for (sum, item) in sums.iter_mut().zip(items.as_chunks::<4>().0) {
            for (&item, &query) in item.iter().zip(query) {
                *sum += i32::from(item) * i32::from(query);
            }
        }
    }
    sums
}

fn row_dot(row: &[u8], query: &[i8]) -> i32 {
    row.iter()
        .zip(query)
        .map(|(&item, &query)| i32::from(item) * i32::from(query))
        .sum()
}

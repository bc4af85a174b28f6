//! Plain Rust: for CPUs without the other paths, and what they are tested against.

use super::{BATCH, LANES, Panels, Queries, TILE};

pub fn maxima(panels: Panels<'_>, queries: Queries<'_>, out: &mut [i32]) {
    let size = LANES * panels.width;
    let rows = queries.values.chunks_exact(panels.width);
    let n_panels = panels.lanes.len();
    for ((query, &start), out) in rows.zip(queries.starts).zip(out.chunks_exact_mut(n_panels)) {
        let panels = panels.bytes.chunks_exact(size).zip(panels.lanes);
        for (out, (panel, &lanes)) in out.iter_mut().zip(panels) {
            let scores = panel_scores(panel, query, start);
            *out = (0..LANES)
                .filter(|lane| lanes >> lane & 1 == 1)
                .map(|lane| scores[lane])
                .max()
                .unwrap_or(i32::MIN);
        }
    }
}

pub fn scores(panels: [&[u8]; TILE], query: &[i8], start: i32) -> [[i32; LANES]; TILE] {
    panels.map(|panel| panel_scores(panel, query, start))
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

pub fn row_dot(row: &[u8], query: &[i8]) -> i32 {
    row.iter()
        .zip(query)
        .map(|(&item, &query)| i32::from(item) * i32::from(query))
        .sum()
}

pub fn dots(rows: &[&[f32]; BATCH], query: &[f64]) -> [f64; BATCH] {
    let mut sums = [0.0; BATCH];
    for (column, &query) in query.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum += f64::from(row[column]) * query;
        }
    }
    sums
}

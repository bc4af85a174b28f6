//! Counting pairs, row by row: no matrix of all items by all items, no list of all pairs.

use rayon::prelude::*;

use super::weighted::Weighted;
use crate::csr::Csr;
use crate::error::Result;
use crate::parallel::Stop;
use crate::sessions::Sessions;
use crate::sums::Sums;

/// Items counted by one worker at a time.
const BLOCK: usize = 256;

/// A sparse matrix (`n_items`, `n_items`), columns ascending: sum, over every event of item a, `forward[d − 1]` for the item d events later and
/// `backward[d − 1]` for the item d events before.
///
/// Sums run in float64 over the events of a in the order of the log, the items around each from the
/// oldest to the newest, and are rounded once.
pub(super) fn count(
    sessions: Sessions<'_>,
    n_items: usize,
    forward: &[f64],
    backward: &[f64],
    stop: &Stop,
) -> Result<Weighted> {
    // Where each item occurs: (session, place) by item.
    let events = (0..sessions.len()).flat_map(|row| sessions.row(row));
    let events = events.enumerate();
    let occurrences = Csr::group(n_items, events.map(|(at, &item)| (item as u32, at as u32)));
    let blocks: Vec<_> = (0..n_items.div_ceil(BLOCK))
        .into_par_iter()
        .map_init(
            || Sums::new(n_items),
            |sums, block| {
                stop.check()?;
                let (mut columns, mut values, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
                for item in block * BLOCK..((block + 1) * BLOCK).min(n_items) {
                    let before = columns.len();
                    for &at in occurrences.row(item) {
                        around(sessions, at as usize, forward, backward, sums);
                    }
                    columns.extend_from_slice(sums.touched());
                    columns[before..].sort_unstable();
                    values.extend(
                        columns[before..]
                            .iter()
                            .map(|&column| sums.get(column) as f32),
                    );
                    lengths.push(columns.len() - before);
                    sums.reset();
                }
                Ok((columns, values, lengths))
            },
        )
        .collect::<Result<_>>()?;
    let (mut columns, mut values, mut offsets) = (Vec::new(), Vec::new(), vec![0_u64]);
    for (block_columns, block_values, lengths) in blocks {
        columns.extend(block_columns);
        values.extend(block_values);
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + length as u64);
        }
    }
    Ok(Weighted {
        columns: Csr::new(columns, offsets),
        weights: values.into(),
    })
}

/// Add what stands around one event.
fn around(sessions: Sessions<'_>, at: usize, forward: &[f64], backward: &[f64], sums: &mut Sums) {
    let (session, place) = sessions.find(at);
    let first = place.saturating_sub(backward.len());
    for (other, &item) in session.iter().enumerate().take(place).skip(first) {
        sums.add(item as u32, backward[place - other - 1]);
    }
    for (&item, &weight) in session[place + 1..].iter().zip(forward) {
        sums.add(item as u32, weight);
    }
}

//! What the neighbours vote for.

use super::SessionIndex;
use super::query::Query;
use super::scratch::Scratch;

impl SessionIndex {
    /// Sum the votes of the neighbours that hold an item, neighbours in their order.
    pub(super) fn collect_votes(&self, query: &Query<'_>, scratch: &mut Scratch) {
        let Scratch {
            prompt,
            places,
            nearest,
            votes,
            ..
        } = scratch;
        let rows = self.held.rows();
        let one_way = query.backward.total_cmp(&1.0).is_ne();
        if !one_way && !query.sequential_weighting {
            for near in nearest {
                votes.add_all(rows.row(near.session as usize), near.similarity());
            }
            return;
        }
        for (place, &item) in prompt.items.iter().enumerate() {
            places[item as usize] = place as u32 + 1;
        }
        for near in nearest {
            let held = rows.row(near.session as usize);
            let (at, place) = newest_shared(held, places);
            let mut vote = near.similarity();
            if query.sequential_weighting {
                vote *= f64::from(place) / prompt.items.len() as f64;
            }
            let (before, from) = held.split_at(at);
            votes.add_all(before, vote * query.backward);
            votes.add_all(from, vote);
        }
        for &item in &prompt.items {
            places[item as usize] = 0;
        }
    }
}

/// Where a neighbour holds the newest item of the prompt that it shares, and that item's place in the
/// prompt.
fn newest_shared(held: &[u32], places: &[u32]) -> (usize, u32) {
    let mut newest = (0, 0);
    for (at, &item) in held.iter().enumerate() {
        let place = places[item as usize];
        if place > newest.1 {
            newest = (at, place);
        }
    }
    newest
}

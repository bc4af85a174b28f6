//! From a prompt to its neighbours and their similarities, and from votes to a list.

use super::SessionIndex;
use super::query::{Query, SessionSimilarity};
use super::sampling::sample;
use super::scratch::{Near, Scratch};
use crate::error::Result;
use crate::lists::{Lists, Scored};
use crate::parallel::Stop;
use crate::sessions::Sessions;

impl SessionIndex {
    /// The best items for each prompt; ties to the lower index, short lists end in missing places.
    ///
    /// # Errors
    /// `Config` for numbers below 1, `k` above `sample_size` or what the index was made without, `Shape`
    /// for a mask of another length, `Stopped`.
    pub fn search(&self, prompts: Sessions<'_>, query: &Query<'_>, stop: &Stop) -> Result<Lists> {
        query.check(self)?;
        Lists::fill(
            prompts.len(),
            query.k_items,
            stop,
            || {
                let make = || Scratch::new(self.n_sessions(), self.n_items());
                self.shelf.lend(make)
            },
            |lent, row| lent.work(|scratch| self.search_one(prompts.row(row), query, scratch)),
        )
    }

    fn search_one(&self, session: &[i32], query: &Query<'_>, scratch: &mut Scratch) {
        let last_n = query.last_n.unwrap_or(usize::MAX);
        let known = |item: usize| self.idf[item] > 0.0;
        scratch.prompt.reduce(session, last_n, query.decay, known);
        self.sample_neighbours(query, scratch);
        self.keep_nearest(query, scratch);
        self.collect_votes(query, scratch);
        let newest = session.iter().rev().find(|&&item| known(item as usize));
        let followers = match (&self.followers, newest) {
            (Some(followers), Some(&item)) if query.only_followers => {
                Some(followers.row(item as usize))
            }
            _ => None,
        };
        scratch.seen.clear();
        if query.exclude_seen {
            scratch.seen.extend_from_slice(session);
            scratch.seen.sort_unstable();
        }
        let Scratch {
            votes, best, seen, ..
        } = scratch;
        best.start(query.k_items);
        votes.drain(|item, votes| {
            let weight = if query.idf_weighting {
                self.idf[item as usize]
            } else {
                1.0
            };
            let scored = Scored::new(item, votes * weight);
            let listed = best.admits(scored.score)
                && seen.binary_search(&(item as i32)).is_err()
                && query.candidates.is_none_or(|mask| mask[item as usize])
                && followers.is_none_or(|row| row.binary_search(&item).is_ok());
            if listed {
                best.push(scored);
            }
        });
        best.finish();
    }

    /// Sessions that share an item, cut to the sample; sums run over the prompt's items, newest first:
    /// the likeliest neighbours and items come first, and the list's floor rises early.
    fn sample_neighbours(&self, query: &Query<'_>, scratch: &mut Scratch) {
        let prompt = &scratch.prompt;
        for (&item, &weight) in prompt.items.iter().zip(&prompt.weights).rev() {
            scratch
                .shared
                .add_all(self.posting.row(item as usize), weight);
        }
        scratch.neighbours.clear();
        scratch
            .neighbours
            .extend_from_slice(scratch.shared.touched());
        sample(
            self,
            prompt,
            &mut scratch.neighbours,
            query.sample_size,
            (query.sampling, query.seed),
            &mut scratch.marks,
        );
    }

    /// The `k` most similar of the sample, in its order; only those above 0, for others do not vote.
    fn keep_nearest(&self, query: &Query<'_>, scratch: &mut Scratch) {
        let (prompt, shared) = (&scratch.prompt, &scratch.shared);
        if let Some(vectors) = &self.vectors {
            vectors.pool(&prompt.items, query.pooling, &mut scratch.vector);
        }
        let rows = self.held.rows();
        let similarity = |session: u32| match (&self.vectors, query.similarity) {
            (Some(vectors), name) => vectors.similarity(&scratch.vector, session, name),
            (None, SessionSimilarity::Dot) => shared.get(session),
            (None, SessionSimilarity::Cosine) => {
                let n_held = rows.row(session as usize).len() as f64;
                shared.get(session) / (prompt.norm * n_held.sqrt())
            }
        };
        scratch.nearest.clear();
        for &session in &scratch.neighbours {
            let similarity = similarity(session) * self.youth(session, query.half_life);
            if similarity > 0.0 {
                scratch.nearest.push(Near::new(similarity, session));
            }
        }
        scratch.shared.reset();
        if scratch.nearest.len() > query.k {
            keep_best(&mut scratch.nearest, query.k, &mut scratch.ranked);
        }
    }

    /// 1 for the newest session, half of it a half-life earlier.
    fn youth(&self, session: u32, half_life: Option<f64>) -> f64 {
        match (&self.order, half_life) {
            (Some(order), Some(half_life)) => {
                let age = self.newest as f64 - order[session as usize] as f64;
                (-age / half_life).exp2()
            }
            _ => 1.0,
        }
    }
}

/// Keep the `k` that come first, in the order in which they stand: sorting them would take as long as
/// voting. `ranked` is scratch.
fn keep_best(nearest: &mut Vec<Near>, k: usize, ranked: &mut Vec<Near>) {
    ranked.clone_from(nearest);
    let last = *ranked.select_nth_unstable(k - 1).1;
    let mut n_kept = 0;
    for at in 0..nearest.len() {
        // Whether one is kept is as hard to foretell as a coin: no branch hangs on it.
        let near = nearest[at];
        nearest[n_kept] = near;
        n_kept += usize::from(near <= last);
    }
    nearest.truncate(n_kept);
}

//! Which of the possible neighbours are looked at when there are too many.

use std::cmp::Ordering;

use super::SessionIndex;
use super::prompt::{Prompt, mix};
use crate::error::{CoreError, Result};

/// Which possible neighbours are kept; equal ones: the lower session index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Those with the smallest `mix(h ^ session)`, h made from the seed and the prompt's items.
    Random,
    /// The newest by the index's `order`.
    Recent,
    /// Those with the largest sum of idf over the shared items.
    Idf,
    /// All sessions of the prompt's rarest item, then of the next, until full.
    IdfGreedy,
}

impl Sampling {
    /// Every sampling by its name.
    pub const NAMES: [&str; 4] = ["random", "recent", "idf", "idf_greedy"];

    /// Look a name up.
    ///
    /// # Errors
    /// `Config` with the names that exist.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "random" => Ok(Self::Random),
            "recent" => Ok(Self::Recent),
            "idf" => Ok(Self::Idf),
            "idf_greedy" => Ok(Self::IdfGreedy),
            _ => Err(CoreError::unknown("sampling", name, &Self::NAMES)),
        }
    }
}

/// Cut `neighbours` to `size`; `idf_sum` gives a neighbour's sum of idf over shared items.
pub(super) fn sample(
    index: &SessionIndex,
    prompt: &Prompt,
    neighbours: &mut Vec<u32>,
    size: usize,
    sampling: Sampling,
    seed: u64,
    idf_sum: impl Fn(u32) -> f64,
) {
    if neighbours.len() <= size {
        return;
    }
    match sampling {
        Sampling::Random => {
            let hash = prompt.hash(seed);
            keep_first(
                neighbours,
                size,
                |session| mix(hash ^ u64::from(session)),
                Ord::cmp,
            );
        }
        Sampling::Recent => {
            let order = index.order.as_deref().unwrap_or(&[]);
            let rank = |session: u32| order[session as usize];
            keep_first(neighbours, size, rank, |left, right| right.cmp(left));
        }
        Sampling::Idf => {
            keep_first(neighbours, size, idf_sum, |left, right| {
                right.total_cmp(left)
            });
        }
        Sampling::IdfGreedy => greedy(index, prompt, neighbours, size),
    }
}

/// Keep the `size` sessions whose keys come first; equal keys: the lower session.
fn keep_first<K>(
    sessions: &mut Vec<u32>,
    size: usize,
    key: impl Fn(u32) -> K,
    order: impl Fn(&K, &K) -> Ordering,
) {
    let mut keyed: Vec<(K, u32)> = sessions
        .iter()
        .map(|&session| (key(session), session))
        .collect();
    keyed.select_nth_unstable_by(size - 1, |left, right| {
        order(&left.0, &right.0).then(left.1.cmp(&right.1))
    });
    sessions.clear();
    sessions.extend(keyed[..size].iter().map(|keyed| keyed.1));
}

/// Prompt items by falling idf (equal: the lower item), each with its sessions ascending.
fn greedy(index: &SessionIndex, prompt: &Prompt, neighbours: &mut Vec<u32>, size: usize) {
    let idf = |item: u32| index.idf[item as usize];
    let mut rarest = prompt.items.clone();
    rarest
        .sort_unstable_by(|&left, &right| idf(right).total_cmp(&idf(left)).then(left.cmp(&right)));
    let mut kept: Vec<u32> = Vec::with_capacity(size);
    let mut taken = std::collections::HashSet::with_capacity(size);
    let candidates = rarest
        .iter()
        .flat_map(|&item| index.posting.row(item as usize));
    for &session in candidates {
        if kept.len() == size {
            break;
        }
        if taken.insert(session) {
            kept.push(session);
        }
    }
    *neighbours = kept;
}

//! Which of the possible neighbours are looked at when there are too many.

use std::cmp::Ordering;

use super::SessionIndex;
use super::prompt::{Prompt, mix};
use crate::error::{CoreError, Result};
use crate::sums::Sums;

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

/// Cut `neighbours` to `size`; those that stay keep their order. `marks` is scratch without sums.
pub(super) fn sample(
    index: &SessionIndex,
    prompt: &Prompt,
    neighbours: &mut Vec<u32>,
    size: usize,
    (sampling, seed): (Sampling, u64),
    marks: &mut Sums,
) {
    if neighbours.len() <= size {
        return;
    }
    match sampling {
        Sampling::Random => {
            let hash = prompt.hash(seed);
            let key = |session: u32| mix(hash ^ u64::from(session));
            keep_first(neighbours, size, key, u64::cmp);
        }
        Sampling::Recent => {
            let order = index.order.as_deref().unwrap_or(&[]);
            let key = |session: u32| order[session as usize];
            keep_first(neighbours, size, key, |left, right| right.cmp(left));
        }
        Sampling::Idf => {
            for &item in prompt.items.iter().rev() {
                marks.add_all(index.posting.row(item as usize), index.idf[item as usize]);
            }
            let key = |session: u32| marks.get(session);
            keep_first(neighbours, size, key, |left, right| right.total_cmp(left));
        }
        Sampling::IdfGreedy => {
            mark_greedily(index, prompt, size, marks);
            neighbours.retain(|&session| marks.get(session) > 0.0);
        }
    }
    marks.reset();
}

/// Keep the `size` sessions whose keys come first; equal keys: the lower session.
fn keep_first<K: Copy>(
    sessions: &mut Vec<u32>,
    size: usize,
    key: impl Fn(u32) -> K,
    order: impl Fn(&K, &K) -> Ordering,
) {
    let keyed = |&session: &u32| (key(session), session);
    let before =
        |left: &(K, u32), right: &(K, u32)| order(&left.0, &right.0).then(left.1.cmp(&right.1));
    let mut all: Vec<(K, u32)> = sessions.iter().map(keyed).collect();
    let last = *all.select_nth_unstable_by(size - 1, before).1;
    sessions.retain(|session| before(&keyed(session), &last).is_le());
}

/// Mark `size` sessions: of prompt items by falling idf (equal: the lower item), each with its sessions
/// ascending.
fn mark_greedily(index: &SessionIndex, prompt: &Prompt, size: usize, marks: &mut Sums) {
    let idf = |item: u32| index.idf[item as usize];
    let mut rarest = prompt.items.clone();
    rarest
        .sort_unstable_by(|&left, &right| idf(right).total_cmp(&idf(left)).then(left.cmp(&right)));
    let rows = rarest
        .iter()
        .flat_map(|&item| index.posting.row(item as usize));
    for &session in rows {
        if marks.touched().len() == size {
            break;
        }
        marks.add(session, 1.0);
    }
}

//! The metrics of one list.

use crate::lists::present;

/// Names of the metrics that only need targets, in the order of their values.
pub const ACCURACY: [&str; 6] = ["ndcg", "hr", "mrr", "recall", "precision", "map"];
/// Names of the metrics that need item counts, in the order of their values.
pub const POPULARITY: [&str; 3] = ["serendipity", "novelty", "popularity_lift"];

/// What all lists share: discounts, and the catalogue seen through its counts.
#[derive(Debug)]
pub struct ListScorer<'a> {
    ks: &'a [usize],
    /// `1 / log2(rank + 1)`.
    discounts: Vec<f64>,
    /// Sums of the first discounts: the best possible DCG.
    ideal: Vec<f64>,
    catalogue: Option<Catalogue<'a>>,
}

#[derive(Debug)]
struct Catalogue<'a> {
    counts: &'a [i64],
    /// Place of each item by falling count from 0, equal counts: the lower index first.
    rank: Vec<u32>,
    /// `−log2` of each item's share of all counts; an item without a count takes 1.
    information: Vec<f64>,
    mean: f64,
}

/// Buffers of one worker.
#[derive(Debug, Default)]
pub struct Scratch {
    wanted: Vec<i32>,
    /// Places of the list that hold a target, from 0.
    hits: Vec<usize>,
}

impl<'a> Catalogue<'a> {
    fn new(counts: &'a [i64]) -> Self {
        let mut order: Vec<u32> = (0..counts.len() as u32).collect();
        order.sort_by_key(|&item| std::cmp::Reverse(counts[item as usize]));
        let mut rank = vec![0; counts.len()];
        for (place, &item) in order.iter().enumerate() {
            rank[item as usize] = place as u32;
        }
        let total = counts.iter().map(|&count| i128::from(count)).sum::<i128>() as f64;
        let information = counts
            .iter()
            .map(|&count| -(count.max(1) as f64 / total).log2());
        Self {
            information: information.collect(),
            mean: total / counts.len() as f64,
            counts,
            rank,
        }
    }
}

impl<'a> ListScorer<'a> {
    /// For lists of at most `longest_list` places and at most `most_targets` targets.
    pub fn new(
        ks: &'a [usize],
        longest_list: usize,
        most_targets: usize,
        popularity: Option<&'a [i64]>,
    ) -> Self {
        // Hits stand in the list, the ideal ranking holds the targets, neither goes beyond K.
        let deepest = ks
            .iter()
            .copied()
            .max()
            .unwrap_or(0)
            .min(longest_list.max(most_targets));
        let discounts: Vec<f64> = (1..=deepest)
            .map(|rank| 1.0 / ((rank + 1) as f64).log2())
            .collect();
        let mut sum = 0.0;
        let ideal = discounts.iter().map(|discount| {
            sum += discount;
            sum
        });
        Self {
            ks,
            ideal: ideal.collect(),
            discounts,
            catalogue: popularity.map(Catalogue::new),
        }
    }

    /// Values a list gets: metric after metric, each at every cut-off.
    pub fn n_values(&self) -> usize {
        let n_metrics = ACCURACY.len() + self.catalogue.as_ref().map_or(0, |_| POPULARITY.len());
        n_metrics * self.ks.len()
    }

    /// Score one list.
    pub fn score(&self, list: &[i32], targets: &[i32], scratch: &mut Scratch, out: &mut [f64]) {
        let Scratch { wanted, hits } = scratch;
        wanted.clear();
        wanted.extend_from_slice(targets);
        wanted.sort_unstable();
        wanted.dedup();
        let list = present(list);
        find(list, wanted, hits);
        for (number, &k) in self.ks.iter().enumerate() {
            let top = &list[..k.min(list.len())];
            let hits = &hits[..hits.partition_point(|&place| place < k)];
            let column = |metric: usize| metric * self.ks.len() + number;
            for (metric, value) in self.accuracy(hits, wanted.len(), k).into_iter().enumerate() {
                out[column(metric)] = value;
            }
            if let Some(catalogue) = &self.catalogue {
                let values = popularity(catalogue, top, hits, k);
                for (metric, value) in values.into_iter().enumerate() {
                    out[column(ACCURACY.len() + metric)] = value;
                }
            }
        }
    }

    fn accuracy(&self, hits: &[usize], n_wanted: usize, k: usize) -> [f64; ACCURACY.len()] {
        let (mut dcg, mut precisions) = (0.0, 0.0);
        for (before, &place) in hits.iter().enumerate() {
            dcg += self.discounts[place];
            precisions += (before + 1) as f64 / (place + 1) as f64;
        }
        let first = hits.first().map_or(0.0, |&place| 1.0 / (place + 1) as f64);
        let possible = n_wanted.min(k);
        let n_hits = hits.len() as f64;
        [
            dcg / self.ideal[possible - 1],
            f64::from(u8::from(!hits.is_empty())),
            first,
            n_hits / n_wanted as f64,
            n_hits / k as f64,
            precisions / possible as f64,
        ]
    }
}

/// Fill `hits` with the places of `list` that hold one of the sorted `wanted`.
fn find(list: &[i32], wanted: &[i32], hits: &mut Vec<usize>) {
    hits.clear();
    let places = list.iter().enumerate();
    if let [only] = wanted {
        hits.extend(
            places
                .filter(|&(_, item)| item == only)
                .map(|(place, _)| place),
        );
    } else {
        let found = places.filter(|(_, item)| wanted.binary_search(item).is_ok());
        hits.extend(found.map(|(place, _)| place));
    }
}

fn popularity(
    catalogue: &Catalogue<'_>,
    top: &[i32],
    hits: &[usize],
    k: usize,
) -> [f64; POPULARITY.len()] {
    let surprising = |&place: &usize| catalogue.rank[top[place] as usize] as usize >= k;
    let serendipity = f64::from(u8::from(hits.iter().any(surprising)));
    if top.is_empty() {
        return [serendipity, f64::NAN, f64::NAN];
    }
    let (mut information, mut counts) = (0.0, 0.0);
    for &item in top {
        information += catalogue.information[item as usize];
        counts += catalogue.counts[item as usize] as f64;
    }
    let n = top.len() as f64;
    [serendipity, information / n, counts / n / catalogue.mean]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(list: &[i32], targets: &[i32], ks: &[usize], counts: Option<&[i64]>) -> Vec<f64> {
        let scorer = ListScorer::new(ks, list.len(), targets.len(), counts);
        let mut out = vec![0.0; scorer.n_values()];
        scorer.score(list, targets, &mut Scratch::default(), &mut out);
        out
    }

    #[test]
    fn accuracy_by_hand() {
        // Hits at ranks 2 and 3 of three targets.
        let values = score(&[9, 4, 7, -1], &[7, 4, 5, 4], &[4], None);
        let discount = |rank: f64| 1.0 / (rank + 1.0_f64).log2();
        let dcg = discount(2.0) + discount(3.0);
        let ideal = discount(1.0) + discount(2.0) + discount(3.0);
        let map = (1.0 / 2.0 + 2.0 / 3.0) / 3.0;
        assert_eq!(values, [dcg / ideal, 1.0, 0.5, 2.0 / 3.0, 0.5, map]);
    }

    #[test]
    fn popularity_by_hand() {
        // Counts 4, 2, 2, 0: item 0 is the most popular; total 8, mean 2.
        let values = score(&[0, 3], &[3], &[1, 2], Some(&[4, 2, 2, 0]));
        let popularity = &values[12..];
        assert_eq!(popularity, [0.0, 1.0, 1.0, 2.0, 2.0, 1.0]);
    }

    #[test]
    fn an_empty_list_misses() {
        let values = score(&[-1], &[0], &[1], Some(&[1]));
        assert_eq!(values[..7], [0.0; 7]);
        assert!(values[7].is_nan() && values[8].is_nan());
    }
}

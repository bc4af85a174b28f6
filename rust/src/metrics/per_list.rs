//! The metrics of one list.

use super::catalogue::Catalogue;
use crate::slots::Slots;

/// Names of the metrics that only need targets, in the order of their values.
pub const ACCURACY: [&str; 6] = ["ndcg", "hr", "mrr", "recall", "precision", "map"];
/// Names of the metrics that need item counts, in the order of their values.
pub const POPULARITY: [&str; 3] = ["serendipity", "novelty", "popularity_lift"];

/// What all lists share: discounts, and the catalogue seen through its counts.
#[derive(Debug)]
pub struct ListScorer<'a> {
    ks: &'a [usize],
    /// Numbers of the cut-offs, the smallest cut-off first.
    rising: Vec<usize>,
    /// `1 / log2(rank + 1)`.
    discounts: Vec<f64>,
    /// Sums of the first discounts: the best possible DCG.
    ideal: Vec<f64>,
    /// With one target everything follows from its place: accuracy by cut-off and place.
    one_target: Vec<Vec<[f64; ACCURACY.len()]>>,
    catalogue: Option<Catalogue>,
}

/// Buffers of one worker.
#[derive(Debug, Default)]
pub struct Scratch {
    wanted: Vec<i32>,
    /// Places of the list that hold a target, from 0.
    hits: Vec<usize>,
}

impl<'a> ListScorer<'a> {
    /// For lists of at most `longest_list` places and at most `most_targets` targets.
    pub fn new(
        ks: &'a [usize],
        longest_list: usize,
        most_targets: usize,
        popularity: Option<&[i64]>,
    ) -> Self {
        // Hits stand in the list, the ideal ranking holds the targets, neither goes beyond K.
        let largest = ks.iter().copied().max().unwrap_or(0);
        let deepest = largest.min(longest_list.max(most_targets));
        let discounts: Vec<f64> = (1..=deepest)
            .map(|rank| 1.0 / ((rank + 1) as f64).log2())
            .collect();
        let mut sum = 0.0;
        let ideal = discounts.iter().map(|discount| {
            sum += discount;
            sum
        });
        let mut rising: Vec<usize> = (0..ks.len()).collect();
        rising.sort_by_key(|&number| ks[number]);
        let mut scorer = Self {
            ks,
            rising,
            ideal: ideal.collect(),
            discounts,
            one_target: Vec::new(),
            catalogue: popularity.map(|counts| Catalogue::new(counts, largest)),
        };
        let places = |&k: &usize| 0..k.min(longest_list);
        let of_place = |k, place| scorer.accuracy(&[place], 1, k);
        scorer.one_target = ks
            .iter()
            .map(|k| places(k).map(|place| of_place(*k, place)).collect())
            .collect();
        scorer
    }

    /// Score one list, which ends before its first missing place and whose places `slots` know:
    /// `put(column, value)` takes the values, columns being metric after metric, each at every cut-off.
    // Always inlined, so that the caller's path of the CPU holds for it.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub fn score(
        &self,
        list: &[i32],
        targets: &[i32],
        slots: &Slots,
        scratch: &mut Scratch,
        mut put: impl FnMut(usize, f64),
    ) {
        let Scratch { wanted, hits } = scratch;
        hits.clear();
        let n_ks = self.ks.len();
        let mut put_all = |first: usize, number: usize, values: &[f64]| {
            for (metric, &value) in values.iter().enumerate() {
                put((first + metric) * n_ks + number, value);
            }
        };
        if let [only] = targets {
            hits.extend(slots.find(*only));
            for (number, values) in self.one_target.iter().enumerate() {
                let found = hits.first().and_then(|&place| values.get(place));
                put_all(0, number, found.unwrap_or(&[0.0; ACCURACY.len()]));
            }
        } else {
            wanted.clear();
            wanted.extend_from_slice(targets);
            wanted.sort_unstable();
            wanted.dedup();
            hits.extend(wanted.iter().filter_map(|&item| slots.find(item)));
            hits.sort_unstable();
            for (number, &k) in self.ks.iter().enumerate() {
                let hits = &hits[..hits.partition_point(|&place| place < k)];
                put_all(0, number, &self.accuracy(hits, wanted.len(), k));
            }
        }
        let Some(catalogue) = &self.catalogue else {
            return;
        };
        // The sums of a cut-off go on from those of the smaller ones.
        let (mut sums, mut start) = ([0.0; 2], 0);
        for &number in &self.rising {
            let k = self.ks[number];
            let end = k.min(list.len());
            catalogue.add(&list[start..end], &mut sums);
            start = end;
            let mut hits = hits.iter().take_while(|&&place| place < k);
            let surprising = hits.any(|&place| catalogue.is_surprising(list[place], k));
            let [information, counts] = sums.map(|sum| sum / end as f64);
            let serendipity = f64::from(u8::from(surprising));
            let values = [serendipity, information, counts / catalogue.mean];
            put_all(ACCURACY.len(), number, &values);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::present;

    fn score(list: &[i32], targets: &[i32], ks: &[usize], counts: Option<&[i64]>) -> Vec<f64> {
        let scorer = ListScorer::new(ks, list.len(), targets.len(), counts);
        let n_metrics = ACCURACY.len() + counts.map_or(0, |_| POPULARITY.len());
        let mut out = vec![0.0; n_metrics * ks.len()];
        let put = |column, value| out[column] = value;
        let (list, mut slots) = (present(list), Slots::new(list.len()));
        assert!(slots.distinct(list));
        scorer.score(list, targets, &slots, &mut Scratch::default(), put);
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

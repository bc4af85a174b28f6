//! The catalogue seen through its counts.

use std::cmp::Reverse;

/// What the metrics of popularity ask of an item.
#[derive(Debug)]
pub struct Catalogue {
    /// `−log2` of each item's share of all counts (an item without a count takes 1), and its count.
    values: Vec<[f64; 2]>,
    /// Place by falling count from 0, equal counts: the lower index first; only the places that a
    /// cut-off asks for.
    rank: Vec<u32>,
    /// Mean count.
    pub mean: f64,
}

impl Catalogue {
    /// For cut-offs up to `largest`.
    pub fn new(counts: &[i64], largest: usize) -> Self {
        let mut order: Vec<u32> = (0..counts.len() as u32).collect();
        let key = |&item: &u32| (Reverse(counts[item as usize]), item);
        if largest < order.len() {
            order.select_nth_unstable_by_key(largest, key);
            order.truncate(largest);
        }
        order.sort_unstable_by_key(key);
        let mut rank = vec![u32::MAX; counts.len()];
        for (place, &item) in order.iter().enumerate() {
            rank[item as usize] = place as u32;
        }
        let total = counts.iter().map(|&count| i128::from(count)).sum::<i128>() as f64;
        let values = counts
            .iter()
            .map(|&count| [-(count.max(1) as f64 / total).log2(), count as f64]);
        Self {
            values: values.collect(),
            rank,
            mean: total / counts.len() as f64,
        }
    }

    /// Add the items' information and counts, in their order.
    #[inline]
    pub fn add(&self, items: &[i32], sums: &mut [f64; 2]) {
        for &item in items {
            let [information, count] = self.values[item as usize];
            sums[0] += information;
            sums[1] += count;
        }
    }

    /// Whether an item is not among the `k` most popular.
    pub fn is_surprising(&self, item: i32, k: usize) -> bool {
        self.rank[item as usize] as usize >= k
    }
}

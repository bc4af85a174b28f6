//! How the lists together spread over the catalogue.

use rayon::prelude::*;

use super::ListTable;
use crate::lists::MISSING;

/// Coverage and Gini at every cut-off, in the order coverage@K…, gini@K….
pub fn coverage_and_gini(lists: ListTable<'_>, ks: &[usize], n_items: usize) -> Vec<(String, f64)> {
    let mut rising = ks.to_vec();
    rising.sort_unstable();
    let counts = count(lists, &rising, n_items);
    let spread: Vec<(f64, f64)> = ks
        .par_iter()
        .map(|k| {
            // Everything up to a cut-off: its own places and those of the smaller ones.
            let n_segments = rising.partition_point(|other| other <= k);
            let mut total = vec![0; n_items];
            for segment in counts.chunks_exact(n_items).take(n_segments) {
                add(&mut total, segment);
            }
            let listed = total.iter().filter(|&&count| count > 0).count();
            (listed as f64 / n_items as f64, gini(total))
        })
        .collect();
    let coverages = ks.iter().zip(&spread);
    let coverages = coverages.map(|(k, spread)| (format!("coverage@{k}"), spread.0));
    let ginis = ks.iter().zip(&spread);
    let ginis = ginis.map(|(k, spread)| (format!("gini@{k}"), spread.1));
    coverages.chain(ginis).collect()
}

/// How often each item is listed between a cut-off and the next smaller one, (cut-offs, `n_items`).
fn count(lists: ListTable<'_>, rising: &[usize], n_items: usize) -> Vec<u64> {
    let n_counts = rising.len() * n_items;
    // Every part has counts of its own, which are added up at the end: not worth it for few lists.
    let n_parts = (lists.items.len() / n_counts).clamp(1, rayon::current_num_threads());
    let of_part = |part: usize| {
        let mut counts = vec![0; n_counts];
        let rows = lists.n_lists * part / n_parts..lists.n_lists * (part + 1) / n_parts;
        for row in rows {
            let (list, mut start) = (lists.list(row), 0);
            for (segment, &k) in counts.chunks_exact_mut(n_items).zip(rising) {
                let end = k.min(list.len());
                let held = list[start..end].iter().take_while(|&&item| item != MISSING);
                for &item in held {
                    segment[item as usize] += 1;
                }
                start = end;
            }
        }
        counts
    };
    let parts = (0..n_parts).into_par_iter().map(of_part);
    let sum = parts.reduce_with(|mut left, right| {
        add(&mut left, &right);
        left
    });
    sum.unwrap_or_default()
}

fn add(left: &mut [u64], right: &[u64]) {
    for (left, &right) in left.iter_mut().zip(right) {
        *left += right;
    }
}

/// `Σ (2 i − n − 1) x_i / (n Σ x)` over rising x, i from 1; 0 where nothing was listed.
fn gini(mut counts: Vec<u64>) -> f64 {
    counts.sort_unstable();
    let n = counts.len() as i128;
    let (mut weighted, mut total) = (0_i128, 0_i128);
    for (place, &count) in counts.iter().enumerate() {
        weighted += (2 * (place as i128 + 1) - n - 1) * i128::from(count);
        total += i128::from(count);
    }
    if total == 0 {
        return 0.0;
    }
    weighted as f64 / (n * total) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gini_by_hand() {
        assert_eq!(gini(vec![3, 3, 3]), 0.0);
        assert_eq!(gini(vec![0, 0, 0, 8]), 0.75);
        assert_eq!(gini(vec![0, 0]), 0.0);
    }

    #[test]
    fn items_are_counted_up_to_their_cut_off() {
        let items = [2, 0, 1, 2, 1, -1].repeat(50);
        let lists = ListTable {
            items: &items,
            n_lists: 100,
            k: 3,
        };
        assert_eq!(
            count(lists, &[1, 2, 9], 3),
            [0, 0, 100, 50, 50, 0, 0, 50, 0]
        );
    }
}

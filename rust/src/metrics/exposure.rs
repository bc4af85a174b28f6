//! How the lists together spread over the catalogue.

use super::ListTable;
use crate::lists::present;

/// Coverage and Gini at every cut-off, in the order coverage@K…, gini@K….
pub fn coverage_and_gini(lists: ListTable<'_>, ks: &[usize], n_items: usize) -> Vec<(String, f64)> {
    let mut coverages = Vec::with_capacity(ks.len());
    let mut ginis = Vec::with_capacity(ks.len());
    for &k in ks {
        let mut counts = vec![0_u64; n_items];
        for row in 0..lists.n_lists {
            for &item in present(lists.list(row)).iter().take(k) {
                counts[item as usize] += 1;
            }
        }
        let listed = counts.iter().filter(|&&count| count > 0).count();
        coverages.push((format!("coverage@{k}"), listed as f64 / n_items as f64));
        ginis.push((format!("gini@{k}"), gini(counts)));
    }
    coverages.extend(ginis);
    coverages
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
}

//! Rows of different lengths that an index owns or maps: posting lists, held items, sparse matrices.

use crate::error::Result;
use crate::mapped::{Array, IndexFile};

/// Row `r` is `values[offsets[r]..offsets[r + 1]]`; every value lies below a bound.
#[derive(Debug)]
pub struct Csr {
    values: Array<u32>,
    offsets: Array<u64>,
}

impl Csr {
    /// Take rows that were just made.
    pub(crate) fn new(values: Vec<u32>, offsets: Vec<u64>) -> Self {
        Self {
            values: values.into(),
            offsets: offsets.into(),
        }
    }

    /// Read `{name}.values` and `{name}.offsets` and check them.
    ///
    /// # Errors
    /// `Artifact` if they are missing, or are no rows of values below `n_values`.
    pub(crate) fn read(file: &IndexFile, name: &str, n_values: usize) -> Result<Self> {
        let values: Array<u32> = file.array(&format!("{name}.values"))?;
        let offsets: Array<u64> = file.array(&format!("{name}.offsets"))?;
        let ends = (offsets.first(), offsets.last());
        let whole = ends == (Some(&0), Some(&(values.len() as u64)));
        if !whole || offsets.windows(2).any(|pair| pair[1] < pair[0]) {
            return Err(file.damaged(&format!("\"{name}\" holds no rows")));
        }
        if values.iter().any(|&value| value as usize >= n_values) {
            return Err(file.damaged(&format!("\"{name}\" names what does not exist")));
        }
        Ok(Self { values, offsets })
    }

    /// The rows as slices, for loops over many of them.
    #[inline]
    pub fn rows(&self) -> Rows<'_> {
        Rows {
            values: &self.values,
            offsets: &self.offsets,
        }
    }

    /// One row.
    #[inline]
    pub fn row(&self, row: usize) -> &[u32] {
        &self.values[self.range(row)]
    }

    /// Where a row lies among all values.
    #[inline]
    pub fn range(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Values of all rows.
    pub fn values(&self) -> &[u32] {
        &self.values
    }

    /// Where each row starts.
    pub fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// Group pairs (row, value) by row; within a row they keep their order.
    pub(crate) fn group(n_rows: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut offsets = vec![0_u64; n_rows + 1];
        for (row, _) in pairs.clone() {
            offsets[row as usize + 1] += 1;
        }
        for row in 0..n_rows {
            offsets[row + 1] += offsets[row];
        }
        let mut next = offsets.clone();
        let mut values = vec![0; offsets[n_rows] as usize];
        for (row, value) in pairs {
            let place = &mut next[row as usize];
            values[*place as usize] = value;
            *place += 1;
        }
        Self::new(values, offsets)
    }

    /// Change every row, for example to drop values.
    pub(crate) fn map_rows(self, mut change: impl FnMut(&mut Vec<u32>)) -> Self {
        let mut values = Vec::with_capacity(self.values.len());
        let mut offsets = vec![0];
        let mut row_values = Vec::new();
        for row in 0..self.n_rows() {
            row_values.clear();
            row_values.extend_from_slice(self.row(row));
            change(&mut row_values);
            values.extend_from_slice(&row_values);
            offsets.push(values.len() as u64);
        }
        values.shrink_to_fit();
        Self::new(values, offsets)
    }
}

/// Rows whose arrays were looked up once.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    values: &'a [u32],
    offsets: &'a [u64],
}

impl<'a> Rows<'a> {
    /// One row.
    #[inline]
    pub fn row(&self, row: usize) -> &'a [u32] {
        &self.values[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

/// Sort a row and drop what stands twice.
pub(crate) fn distinct(row: &mut Vec<u32>) {
    row.sort_unstable();
    row.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_their_order() {
        let pairs = [(1, 7), (0, 3), (1, 2), (1, 7)];
        let rows = Csr::group(3, pairs.into_iter());
        assert_eq!(rows.row(1), [7, 2, 7]);
        let rows = rows.map_rows(distinct);
        assert_eq!(
            (rows.row(0), rows.row(1), rows.row(2)),
            (&[3][..], &[2, 7][..], &[][..])
        );
    }
}

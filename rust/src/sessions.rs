//! Checked view of sessions: rows of different lengths in two flat arrays.

use crate::error::{CoreError, Result};

/// Row `r` is `items[offsets[r]..offsets[r + 1]]`; every item lies in `0..n_items`.
#[derive(Debug, Clone, Copy)]
pub struct Sessions<'a> {
    items: &'a [i32],
    offsets: &'a [i64],
}

impl<'a> Sessions<'a> {
    /// Check and wrap; `what` names the rows in errors.
    ///
    /// # Errors
    /// `Shape` if the offsets do not rise from 0 to the number of items, `Data` if an item is not in
    /// `0..n_items` (the first such row is named).
    pub fn new(items: &'a [i32], offsets: &'a [i64], n_items: usize, what: &str) -> Result<Self> {
        let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else {
            return Err(CoreError::Shape(format!(
                "{what}: offsets must hold at least one number"
            )));
        };
        if first != 0 || usize::try_from(last) != Ok(items.len()) {
            return Err(CoreError::Shape(format!(
                "{what}: offsets must run from 0 to the number of items ({}), got {first} to {last}",
                items.len()
            )));
        }
        if let Some(row) = offsets.windows(2).position(|pair| pair[1] < pair[0]) {
            return Err(CoreError::Shape(format!(
                "{what}: offsets must not fall, but they do after row {row}"
            )));
        }
        let outside = |item: &i32| usize::try_from(*item).map_or(true, |item| item >= n_items);
        if let Some(at) = items.iter().position(outside) {
            let row = offsets.partition_point(|&offset| offset as usize <= at) - 1;
            return Err(CoreError::Data(format!(
                "{what}: row {row} holds item {}, which is not in 0..{n_items}",
                items[at]
            )));
        }
        Ok(Self { items, offsets })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of items in all rows.
    pub fn n_events(&self) -> usize {
        self.items.len()
    }

    /// The row that holds the item at a place of the flat array, and its place in the row.
    pub fn find(&self, at: usize) -> (&'a [i32], usize) {
        let row = self
            .offsets
            .partition_point(|&offset| offset as usize <= at)
            - 1;
        (self.row(row), at - self.offsets[row] as usize)
    }

    /// Items of one row, in their order.
    pub fn row(&self, row: usize) -> &'a [i32] {
        &self.items[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// Refuse another number of rows than `expected`.
    ///
    /// # Errors
    /// `Shape` with both numbers.
    pub fn expect_rows(&self, expected: usize, what: &str, of: &str) -> Result<()> {
        if self.len() == expected {
            return Ok(());
        }
        Err(CoreError::Shape(format!(
            "{what} must have one row for each of the {expected} {of}, got {}",
            self.len()
        )))
    }
}

/// Refuse a mask over items of another length than the catalogue.
///
/// # Errors
/// `Shape` with both lengths.
pub fn check_mask(mask: Option<&[bool]>, n_items: usize) -> Result<()> {
    match mask {
        Some(mask) if mask.len() != n_items => Err(CoreError::Shape(format!(
            "candidates must hold one value for each of the {n_items} items, got {}",
            mask.len()
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(items: &[i32], offsets: &[i64]) -> String {
        Sessions::new(items, offsets, 5, "sessions")
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn rows_come_back_in_order() {
        let sessions = Sessions::new(&[4, 1, 2], &[0, 2, 2, 3], 5, "sessions").unwrap();
        assert_eq!(sessions.len(), 3);
        assert_eq!(sessions.row(0), [4, 1]);
        assert!(sessions.row(1).is_empty());
        assert_eq!(sessions.find(2), (&[2][..], 0));
        assert_eq!(sessions.find(1), (&[4, 1][..], 1));
    }

    #[test]
    fn errors_say_where() {
        assert!(message(&[0, 5], &[0, 0, 1, 2]).contains("row 2 holds item 5"));
        assert!(message(&[0, -1], &[0, 2]).contains("row 0 holds item -1"));
        assert!(message(&[0, 1], &[0, 2, 1, 2]).contains("after row 1"));
        assert!(message(&[0, 1], &[0, 1]).contains("from 0 to the number of items (2)"));
        assert!(message(&[], &[]).contains("at least one number"));
    }
}

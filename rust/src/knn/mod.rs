//! The session-kNN family: which train sessions look like the prompt, and what do they hold.

mod prompt;
mod sampling;
mod search;

pub use prompt::Decay;
pub use sampling::Sampling;
pub use search::{Query, SessionSimilarity};

use crate::error::{CoreError, Result};
use crate::sessions::Sessions;

/// Train sessions as sets of items, and for each item the sessions that hold it.
#[derive(Debug)]
pub struct SessionIndex {
    /// Distinct items of each session, ascending.
    held: Csr,
    /// Sessions of each item, ascending.
    posting: Csr,
    /// `1 + ln(S / n)`, n of the S sessions hold the item; 0 for items in no session.
    idf: Vec<f64>,
    /// Recency of each session, higher = newer.
    order: Option<Vec<i64>>,
}

/// Rows of different lengths, owned.
#[derive(Debug)]
struct Csr {
    values: Vec<u32>,
    offsets: Vec<usize>,
}

impl Csr {
    fn row(&self, row: usize) -> &[u32] {
        &self.values[self.offsets[row]..self.offsets[row + 1]]
    }

    fn n_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    fn distinct(sessions: Sessions<'_>) -> Self {
        let mut values = Vec::new();
        let mut offsets = vec![0];
        let mut row_items = Vec::new();
        for row in 0..sessions.len() {
            row_items.clear();
            row_items.extend(sessions.row(row).iter().map(|&item| item as u32));
            row_items.sort_unstable();
            row_items.dedup();
            values.extend_from_slice(&row_items);
            offsets.push(values.len());
        }
        Self { values, offsets }
    }

    /// Swap rows and values; rows come out ascending.
    fn transposed(&self, n_values: usize) -> Self {
        let mut offsets = vec![0; n_values + 1];
        for &value in &self.values {
            offsets[value as usize + 1] += 1;
        }
        for value in 0..n_values {
            offsets[value + 1] += offsets[value];
        }
        let mut next = offsets.clone();
        let mut values = vec![0; self.values.len()];
        for row in 0..self.n_rows() {
            for &value in self.row(row) {
                values[next[value as usize]] = row as u32;
                next[value as usize] += 1;
            }
        }
        Self { values, offsets }
    }
}

impl SessionIndex {
    /// Index train sessions; items that repeat within one count once. `order` ranks sessions by recency.
    ///
    /// # Errors
    /// `Data` if there is no session or more than an int32 can number, `Shape` for an `order` of another
    /// length.
    pub fn new(sessions: Sessions<'_>, n_items: usize, order: Option<&[i64]>) -> Result<Self> {
        if sessions.is_empty() {
            return Err(CoreError::Data(
                "a session index needs at least one train session, got none".into(),
            ));
        }
        if i32::try_from(sessions.len()).is_err() || i32::try_from(n_items).is_err() {
            return Err(CoreError::Data(format!(
                "sessions and items are numbered in int32, got {} sessions and {n_items} items",
                sessions.len()
            )));
        }
        if let Some(order) = order.filter(|order| order.len() != sessions.len()) {
            return Err(CoreError::Shape(format!(
                "order must hold one value for each of the {} sessions, got {}",
                sessions.len(),
                order.len()
            )));
        }
        let held = Csr::distinct(sessions);
        let posting = held.transposed(n_items);
        let n_sessions = sessions.len() as f64;
        let idf = (0..n_items)
            .map(|item| match posting.row(item).len() {
                0 => 0.0,
                n => 1.0 + (n_sessions / n as f64).ln(),
            })
            .collect();
        Ok(Self {
            held,
            posting,
            idf,
            order: order.map(<[i64]>::to_vec),
        })
    }

    /// Number of train sessions.
    pub fn n_sessions(&self) -> usize {
        self.held.n_rows()
    }

    /// Number of items.
    pub fn n_items(&self) -> usize {
        self.idf.len()
    }
}

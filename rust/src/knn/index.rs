//! Posting lists over train sessions: made, saved, mapped.

use std::path::Path;

use super::scratch::Scratch;
use super::vectors::SessionVectors;
use crate::csr::{Csr, distinct};
use crate::error::{CoreError, Result};
use crate::mapped::{Array, IndexFile, Part};
use crate::matrix::Matrix;
use crate::parallel::Stop;
use crate::pooling::Pooling;
use crate::sessions::Sessions;
use crate::shelf::Shelf;

/// What a saved index calls itself.
pub const FORMAT: &str = "llmseq session index";
/// Version of the arrays in a saved index.
pub const VERSION: &str = "2";

/// Train sessions and what an index keeps of them.
#[derive(Debug, Clone, Copy)]
pub struct Train<'a> {
    /// Oldest event first.
    pub sessions: Sessions<'a>,
    /// Size of the catalogue.
    pub n_items: usize,
    /// Recency of each session, higher = newer; a time where ages count.
    pub order: Option<&'a [i64]>,
    /// Keep only the newest so many sessions of each item (VMIS-kNN); needs `order`.
    pub newest: Option<usize>,
    /// Keep which items directly follow each item (SF-SKNN).
    pub followers: bool,
    /// Item vectors and how a session's are pooled (`SKNNEmb`).
    pub vectors: Option<(Matrix<'a>, Pooling)>,
}

/// Distinct items of train sessions, and for each item the sessions that hold it.
#[derive(Debug)]
pub struct SessionIndex {
    /// Distinct items of each session, oldest first, each at its first occurrence.
    pub(super) held: Csr,
    /// Sessions of each item, ascending.
    pub(super) posting: Csr,
    /// `1 + ln(S / n)`, n of the S sessions hold the item; 0 for items in no session.
    pub(super) idf: Array<f64>,
    /// Recency of each session, higher = newer.
    pub(super) order: Option<Array<i64>>,
    /// Items that directly follow each item, ascending.
    pub(super) followers: Option<Csr>,
    pub(super) vectors: Option<SessionVectors>,
    /// Largest value of `order`.
    pub(super) newest: i64,
    pub(super) shelf: Shelf<Scratch>,
}

impl SessionIndex {
    /// Index train sessions; items that repeat within one count once.
    ///
    /// # Errors
    /// `Data` if there is no session or more than an int32 can number, `Shape` for an `order` or vectors
    /// of another length, `Config` for `newest` without `order`, `Stopped`.
    pub fn new(train: &Train<'_>, stop: &Stop) -> Result<Self> {
        check(train)?;
        let (sessions, n_items) = (train.sessions, train.n_items);
        let rows = 0..sessions.len();
        let events = rows.flat_map(|row| {
            let items = sessions.row(row).iter();
            items.map(move |&item| (row as u32, item as u32))
        });
        let mut seen_in = vec![u32::MAX; n_items];
        let mut row = 0;
        let held = Csr::group(sessions.len(), events).map_rows(|items| {
            items.retain(|&item| std::mem::replace(&mut seen_in[item as usize], row) != row);
            row += 1;
        });
        drop(seen_in);
        stop.check()?;
        let holders = (0..sessions.len()).flat_map(|row| {
            let items = held.row(row).iter();
            items.map(move |&item| (item, row as u32))
        });
        let posting = Csr::group(n_items, holders);
        let n_sessions = sessions.len() as f64;
        let idf: Vec<f64> = (0..n_items)
            .map(|item| match posting.row(item).len() {
                0 => 0.0,
                n => 1.0 + (n_sessions / n as f64).ln(),
            })
            .collect();
        stop.check()?;
        let posting = match (train.newest, train.order) {
            (Some(newest), Some(order)) => posting.map_rows(|row| keep_newest(row, newest, order)),
            _ => posting,
        };
        let followers = train.followers.then(|| followers(sessions, n_items));
        let vectors = train
            .vectors
            .map(|(items, pooling)| SessionVectors::new(items, sessions, pooling, stop))
            .transpose()?;
        let order = train.order.map(|order| order.to_vec().into());
        Ok(Self::assemble(
            held,
            posting,
            idf.into(),
            order,
            followers,
            vectors,
        ))
    }

    fn assemble(
        held: Csr,
        posting: Csr,
        idf: Array<f64>,
        order: Option<Array<i64>>,
        followers: Option<Csr>,
        vectors: Option<SessionVectors>,
    ) -> Self {
        let values = order.as_deref().unwrap_or(&[]);
        let newest = values.iter().copied().max().unwrap_or(0);
        Self {
            shelf: Shelf::default(),
            held,
            posting,
            idf,
            order,
            followers,
            vectors,
            newest,
        }
    }

    /// Map an index that was saved with its `parts`; nothing is built again.
    ///
    /// # Errors
    /// `Artifact` that names the file if it is missing, damaged, cut short or of another version.
    pub fn open(path: &Path) -> Result<Self> {
        let file = IndexFile::open(path, FORMAT, VERSION)?;
        let idf: Array<f64> = file.array("idf")?;
        let held = Csr::read(&file, "held", idf.len())?;
        let (n_items, n_sessions) = (idf.len(), held.n_rows());
        let posting = Csr::read(&file, "posting", n_sessions)?;
        let order: Option<Array<i64>> = file.optional("order")?;
        let followers = file
            .optional::<u64>("followers.offsets")?
            .map(|_| Csr::read(&file, "followers", n_items))
            .transpose()?;
        let vectors = SessionVectors::read(&file, n_items, n_sessions)?;
        let fits = posting.n_rows() == n_items
            && order.as_ref().is_none_or(|order| order.len() == n_sessions)
            && followers
                .as_ref()
                .is_none_or(|rows| rows.n_rows() == n_items)
            && idf.iter().all(|idf| idf.is_finite() && *idf >= 0.0);
        if !fits {
            return Err(file.damaged("its arrays do not fit together"));
        }
        Ok(Self::assemble(
            held, posting, idf, order, followers, vectors,
        ))
    }

    /// Number of train sessions.
    pub fn n_sessions(&self) -> usize {
        self.held.n_rows()
    }

    /// Number of items.
    pub fn n_items(&self) -> usize {
        self.idf.len()
    }

    /// What is saved, by name; the same names are read by `open`.
    pub fn parts(&self) -> Vec<(String, Part<'_>)> {
        let mut parts = vec![
            ("held.values".into(), Part::U32(self.held.values())),
            ("held.offsets".into(), Part::U64(self.held.offsets())),
            ("posting.values".into(), Part::U32(self.posting.values())),
            ("posting.offsets".into(), Part::U64(self.posting.offsets())),
            ("idf".into(), Part::F64(&self.idf)),
        ];
        if let Some(order) = &self.order {
            parts.push(("order".into(), Part::I64(order)));
        }
        if let Some(followers) = &self.followers {
            parts.push(("followers.values".into(), Part::U32(followers.values())));
            parts.push(("followers.offsets".into(), Part::U64(followers.offsets())));
        }
        if let Some(vectors) = &self.vectors {
            parts.extend(vectors.parts());
        }
        parts
    }
}

fn check(train: &Train<'_>) -> Result<()> {
    let n_sessions = train.sessions.len();
    if n_sessions == 0 {
        return Err(CoreError::Data(
            "a session index needs at least one train session, got none".into(),
        ));
    }
    if i32::try_from(n_sessions).is_err() || i32::try_from(train.n_items).is_err() {
        return Err(CoreError::Data(format!(
            "sessions and items are numbered in int32, got {n_sessions} sessions and {} items",
            train.n_items
        )));
    }
    if let Some(order) = train.order.filter(|order| order.len() != n_sessions) {
        return Err(CoreError::Shape(format!(
            "order must hold one value for each of the {n_sessions} sessions, got {}",
            order.len()
        )));
    }
    if train.newest == Some(0) {
        return Err(CoreError::Config("newest must be at least 1, got 0".into()));
    }
    if train.newest.is_some() && train.order.is_none() {
        return Err(CoreError::Config(
            "newest keeps the newest sessions of an item and needs to know which those are: give order"
                .into(),
        ));
    }
    match train.vectors {
        Some((vectors, _)) if vectors.n_rows() != train.n_items => Err(CoreError::Shape(format!(
            "vectors must have one row for each of the {} items, got {}: they belong to another catalogue",
            train.n_items,
            vectors.n_rows()
        ))),
        _ => Ok(()),
    }
}

/// Keep the `newest` sessions of a posting list; equally new: the lower session.
fn keep_newest(row: &mut Vec<u32>, newest: usize, order: &[i64]) {
    if row.len() > newest {
        row.select_nth_unstable_by_key(newest - 1, |&session| {
            (std::cmp::Reverse(order[session as usize]), session)
        });
        row.truncate(newest);
        row.sort_unstable();
    }
}

fn followers(sessions: Sessions<'_>, n_items: usize) -> Csr {
    let steps = (0..sessions.len()).flat_map(|row| {
        let pairs = sessions.row(row).windows(2);
        pairs.map(|pair| (pair[0] as u32, pair[1] as u32))
    });
    Csr::group(n_items, steps).map_rows(distinct)
}

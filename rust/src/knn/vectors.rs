//! Session vectors, the similarity of `SKNNEmb`.

use super::query::SessionSimilarity;
use crate::error::Result;
use crate::mapped::{Array, IndexFile, Part};
use crate::matrix::Matrix;
use crate::parallel::Stop;
use crate::pooling::{Pooling, pool_one, pool_sessions};
use crate::sessions::Sessions;
use crate::topk::Similarity;

/// Vectors of items and of train sessions, all equally wide.
#[derive(Debug)]
pub(super) struct SessionVectors {
    items: Array<f32>,
    sessions: Array<f32>,
    /// Length of each session's vector.
    norms: Array<f64>,
    dim: usize,
}

/// A prompt's vector.
#[derive(Debug, Default)]
pub(super) struct PromptVector {
    items: Vec<i32>,
    sums: Vec<f64>,
    values: Vec<f32>,
    norm: f64,
}

impl SessionVectors {
    pub(super) fn new(
        items: Matrix<'_>,
        sessions: Sessions<'_>,
        pooling: Pooling,
        stop: &Stop,
    ) -> Result<Self> {
        let dim = items.n_cols();
        let pooled = pool_sessions(items, sessions, pooling, stop)?;
        let norms: Vec<f64> = pooled.chunks_exact(dim).map(norm).collect();
        let rows = (0..items.n_rows()).flat_map(|row| items.row(row));
        Ok(Self {
            items: rows.copied().collect::<Vec<_>>().into(),
            sessions: pooled.into(),
            norms: norms.into(),
            dim,
        })
    }

    /// Read the vectors of a saved index, if it has some.
    pub(super) fn read(
        file: &IndexFile,
        n_items: usize,
        n_sessions: usize,
    ) -> Result<Option<Self>> {
        let Some(items) = file.optional::<f32>("vectors.items")? else {
            return Ok(None);
        };
        let sessions: Array<f32> = file.array("vectors.sessions")?;
        let norms: Array<f64> = file.array("vectors.norms")?;
        let dim = sessions.len() / n_sessions.max(1);
        let fits = dim > 0
            && sessions.len() == n_sessions * dim
            && items.len() == n_items * dim
            && norms.len() == n_sessions
            && items
                .iter()
                .chain(&*sessions)
                .all(|value| value.is_finite());
        if !fits {
            return Err(file.damaged("its vectors are not those of its sessions"));
        }
        Ok(Some(Self {
            items,
            sessions,
            norms,
            dim,
        }))
    }

    pub(super) fn parts(&self) -> [(String, Part<'_>); 3] {
        [
            ("vectors.items".into(), Part::F32(&self.items)),
            ("vectors.sessions".into(), Part::F32(&self.sessions)),
            ("vectors.norms".into(), Part::F64(&self.norms)),
        ]
    }

    /// Pool the items of a reduced prompt, oldest first.
    pub(super) fn pool(&self, items: &[u32], pooling: Pooling, into: &mut PromptVector) {
        into.items.clear();
        into.items.extend(items.iter().map(|&item| item as i32));
        into.sums.resize(self.dim, 0.0);
        into.values.resize(self.dim, 0.0);
        let rows = Matrix::known(&self.items, self.dim);
        pool_one(rows, &into.items, pooling, &mut into.sums, &mut into.values);
        into.norm = norm(&into.values);
    }

    /// Similarity of a prompt and a train session; 0 where one of them has a zero vector.
    pub(super) fn similarity(
        &self,
        prompt: &PromptVector,
        session: u32,
        similarity: SessionSimilarity,
    ) -> f64 {
        let start = session as usize * self.dim;
        let row = &self.sessions[start..start + self.dim];
        let dot = Similarity::Dot.score(&prompt.values, row);
        match similarity {
            SessionSimilarity::Dot => dot,
            SessionSimilarity::Cosine => {
                let lengths = prompt.norm * self.norms[session as usize];
                if lengths > 0.0 { dot / lengths } else { 0.0 }
            }
        }
    }
}

fn norm(vector: &[f32]) -> f64 {
    Similarity::Dot.score(vector, vector).sqrt()
}

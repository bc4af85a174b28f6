//! The two indexes as Python classes.

use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arrays::{ListArrays, RaggedArrays, list_arrays, matrix, slice};
use super::run::{checked, run};
use crate::knn::{self, Decay, Query, Sampling, SessionSimilarity};
use crate::sessions::Sessions;
use crate::topk::{self, Allowed, Similarity};

/// Item vectors ready to be searched.
#[pyclass(frozen, module = "llmseq._core")]
pub struct ItemIndex(topk::ItemIndex);

#[pymethods]
impl ItemIndex {
    #[new]
    fn new(
        py: Python<'_>,
        vectors: PyReadonlyArray2<'_, f32>,
        similarity: &str,
        n_threads: usize,
    ) -> PyResult<Self> {
        let similarity = checked(py, Similarity::parse(similarity))?;
        let vectors = matrix(py, &vectors, "vectors")?;
        run(py, n_threads, |_| topk::ItemIndex::new(vectors, similarity)).map(Self)
    }

    #[getter]
    fn n_items(&self) -> usize {
        self.0.n_items()
    }

    #[getter]
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn search<'py>(
        &self,
        py: Python<'py>,
        queries: PyReadonlyArray2<'py, f32>,
        k: usize,
        exclude: Option<RaggedArrays<'py>>,
        candidates: Option<PyReadonlyArray1<'py, bool>>,
        n_threads: usize,
    ) -> PyResult<ListArrays<'py>> {
        let n_queries = queries.shape()[0];
        let queries = matrix(py, &queries, "queries")?;
        let exclude = match &exclude {
            None => None,
            Some((items, offsets)) => {
                let (items, offsets) = (
                    slice(py, items, "exclude")?,
                    slice(py, offsets, "exclude offsets")?,
                );
                Some(checked(
                    py,
                    Sessions::new(items, offsets, self.0.n_items(), "exclude"),
                )?)
            }
        };
        let candidates = candidates.as_ref();
        let candidates = candidates
            .map(|mask| slice(py, mask, "candidates"))
            .transpose()?;
        let allowed = Allowed {
            exclude,
            candidates,
        };
        let lists = run(py, n_threads, |stop| {
            self.0.search(queries, k, allowed, stop)
        })?;
        list_arrays(py, lists, n_queries)
    }
}

/// Posting lists over train sessions.
#[pyclass(frozen, module = "llmseq._core")]
pub struct SessionIndex(knn::SessionIndex);

#[pymethods]
impl SessionIndex {
    #[new]
    fn new(
        py: Python<'_>,
        items: PyReadonlyArray1<'_, i32>,
        offsets: PyReadonlyArray1<'_, i64>,
        n_items: usize,
        order: Option<PyReadonlyArray1<'_, i64>>,
    ) -> PyResult<Self> {
        let (items, offsets) = (slice(py, &items, "items")?, slice(py, &offsets, "offsets")?);
        let order = order
            .as_ref()
            .map(|order| slice(py, order, "order"))
            .transpose()?;
        let index = py.detach(|| {
            let sessions = Sessions::new(items, offsets, n_items, "sessions")?;
            knn::SessionIndex::new(sessions, n_items, order)
        });
        checked(py, index).map(Self)
    }

    #[getter]
    fn n_items(&self) -> usize {
        self.0.n_items()
    }

    #[getter]
    fn n_sessions(&self) -> usize {
        self.0.n_sessions()
    }

    #[allow(clippy::too_many_arguments)]
    fn search<'py>(
        &self,
        py: Python<'py>,
        prompt_items: PyReadonlyArray1<'py, i32>,
        prompt_offsets: PyReadonlyArray1<'py, i64>,
        k_items: usize,
        k: usize,
        sample_size: usize,
        sampling: &str,
        similarity: &str,
        prompt_decay: Option<&str>,
        idf_weighting: bool,
        last_n: Option<usize>,
        seed: u64,
        exclude_seen: bool,
        candidates: Option<PyReadonlyArray1<'py, bool>>,
        n_threads: usize,
    ) -> PyResult<ListArrays<'py>> {
        let candidates = candidates.as_ref();
        let query = Query {
            k_items,
            k,
            sample_size,
            sampling: checked(py, Sampling::parse(sampling))?,
            similarity: checked(py, SessionSimilarity::parse(similarity))?,
            decay: checked(py, Decay::parse(prompt_decay))?,
            idf_weighting,
            last_n,
            seed,
            exclude_seen,
            candidates: candidates
                .map(|mask| slice(py, mask, "candidates"))
                .transpose()?,
        };
        let (items, offsets) = (
            slice(py, &prompt_items, "prompt items")?,
            slice(py, &prompt_offsets, "prompt offsets")?,
        );
        let prompts = checked(
            py,
            Sessions::new(items, offsets, self.0.n_items(), "prompts"),
        )?;
        let lists = run(py, n_threads, |stop| self.0.search(prompts, &query, stop))?;
        list_arrays(py, lists, prompts.len())
    }
}

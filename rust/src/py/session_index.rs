//! The session-kNN index as a Python class.

use std::path::PathBuf;

use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::arrays::{ListArrays, list_arrays, matrix, optional, part_arrays, sessions};
use super::run::{checked, run};
use crate::knn::{self, Decay, Query, Sampling, SessionSimilarity, Train};
use crate::pooling::Pooling;

/// Posting lists over train sessions.
#[pyclass(frozen, module = "llmseq._core")]
pub struct SessionIndex(knn::SessionIndex);

#[pymethods]
impl SessionIndex {
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        items: PyReadonlyArray1<'_, i32>,
        offsets: PyReadonlyArray1<'_, i64>,
        n_items: usize,
        order: Option<PyReadonlyArray1<'_, i64>>,
        newest: Option<usize>,
        followers: bool,
        vectors: Option<PyReadonlyArray2<'_, f32>>,
        pooling: &str,
        n_threads: usize,
    ) -> PyResult<Self> {
        let pooling = checked(py, Pooling::parse(pooling))?;
        let vectors = vectors.as_ref();
        let train = Train {
            sessions: sessions(py, &items, &offsets, n_items, "sessions")?,
            n_items,
            order: optional(py, order.as_ref(), "order")?,
            newest,
            followers,
            vectors: vectors
                .map(|vectors| matrix(py, vectors, "vectors").map(|vectors| (vectors, pooling)))
                .transpose()?,
        };
        run(py, n_threads, |stop| knn::SessionIndex::new(&train, stop)).map(Self)
    }

    /// Map a saved index.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let index = py.detach(|| knn::SessionIndex::open(&path));
        checked(py, index).map(Self)
    }

    /// Format and version of a saved index.
    #[staticmethod]
    fn format() -> (&'static str, &'static str) {
        (knn::FORMAT, knn::VERSION)
    }

    /// Copies of the arrays that are saved, by name.
    fn arrays<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        part_arrays(py, self.0.parts())
    }

    #[getter]
    fn n_items(&self) -> usize {
        self.0.n_items()
    }

    #[getter]
    fn n_sessions(&self) -> usize {
        self.0.n_sessions()
    }

    #[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)]
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
        prompt_pooling: &str,
        backward: f64,
        sequential_weighting: bool,
        only_followers: bool,
        half_life: Option<f64>,
        idf_weighting: bool,
        last_n: Option<usize>,
        seed: u64,
        exclude_seen: bool,
        candidates: Option<PyReadonlyArray1<'py, bool>>,
        n_threads: usize,
    ) -> PyResult<ListArrays<'py>> {
        let query = Query {
            k_items,
            k,
            sample_size,
            sampling: checked(py, Sampling::parse(sampling))?,
            similarity: checked(py, SessionSimilarity::parse(similarity))?,
            decay: checked(py, Decay::parse(prompt_decay))?,
            pooling: checked(py, Pooling::parse(prompt_pooling))?,
            backward,
            sequential_weighting,
            only_followers,
            half_life,
            idf_weighting,
            last_n,
            seed,
            exclude_seen,
            candidates: optional(py, candidates.as_ref(), "candidates")?,
        };
        let n_items = self.0.n_items();
        let prompts = sessions(py, &prompt_items, &prompt_offsets, n_items, "prompts")?;
        let lists = run(py, n_threads, |stop| self.0.search(prompts, &query, stop))?;
        list_arrays(py, lists, prompts.len())
    }
}

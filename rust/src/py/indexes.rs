//! The index of item vectors as a Python class.

use std::path::PathBuf;

use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::arrays::{
    ListArrays, RaggedArrays, list_arrays, matrix, optional, part_arrays, sessions,
};
use super::run::{checked, run, run_here};
use crate::parallel::Stop;
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

    /// Map a saved index.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let index = py.detach(|| topk::ItemIndex::open(&path));
        checked(py, index).map(Self)
    }

    /// Format and version of a saved index.
    #[staticmethod]
    fn format() -> (&'static str, &'static str) {
        (topk::FORMAT, topk::VERSION)
    }

    /// Copies of the arrays that are saved, by name.
    fn arrays<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        part_arrays(py, self.0.parts())
    }

    #[getter]
    fn similarity(&self) -> &'static str {
        self.0.similarity().name()
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
        let n_items = self.0.n_items();
        let exclude = exclude.as_ref();
        let exclude = exclude
            .map(|(items, offsets)| sessions(py, items, offsets, n_items, "exclude"))
            .transpose()?;
        let allowed = Allowed {
            exclude,
            candidates: optional(py, candidates.as_ref(), "candidates")?,
        };
        let search = |stop: &Stop| self.0.search(queries, k, allowed, n_threads, stop);
        let lists = if self.0.is_shared(n_queries, n_threads) {
            run_here(py, search)
        } else {
            run(py, n_threads, search)
        }?;
        list_arrays(py, lists, n_queries)
    }
}

//! The index of item vectors as a Python class.

use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

use super::arrays::{ListArrays, RaggedArrays, list_arrays, matrix, slice};
use super::run::{checked, run};
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

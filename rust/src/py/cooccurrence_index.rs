//! The co-occurrence index as a Python class.

use std::path::PathBuf;

use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::arrays::{ListArrays, list_arrays, optional, part_arrays, sessions, slice};
use super::run::{checked, run};
use crate::cooccurrence::{self, Near, Query, Train};
use crate::error::CoreError;
use crate::pooling::Pooling;

/// Which items stand near which others in train sessions.
#[pyclass(frozen, module = "llmseq._core")]
pub struct CooccurrenceIndex(cooccurrence::CooccurrenceIndex);

#[pymethods]
impl CooccurrenceIndex {
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        items: PyReadonlyArray1<'_, i32>,
        offsets: PyReadonlyArray1<'_, i64>,
        n_items: usize,
        forward: PyReadonlyArray1<'_, f64>,
        backward: PyReadonlyArray1<'_, f64>,
        row_power: f64,
        near: Option<(PyReadonlyArray2<'_, i32>, PyReadonlyArray2<'_, f32>)>,
        smoothing: (f64, f64, f64),
        n_threads: usize,
    ) -> PyResult<Self> {
        let near = match &near {
            None => None,
            Some((items, scores)) => {
                if items.shape() != scores.shape() {
                    let error = format!(
                        "near: items and scores must have one shape, got {:?} and {:?}",
                        items.shape(),
                        scores.shape()
                    );
                    return checked(py, Err(CoreError::Shape(error)));
                }
                Some(Near {
                    width: items.shape()[1],
                    items: slice(py, items, "near items")?,
                    scores: slice(py, scores, "near scores")?,
                    of_prompts: smoothing.0,
                    of_items: smoothing.1,
                    direct: smoothing.2,
                })
            }
        };
        let train = Train {
            sessions: sessions(py, &items, &offsets, n_items, "sessions")?,
            n_items,
            forward: slice(py, &forward, "forward")?,
            backward: slice(py, &backward, "backward")?,
            row_power,
            near,
        };
        run(py, n_threads, |stop| {
            cooccurrence::CooccurrenceIndex::new(&train, stop)
        })
        .map(Self)
    }

    /// Map a saved index.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let index = py.detach(|| cooccurrence::CooccurrenceIndex::open(&path));
        checked(py, index).map(Self)
    }

    /// Format and version of a saved index.
    #[staticmethod]
    fn format() -> (&'static str, &'static str) {
        (cooccurrence::FORMAT, cooccurrence::VERSION)
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
    fn n_pairs(&self) -> usize {
        self.0.n_pairs()
    }

    #[allow(clippy::too_many_arguments)]
    fn search<'py>(
        &self,
        py: Python<'py>,
        prompt_items: PyReadonlyArray1<'py, i32>,
        prompt_offsets: PyReadonlyArray1<'py, i64>,
        k: usize,
        pooling: &str,
        exclude_seen: bool,
        candidates: Option<PyReadonlyArray1<'py, bool>>,
        n_threads: usize,
    ) -> PyResult<ListArrays<'py>> {
        let query = Query {
            k,
            pooling: checked(py, Pooling::parse(pooling))?,
            exclude_seen,
            candidates: optional(py, candidates.as_ref(), "candidates")?,
        };
        let n_items = self.0.n_items();
        let prompts = sessions(py, &prompt_items, &prompt_offsets, n_items, "prompts")?;
        let lists = run(py, n_threads, |stop| self.0.search(prompts, &query, stop))?;
        list_arrays(py, lists, prompts.len())
    }
}

//! The kernels that keep nothing between calls.

use numpy::{PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::arrays::{ListArrays, list_arrays, matrix, optional, sessions, slice, zeros};
use super::run::{checked, run};
use crate::cpu::Cpu;
use crate::error::CoreError;
use crate::fusion::{self, Fusion, Member};
use crate::metrics::{self, Against, ListTable};
use crate::parallel;
use crate::pooling::{self, Pooling};

/// Threads of a call that names no number.
#[pyfunction]
pub fn default_threads(py: Python<'_>) -> PyResult<usize> {
    checked(py, parallel::default_threads())
}

/// Instruction sets that the kernels can use on this machine, the most capable last.
#[pyfunction]
pub fn cpu_paths() -> Vec<&'static str> {
    Cpu::available().iter().map(|path| path.name()).collect()
}

/// The instruction set in force.
#[pyfunction]
pub fn cpu_path(py: Python<'_>) -> PyResult<&'static str> {
    checked(py, Cpu::chosen()).map(Cpu::name)
}

/// Weighted mean of each session's item vectors.
#[pyfunction]
pub fn pool_sessions<'py>(
    py: Python<'py>,
    item_vectors: PyReadonlyArray2<'py, f32>,
    items: PyReadonlyArray1<'py, i32>,
    offsets: PyReadonlyArray1<'py, i64>,
    pooling: &str,
    n_threads: usize,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let pooling = checked(py, Pooling::parse(pooling))?;
    let vectors = matrix(py, &item_vectors, "item_vectors")?;
    let sessions = sessions(py, &items, &offsets, vectors.n_rows(), "sessions")?;
    let pooled = zeros(py, sessions.len(), vectors.n_cols(), "session vectors")?;
    let mut values = pooled.readwrite();
    let out = values.as_slice_mut()?;
    run(py, n_threads, |stop| {
        pooling::pool_into(vectors, sessions, pooling, out, stop)
    })?;
    drop(values);
    Ok(pooled)
}

/// Metrics of ranked lists: (means, per session).
#[pyfunction]
#[allow(clippy::too_many_arguments)]
pub fn evaluate_lists<'py>(
    py: Python<'py>,
    lists: PyReadonlyArray2<'py, i32>,
    target_items: PyReadonlyArray1<'py, i32>,
    target_offsets: PyReadonlyArray1<'py, i64>,
    ks: Vec<usize>,
    popularity: Option<PyReadonlyArray1<'py, i64>>,
    n_items: Option<usize>,
    n_threads: usize,
) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>)> {
    let [n_lists, k] = [lists.shape()[0], lists.shape()[1]];
    let items = slice(py, &lists, "lists")?;
    let against = Against {
        ks: &ks,
        popularity: optional(py, popularity.as_ref(), "popularity")?,
        n_items,
    };
    let n_items = against.catalogue();
    let targets = sessions(py, &target_items, &target_offsets, n_items, "targets")?;
    let names = against.names();
    let table = zeros(py, names.len(), n_lists, "metrics")?;
    let mut values = table.readwrite();
    let out = values.as_slice_mut()?;
    let lists = ListTable { items, n_lists, k };
    let found = run(py, n_threads, |stop| {
        metrics::evaluate_lists(lists, targets, against, out, stop)
    })?;
    drop(values);
    let (means, per_session) = (PyDict::new(py), PyDict::new(py));
    for (name, value) in found {
        means.set_item(name, value)?;
    }
    for (row, name) in names.into_iter().enumerate() {
        per_session.set_item(name, table.get_item(row)?)?;
    }
    Ok((means, per_session))
}

/// Fuse many models' lists.
#[pyfunction]
pub fn fuse_lists<'py>(
    py: Python<'py>,
    lists: Vec<(PyReadonlyArray2<'py, i32>, PyReadonlyArray2<'py, f32>)>,
    k: usize,
    method: &str,
    weights: Vec<f64>,
    c: f64,
    n_threads: usize,
) -> PyResult<ListArrays<'py>> {
    let method = checked(py, Fusion::parse(method))?;
    if weights.len() != lists.len() {
        let error = format!(
            "weights must hold one value for each of the {} lists, got {}",
            lists.len(),
            weights.len()
        );
        return checked(py, Err(CoreError::Shape(error)));
    }
    let n_sessions = lists.first().map_or(0, |(items, _)| items.shape()[0]);
    let mut members = Vec::with_capacity(lists.len());
    for (number, ((items, scores), &weight)) in lists.iter().zip(&weights).enumerate() {
        if items.shape() != scores.shape() || items.shape()[0] != n_sessions {
            let error = format!(
                "lists {number}: items and scores must both be ({n_sessions}, k), got {:?} and {:?}",
                items.shape(),
                scores.shape()
            );
            return checked(py, Err(CoreError::Shape(error)));
        }
        let k_member = items.shape()[1];
        let (items, scores) = (slice(py, items, "lists")?, slice(py, scores, "lists")?);
        members.push(checked(
            py,
            Member::new(items, scores, k_member, weight, number),
        )?);
    }
    let fused = run(py, n_threads, |stop| {
        fusion::fuse_lists(&members, n_sessions, k, method, c, stop)
    })?;
    list_arrays(py, fused, n_sessions)
}

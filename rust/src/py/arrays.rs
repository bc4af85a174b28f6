//! Arrays as slices, and vectors as arrays.

use numpy::ndarray::{Array2, Dimension};
use numpy::{
    Element, IntoPyArray, PyArray1, PyArray2, PyReadonlyArray, PyReadonlyArray1, PyReadonlyArray2,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::run::checked;
use crate::error::CoreError;
use crate::lists::Lists;
use crate::mapped::Part;
use crate::matrix::Matrix;
use crate::parallel::check_room;
use crate::sessions::Sessions;

/// Items and scores, both (n, k).
pub type ListArrays<'py> = (Bound<'py, PyArray2<i32>>, Bound<'py, PyArray2<f32>>);
/// Flat items and offsets.
pub type RaggedArrays<'py> = (PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, i64>);

/// The values of a C-contiguous array.
pub fn slice<'a, T: Element, D: Dimension>(
    py: Python<'_>,
    array: &'a PyReadonlyArray<'_, T, D>,
    what: &str,
) -> PyResult<&'a [T]> {
    let error = || CoreError::Shape(format!("{what} must be C-contiguous"));
    if !array.is_c_contiguous() {
        return checked(py, Err(error()));
    }
    checked(py, array.as_slice().map_err(|_| error()))
}

/// The values of an array that may be left out.
pub fn optional<'a, T: Element, D: Dimension>(
    py: Python<'_>,
    array: Option<&'a PyReadonlyArray<'_, T, D>>,
    what: &str,
) -> PyResult<Option<&'a [T]>> {
    array.map(|array| slice(py, array, what)).transpose()
}

/// Checked sessions of a catalogue of so many items.
pub fn sessions<'a>(
    py: Python<'_>,
    items: &'a PyReadonlyArray1<'_, i32>,
    offsets: &'a PyReadonlyArray1<'_, i64>,
    n_items: usize,
    what: &str,
) -> PyResult<Sessions<'a>> {
    let (items, offsets) = (slice(py, items, what)?, slice(py, offsets, what)?);
    checked(py, Sessions::new(items, offsets, n_items, what))
}

/// A checked float32 matrix.
pub fn matrix<'a>(
    py: Python<'_>,
    array: &'a PyReadonlyArray2<'_, f32>,
    what: &str,
) -> PyResult<Matrix<'a>> {
    let [n_rows, n_cols] = [array.shape()[0], array.shape()[1]];
    let data = slice(py, array, what)?;
    checked(py, Matrix::new(data, n_rows, n_cols, what))
}

/// Zeros of `NumPy`'s making, (`n_rows`, `n_cols`).
///
/// A large table is best made here and filled by the kernel: `NumPy` asks for huge pages, and nobody
/// touches the memory before the threads that fill it.
pub fn zeros<'py, T: Element>(
    py: Python<'py>,
    n_rows: usize,
    n_cols: usize,
    what: &str,
) -> PyResult<Bound<'py, PyArray2<T>>> {
    checked(py, check_room::<T>(n_rows, n_cols, what))?;
    Ok(PyArray2::zeros(py, [n_rows, n_cols], false))
}

/// Vector to array (n, k) without a copy.
pub fn table<T: Element>(
    py: Python<'_>,
    values: Vec<T>,
    n_rows: usize,
    n_cols: usize,
) -> PyResult<Bound<'_, PyArray2<T>>> {
    let values = Array2::from_shape_vec((n_rows, n_cols), values);
    let values = values.map_err(|error| CoreError::Shape(error.to_string()));
    checked(py, values).map(|values| values.into_pyarray(py))
}

/// Flat array without a copy.
pub fn flat<T: Element>(py: Python<'_>, values: Vec<T>) -> Bound<'_, PyArray1<T>> {
    values.into_pyarray(py)
}

/// Copies of an index's arrays by name, to be saved.
pub fn part_arrays<'py>(
    py: Python<'py>,
    parts: Vec<(String, Part<'_>)>,
) -> PyResult<Bound<'py, PyDict>> {
    let arrays = PyDict::new(py);
    for (name, part) in parts {
        match part {
            Part::U8(values) => arrays.set_item(name, flat(py, values.to_vec()))?,
            Part::I16(values) => arrays.set_item(name, flat(py, values.to_vec()))?,
            Part::U32(values) => arrays.set_item(name, flat(py, values.to_vec()))?,
            Part::U64(values) => arrays.set_item(name, flat(py, values.to_vec()))?,
            Part::I64(values) => arrays.set_item(name, flat(py, values.to_vec()))?,
            Part::F32(values) => arrays.set_item(name, flat(py, values.to_vec()))?,
            Part::F64(values) => arrays.set_item(name, flat(py, values.to_vec()))?,
        }
    }
    Ok(arrays)
}

/// Lists as two arrays.
pub fn list_arrays(py: Python<'_>, lists: Lists, n_rows: usize) -> PyResult<ListArrays<'_>> {
    Ok((
        table(py, lists.items, n_rows, lists.k)?,
        table(py, lists.scores, n_rows, lists.k)?,
    ))
}

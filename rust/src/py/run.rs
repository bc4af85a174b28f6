//! Leaves the GIL, runs work on the pool or here, answers Ctrl-C, maps errors.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::error::{CoreError, Result};
use crate::parallel::{Stop, pool};

/// How often work is interrupted by a look for Ctrl-C.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// Run `work` on `n_threads` threads without the GIL. A signal whose handler raises stops it.
pub fn run<T: Send>(
    py: Python<'_>,
    n_threads: usize,
    work: impl FnOnce(&Stop) -> Result<T> + Send,
) -> PyResult<T> {
    let pool = pool(n_threads).map_err(|error| to_python(py, &error))?;
    let stop = Stop::default();
    let (outcome, raised) = py.detach(|| {
        let mut outcome = None;
        let raised = pool.in_place_scope(|scope| {
            let (done, waiting) = channel::<()>();
            scope.spawn(|_| {
                outcome = Some(work(&stop));
                drop(done);
            });
            while waiting.recv_timeout(SIGNAL_CHECK) == Err(RecvTimeoutError::Timeout) {
                let raised = Python::attach(|py| py.check_signals().err());
                if raised.is_some() {
                    stop.request();
                    return raised;
                }
            }
            None
        });
        (outcome, raised)
    });
    if let Some(raised) = raised {
        return Err(raised);
    }
    outcome
        .unwrap_or(Err(CoreError::Stopped))
        .map_err(|error| to_python(py, &error))
}

/// Run work in the calling thread without the GIL: to hand it over takes as long as a short search. The work itself
/// looks now and then whether a signal's handler raises.
pub fn run_here<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Stop) -> Result<T> + Send,
) -> PyResult<T> {
    let raised = Arc::new(Mutex::new(None));
    let own = Arc::clone(&raised);
    let stop = Stop::asking(SIGNAL_CHECK, move || {
        let Some(error) = Python::attach(|py| py.check_signals().err()) else {
            return false;
        };
        *own.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        true
    });
    let outcome = py.detach(|| work(&stop));
    if let Some(error) = raised.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    checked(py, outcome)
}

/// The Python exception of an error.
pub fn to_python(py: Python<'_>, error: &CoreError) -> PyErr {
    static SHAPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static DATA: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static CONFIG: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static ARTIFACT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = match error {
        CoreError::Shape(_) => SHAPE.import(py, "llmseq.errors", "ShapeError"),
        CoreError::Data(_) => DATA.import(py, "llmseq.errors", "InvalidDataError"),
        CoreError::Config(_) => CONFIG.import(py, "llmseq.errors", "ConfigError"),
        CoreError::Artifact(_) => ARTIFACT.import(py, "llmseq.errors", "ArtifactError"),
        CoreError::Stopped => return pyo3::exceptions::PyKeyboardInterrupt::new_err(()),
    };
    match class {
        Ok(class) => PyErr::from_type(class.clone(), error.to_string()),
        Err(missing) => missing,
    }
}

/// Map the error of a check that needs no thread.
pub fn checked<T>(py: Python<'_>, result: Result<T>) -> PyResult<T> {
    result.map_err(|error| to_python(py, &error))
}

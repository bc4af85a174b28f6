//! The compiled module `llmseq._core`: arrays in, arrays out. Nothing else names `PyO3`.

// PyO3 hands arguments over by value.
#![allow(clippy::needless_pass_by_value)]

mod arrays;
mod cooccurrence_index;
mod functions;
mod indexes;
mod run;
mod session_index;

use pyo3::prelude::*;

/// Kernels of llmseq. Use them through `llmseq.core`, which checks and converts.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::cooccurrence_index::CooccurrenceIndex;
    #[pymodule_export]
    use super::functions::{
        cpu_path, cpu_paths, default_threads, evaluate_lists, fuse_lists, pool_sessions,
    };
    #[pymodule_export]
    use super::indexes::ItemIndex;
    #[pymodule_export]
    use super::session_index::SessionIndex;
}

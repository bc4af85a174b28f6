//! The compiled core of llmseq: session pooling, exact top-k, session-kNN, co-occurrence, list metrics,
//! list fusion.
//!
//! Kernels take checked views and return plain vectors; only `py` (feature `python`) knows Python.
//! Results never depend on the number of threads.

pub mod best;
pub mod cooccurrence;
pub mod cpu;
pub mod crew;
pub mod csr;
pub mod error;
pub mod fusion;
pub mod knn;
pub mod lists;
pub mod mapped;
pub mod matrix;
pub mod metrics;
pub mod parallel;
pub mod pooling;
pub mod sessions;
pub mod shelf;
pub mod simd;
pub mod slots;
pub mod sums;
pub mod tiles;
pub mod topk;

#[cfg(feature = "python")]
mod py;

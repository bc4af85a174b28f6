//! The session-kNN family: which train sessions look like the prompt, and what do they hold.

mod index;
mod prompt;
mod sampling;
mod scratch;
mod search;
mod vectors;

pub use index::{FORMAT, SessionIndex, Train, VERSION};
pub use prompt::Decay;
pub use sampling::Sampling;
pub use search::{Query, SessionSimilarity};

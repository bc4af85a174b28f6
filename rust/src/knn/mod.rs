//! The session-kNN family: which train sessions look like the prompt, and what do they hold.

mod index;
mod prompt;
mod query;
mod sampling;
mod scratch;
mod search;
mod vectors;
mod votes;

pub use index::{FORMAT, SessionIndex, Train, VERSION};
pub use prompt::Decay;
pub use query::{Query, SessionSimilarity};
pub use sampling::Sampling;

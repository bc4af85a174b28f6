//! Which items stand near which others in train sessions, smoothed by text neighbours.

mod count;
mod index;
mod search;
mod smoothing;
mod weighted;

pub use index::{CooccurrenceIndex, FORMAT, Near, Train, VERSION};
pub use search::Query;

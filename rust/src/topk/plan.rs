//! How a search is cut into pieces.

use super::store::PADDING;

/// Queries that read a panel while it is in the cache.
const LARGEST_GROUP: usize = 384;
/// Pairs of a query and a panel that a thread may have of a group, each with two numbers: what still fits into a
/// shared cache.
const MOST_MAXIMA: usize = 1 << 21;
/// Panels from which on it can be worth that threads share a group.
const MANY_PANELS: usize = 4096;
/// Queries of a thread that do not keep it busy for as long as it waits for the panels: so many where a
/// shared cache holds them, and where it does not.
const FEW_CACHED: usize = 16;
const FEW: usize = 96;

/// Groups of queries, chunks of panels, and which of them threads share.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Queries of a group.
    pub group: usize,
    /// Panels of a chunk.
    pub chunk: usize,
    /// Threads share the chunks of a group, so that memory brings each panel once to all of them.
    pub shared: bool,
    /// Threads take different groups.
    pub spread: bool,
}

impl Plan {
    /// For so many queries and panels; `alone` in the calling thread.
    pub fn of(n_queries: usize, n_panels: usize, alone: bool) -> Self {
        let n_threads = if alone {
            1
        } else {
            rayon::current_num_threads()
        };
        let most = MOST_MAXIMA / n_panels;
        let fair = n_queries.div_ceil(n_threads);
        // Panels that leave room for few maxima are themselves too many for the cache.
        let few = fair < FEW_CACHED || most < FEW;
        let shared = n_threads > 1 && n_panels >= MANY_PANELS && few;
        let (queries, most) = if shared {
            (n_queries, most * n_threads)
        } else {
            (fair, most)
        };
        let n_groups = queries.div_ceil(most.clamp(1, LARGEST_GROUP)).max(1);
        let chunk = n_panels.div_ceil(4 * n_threads).next_multiple_of(PADDING);
        Self {
            group: queries.div_ceil(n_groups).max(1),
            chunk: if shared { chunk } else { n_panels },
            shared,
            spread: n_threads > 1 && !shared,
        }
    }
}

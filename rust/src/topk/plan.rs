//! How a search is cut into pieces.

use super::store::PADDING;

/// Queries that read a panel while it is in the cache.
const LARGEST_GROUP: usize = 384;
/// Pairs of a query and a panel that a thread may have of a group, each with two numbers: what still fits into a
/// shared cache.
const MOST_MAXIMA: usize = 1 << 21;
/// Queries of a thread that do not keep it busy for as long as it waits for the panels: so many where a
/// shared cache holds them, and where it does not.
const FEW_CACHED: usize = 24;
const FEW: usize = 96;

/// Byte products that are done before a pool of sleeping threads would have started, and before one thread would.
const SHORT: usize = 1 << 23;
const SHORTEST: usize = 1 << 21;
/// Byte products that are worth another thread that is awake.
const SHARE: usize = 1 << 19;
/// Chunks of a hand, so that those who begin later or are slower leave some to others; and the smallest.
const CHUNKS: usize = 64;
const SMALLEST: usize = 64;

/// Groups of queries, chunks of panels, and who takes which.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Queries of a group.
    pub group: usize,
    /// Panels of a chunk.
    pub chunk: usize,
    /// Threads that share the chunks of a group, so that memory brings each panel once to all of them.
    pub n_hands: usize,
    /// Threads take different groups.
    pub spread: bool,
    /// It takes longer to search than to wake a thread.
    pub long: bool,
}

impl Plan {
    /// For so many queries and panels, of which a query makes so many products with each.
    pub fn of(n_queries: usize, n_panels: usize, n_products: usize, n_threads: usize) -> Self {
        let n_products = n_queries
            .saturating_mul(n_panels)
            .saturating_mul(n_products);
        let short = n_products <= SHORT;
        let most = MOST_MAXIMA / n_panels;
        let fair = n_queries.div_ceil(n_threads);
        // Panels that leave room for few maxima are themselves too many for the cache.
        let few = fair < FEW_CACHED || most < FEW;
        let shared = short || few;
        let n_hands = if shared {
            (n_products / SHARE).clamp(1, n_threads)
        } else {
            1
        };
        let (queries, most) = if shared {
            (n_queries, most * n_hands)
        } else {
            (fair, most)
        };
        let n_groups = queries.div_ceil(most.clamp(1, LARGEST_GROUP)).max(1);
        let chunk = n_panels.div_ceil(CHUNKS * n_hands).max(SMALLEST);
        Self {
            group: queries.div_ceil(n_groups).max(1),
            chunk: if shared {
                chunk.next_multiple_of(PADDING)
            } else {
                n_panels
            },
            n_hands,
            spread: n_threads > 1 && !shared,
            long: n_products > SHORTEST,
        }
    }
}

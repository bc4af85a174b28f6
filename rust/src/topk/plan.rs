//! How a search is cut into pieces.

use super::store::PADDING;

/// Queries that read a panel while it is in the cache.
const LARGEST_GROUP: usize = 384;
/// Pairs of a query and a panel that a hand may have of a group, each with two numbers: what still fits into a
/// shared cache. One that works alone may have those of [`SPARE`] hands.
const MOST_MAXIMA: usize = 1 << 21;
const SPARE: usize = 4;
/// Queries of a thread that do not keep it busy for as long as it waits for the panels: so many where a
/// shared cache holds them, and where it does not.
const FEW_CACHED: usize = 24;
const FEW_FAR: usize = 96;

/// Byte products that are done before a pool of sleeping threads would have started.
const SHORT: usize = 1 << 23;
/// Byte products that are worth another hand, and those that are worth waking one.
const OF_A_HAND: usize = 1 << 19;
const OF_A_SLEEPER: usize = 1 << 20;
/// Bytes of panels that come quickly to a hand without being asked for.
const NEAR: usize = 1 << 22;
/// Chunks of a hand, so that those who begin later or are slower leave some to others; and the smallest, in panels.
const CHUNKS: usize = 64;
const SMALLEST: usize = 64;

/// Who takes what.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    n_queries: usize,
    n_panels: usize,
    n_threads: usize,
    /// Bytes of all panels.
    n_bytes: usize,
    /// Panels of the smallest chunk.
    smallest: usize,
    /// Threads that share the chunks of a group, so that memory brings each panel once to all of them.
    pub n_hands: usize,
    /// Threads of a pool take different groups.
    pub spread: bool,
    /// It takes longer to search than to wake the others.
    pub long: bool,
}

/// Sizes of the pieces.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Queries of a group.
    pub group: usize,
    /// Panels of a chunk.
    pub chunk: usize,
    /// A hand has so many that it must ask for them early.
    pub far: bool,
}

impl Plan {
    /// For so many queries and panels, with so many bytes in each.
    pub fn of(n_queries: usize, n_panels: usize, n_bytes: usize, n_threads: usize) -> Self {
        let n_threads = n_threads.max(1);
        let n_products = n_queries.saturating_mul(n_panels).saturating_mul(n_bytes);
        let fair = n_queries.div_ceil(n_threads);
        // Panels that leave room for few maxima are themselves too many for the cache.
        let few = fair < FEW_CACHED || MOST_MAXIMA / n_panels < FEW_FAR;
        let most_hands = (n_products / OF_A_HAND).min(n_panels / SMALLEST);
        let n_hands = most_hands.clamp(1, n_threads);
        let share = few && n_hands >= n_threads.min(n_queries);
        let spread = n_products > SHORT && n_threads > 1 && !share;
        Self {
            n_queries,
            n_panels,
            n_threads,
            n_bytes: n_panels.saturating_mul(n_bytes),
            smallest: SMALLEST,
            n_hands: if spread { 1 } else { n_hands },
            spread,
            long: n_products > n_hands * OF_A_SLEEPER,
        }
    }

    /// Shared by so many, in the smallest pieces.
    #[cfg(test)]
    pub fn in_small(n_queries: usize, n_panels: usize, n_hands: usize) -> Self {
        Self {
            n_hands,
            smallest: PADDING,
            spread: false,
            ..Self::of(n_queries, n_panels, 0, n_hands)
        }
    }

    /// Sizes, where so many hands have come.
    pub fn cut(self, n_hands: usize) -> Cut {
        let most = (MOST_MAXIMA / self.n_panels).max(1);
        let (queries, most) = if self.spread {
            (self.n_queries.div_ceil(self.n_threads), most)
        } else {
            (self.n_queries, most * n_hands.min(SPARE))
        };
        let n_groups = queries.div_ceil(most.min(LARGEST_GROUP)).max(1);
        let chunk = self.n_panels.div_ceil(CHUNKS * n_hands).max(self.smallest);
        Cut {
            group: queries.div_ceil(n_groups).max(1),
            chunk: if n_hands > 1 {
                chunk.next_multiple_of(PADDING)
            } else {
                self.n_panels
            },
            far: self.n_bytes / n_hands > NEAR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 16 * 224;

    #[test]
    fn few_queries_are_shared_and_many_spread() {
        let hands = |n_queries, n_panels, n_threads| {
            let plan = Plan::of(n_queries, n_panels, BYTES, n_threads);
            (!plan.spread).then_some(plan.n_hands)
        };
        assert_eq!(hands(1, 16, 2), Some(1)); // too little for two
        assert_eq!(hands(1, 768, 2), Some(2));
        assert_eq!(hands(4469, 768, 2), None);
        assert_eq!(hands(4469, 768, 1), Some(1));
        assert_eq!(hands(64, 62_500, 2), Some(2)); // too many panels for a cache
        assert_eq!(hands(320, 768, 16), None); // too few chunks for all
        assert_eq!(hands(1, 3125, 64), Some(21)); // no less than the pool would give
        assert_eq!(hands(0, 768, 2), Some(1));
        assert_eq!(hands(1, 768, 0), Some(1));
    }

    #[test]
    fn pieces_fit_those_who_come() {
        let plan = Plan::of(10_000, 62_500, BYTES, 64);
        assert_eq!(plan.n_hands, 64);
        assert!(plan.long);
        for n_hands in [2, 64] {
            let Cut { group, chunk, .. } = plan.cut(n_hands);
            assert!(group * 62_500 <= MOST_MAXIMA * n_hands.min(SPARE));
            assert!(chunk.is_multiple_of(PADDING) && chunk * n_hands <= 62_500);
        }
        let alone = plan.cut(1);
        assert!(alone.group * 62_500 <= MOST_MAXIMA);
        assert_eq!(alone.chunk, 62_500);
    }
}

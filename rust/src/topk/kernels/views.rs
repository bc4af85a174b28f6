//! What the loops read and write: panels and rows of 8-bit items, queries, hits.

use super::sweep::Side;

/// Panels of 8-bit items as the scan reads them.
#[derive(Debug, Clone, Copy)]
pub struct Panels<'a> {
    /// `[panel][width / 4][lane][4]`, each value + 128.
    pub bytes: &'a [u8],
    /// Bytes of an item, a multiple of 4.
    pub width: usize,
    /// Lanes of each panel that may be listed; `TILE` divides their number.
    pub lanes: &'a [u16],
}

/// 8-bit queries: rows as wide as an item, and what undoes the + 128 of the items.
#[derive(Debug, Clone, Copy)]
pub struct Queries<'a> {
    /// `[query][width]`.
    pub values: &'a [i8],
    /// −128 · the sum of each row.
    pub starts: &'a [i32],
}

/// A query that looks at a panel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look<'a> {
    /// Its 8-bit values.
    pub query: &'a [i8],
    /// −128 · their sum.
    pub start: i32,
    /// What makes bounds of its dots.
    pub side: Side,
    /// What they have to reach.
    pub needed: f32,
    /// Lanes that it may list.
    pub lanes: u16,
    /// Its number in the group.
    pub number: u32,
    /// Place of the panel's first lane.
    pub first: u32,
}

/// An item that may belong to a query's list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hit {
    /// Number of the query in its group.
    pub query: u32,
    /// Place of the item in the scan.
    pub place: u32,
    /// Its bound.
    pub most: f32,
}

impl Hit {
    /// Whether it may have what is needed.
    pub fn reaches(&self, needed: f32) -> bool {
        !(self.most < needed)
    }
}

/// Items in all their dimensions, a row of bytes (each value + 128) each.
#[derive(Debug, Clone, Copy)]
pub struct CodeRows<'a> {
    /// `[place][width]`.
    pub bytes: &'a [u8],
    /// Step, length, length of the rounding.
    pub stats: &'a [[f32; 3]],
    /// Bytes of a row.
    pub width: usize,
    /// Whether an item loses half its squared length.
    pub loss: bool,
}

/// A query in all its dimensions.
#[derive(Debug, Clone, Copy, Default)]
pub struct CodeQuery<'a> {
    /// 8-bit values.
    pub values: &'a [i8],
    /// −128 · their sum.
    pub start: i32,
    /// Their step.
    pub step: f32,
    /// Factors of a row's length and rounding.
    pub factors: [f32; 2],
}

impl CodeRows<'_> {
    /// The most that the item of a row with this dot may have of what is compared.
    #[inline(always)]
    pub fn bound(&self, place: u32, dot: i32, query: &CodeQuery<'_>) -> f32 {
        let [step, length, rounding] = self.stats[place as usize];
        // Lengths are rounded upwards; half the square must not be.
        let loss = if self.loss {
            length * length * 0.499_999
        } else {
            0.0
        };
        (dot + query.start) as f32 * (query.step * step)
            + query.factors[0] * length
            + query.factors[1] * rounding
            - loss
    }
}

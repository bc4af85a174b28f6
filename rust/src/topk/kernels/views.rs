//! What the loops read and write: panels and rows of 8-bit items, queries, hits.

use super::sweep::Side;
use crate::simd::prefetch;

/// Coordinates of an item that a scan reads: the first have a byte each, the others half of one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    /// Those of 8 bits, a multiple of 4.
    pub fine: usize,
    /// Those of 4 bits, a multiple of 8.
    pub coarse: usize,
}

impl Layout {
    /// All in 8 bits.
    pub fn fine(width: usize) -> Self {
        Self {
            fine: width,
            coarse: 0,
        }
    }

    /// Whether both numbers are as they must be, and not both 0.
    pub fn is_whole(self) -> bool {
        self.fine.is_multiple_of(4) && self.coarse.is_multiple_of(8) && self.width() > 0
    }

    /// Number of coordinates.
    pub fn width(self) -> usize {
        self.fine + self.coarse
    }

    /// Bytes of an item.
    pub fn n_bytes(self) -> usize {
        self.fine + self.coarse / 2
    }
}

/// Panels of items as the scan reads them.
#[derive(Debug, Clone, Copy)]
pub struct Panels<'a> {
    /// Of each panel `[fine / 4][lane][4]`, each value + 128, then `[coarse / 8][lane][4]`, in the lower half
    /// of each byte one of the first four of eight values + 8, in the upper half one of the other four.
    pub bytes: &'a [u8],
    /// What stands there.
    pub layout: Layout,
    /// Lanes of each panel that may be listed; `TILE` divides their number.
    pub lanes: &'a [u16],
    /// Whether they come from far: few queries, and on some paths the last of many, ask for them before they read them.
    pub far: bool,
}

/// 8-bit queries: rows as wide as an item, and what undoes that the values of items are raised.
#[derive(Debug, Clone, Copy)]
pub struct Queries<'a> {
    /// `[query][width]`.
    pub values: &'a [i8],
    /// Of each row, see [`start_of`].
    pub starts: &'a [i32],
}

/// A 4-bit value counts this many times: a step of both kinds of values is one.
pub const COARSE: i8 = 8;

/// What a dot with raised values has too much, negative: fine values are raised by 128, coarse ones by 8.
#[inline(always)]
pub fn start_of(query: &[i8], layout: Layout) -> i32 {
    let sum = |values: &[i8]| values.iter().map(|&value| i32::from(value)).sum::<i32>();
    let (fine, coarse) = query.split_at(layout.fine);
    -128 * sum(fine) - 8 * i32::from(COARSE) * sum(coarse)
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

impl CodeRows<'_> {
    /// Ask for the row of a hit.
    #[inline(always)]
    pub fn expect(&self, hit: &Hit) {
        let place = hit.place as usize;
        prefetch(&self.bytes[place * self.width..][..self.width]);
        prefetch(&self.stats[place..=place]);
    }
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

//! Queries as the scan reads them.

// Compiled for each path of the CPU, see `Kernels::compiled`.
#![allow(clippy::inline_always)]

use super::bound::{Asked, FAR, Needs, Projection, above};
use super::canonical::Similarity;
use super::kernels::{BLOCK, CodeQuery, Kernels, Queries, start_of};
use super::project::Projected;
use super::quantise::{largest, quantise, rounded_length, step_for};
use super::space::{Space, dot, length, scaled};

/// A few queries that are searched together.
#[derive(Debug, Default)]
pub struct Group {
    /// 8-bit values for the panels, (query, width), and what their dots start from. Where dots are kept these are not
    /// looked at, and the width is that of the front, rounded up to a block of axes.
    pub values: Vec<i8>,
    pub starts: Vec<i32>,
    /// Whether the scan of all panels reads their fronts alone.
    pub fronts: bool,
    /// Whether all its dots are kept, so that no panel is looked at again.
    pub keeps: bool,
    /// The same as the first two for fronts.
    front_values: Vec<i8>,
    front_starts: Vec<i32>,
    /// 8-bit values for the rows of all dimensions, (query, dim); empty without them.
    pub codes: Vec<i8>,
    /// What is known of each.
    pub known: Vec<Known>,
    scaled: Vec<f32>,
    projected: Projected,
}

/// One query's side of the bounds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    pub asked: Asked,
    /// Steps and factors for a panel's bound.
    pub step: f32,
    pub factors: [f32; 3],
    /// The same for what the scan reads, and what its bound has on top of that.
    pub scan_factors: [f32; 3],
    pub scan_extra: f32,
    /// What every bound has on top.
    pub extra: f64,
    /// Step, start, and factors for a row of all dimensions.
    pub code_step: f32,
    pub code_start: i32,
    pub code_factors: [f32; 2],
}

impl Group {
    /// Take in queries, (query, dim), of so many panels. The scan for few of them waits for memory, and reads less.
    #[inline(always)]
    pub fn prepare(
        &mut self,
        queries: &[f32],
        space: &Space,
        needs: Needs,
        n_panels: usize,
        kernels: Kernels,
    ) {
        let dim = space.centre.len();
        let n_queries = queries.len() / dim;
        let front = space.front();
        self.fronts = space.reads_fronts(n_queries);
        self.keeps = space.keeps(n_queries, n_panels);
        let width = if self.keeps {
            front.width().next_multiple_of(BLOCK)
        } else {
            space.width()
        };
        let limit = kernels.query_limit(width);
        let centred = needs.similarity == Similarity::Euclidean;
        self.scaled.resize(queries.len(), 0.0);
        self.known.clear();
        self.starts.clear();
        self.front_values.clear();
        self.front_starts.clear();
        self.values.clear();
        self.values.resize(n_queries * width, 0);
        self.codes.clear();
        for (query, out) in queries
            .chunks_exact(dim)
            .zip(self.scaled.chunks_exact_mut(dim))
        {
            let mut asked = Asked::default();
            if centred {
                space.centred(query, space.exponent, out);
                asked.unit = 2.0_f64.powi(-2 * space.exponent);
            } else {
                let exponent = Space::exponent_of(length(query));
                scaled(query, exponent, out);
                asked.unit = 2.0_f64.powi(-exponent - space.exponent);
                asked.on_centre = dot(out, &space.centre);
            }
            asked.length = length(out);
            if asked.length >= FAR || asked.length.is_nan() {
                // Nothing will be ruled out; the scan sees zeros instead of what float32 cannot hold.
                out.fill(0.0);
            }
            self.known.push(Known {
                asked,
                ..Known::default()
            });
        }
        let (scanned, n_scanned): (&[f32], usize) = if let Some(axes) = &space.axes {
            axes.project(&self.scaled, dim, width, kernels, &mut self.projected);
            (&self.projected.values, width)
        } else {
            (&self.scaled, dim)
        };
        let errors = space.axes.as_ref().map(|axes| axes.errors);
        let rows = scanned.chunks_exact(n_scanned);
        let places = self
            .known
            .iter_mut()
            .zip(self.values.chunks_exact_mut(width));
        for ((known, out), values) in places.zip(rows) {
            let rounded = quantise(values, step_for(largest(values), limit), limit, out);
            let whole = known.asked.length;
            let part = length(values);
            let (of_length, extra) = errors.map_or((0.0, 0.0), |errors: Projection| {
                errors.errors(whole, part, needs.longest)
            });
            let rest = errors.map_or(0.0, |errors| errors.rest(whole, part));
            known.step = rounded.step;
            known.factors = [rounded.error + of_length, rounded.length, rest].map(above);
            known.scan_factors = known.factors;
            known.extra = extra;
            self.starts.push(-128 * rounded.sum);
            if let Some(errors) = errors.filter(|_| self.fronts) {
                let integers = &out[..front.width()];
                let (fine, coarse) = integers.split_at(front.fine);
                let [fine, coarse] = [fine, coarse].map(|part| rounded_length(part, rounded.step));
                let rest = errors.rest(whole, length(&values[..front.width()]));
                known.scan_factors = [fine, coarse, rest].map(above);
                known.scan_extra = above((rounded.error + of_length) * errors.part(needs.longest));
                self.front_values.extend_from_slice(integers);
                self.front_starts.push(start_of(integers, front));
            }
        }
        if errors.is_none() {
            return;
        }
        let limit = kernels.query_limit(dim);
        self.codes.resize(queries.len(), 0);
        let rows = self.scaled.chunks_exact(dim);
        let places = self.known.iter_mut().zip(self.codes.chunks_exact_mut(dim));
        for ((known, out), values) in places.zip(rows) {
            let rounded = quantise(values, step_for(largest(values), limit), limit, out);
            known.code_step = rounded.step;
            known.code_start = -128 * rounded.sum;
            known.code_factors = [rounded.error, rounded.length].map(above);
        }
    }

    /// A query for the panels.
    pub fn row(&self, number: usize) -> &[i8] {
        let width = self.values.len() / self.known.len();
        &self.values[number * width..(number + 1) * width]
    }

    /// All queries, for the rows of all dimensions.
    pub fn codes(&self) -> impl Iterator<Item = CodeQuery<'_>> {
        let width = self.codes.len() / self.known.len().max(1);
        let rows = self.codes.chunks_exact(width.max(1));
        rows.zip(&self.known).map(|(values, known)| CodeQuery {
            values,
            start: known.code_start,
            step: known.code_step,
            factors: known.code_factors,
        })
    }

    /// All queries, as the scan of all panels reads them.
    pub fn scan(&self) -> Queries<'_> {
        let (values, starts) = if self.fronts {
            (&self.front_values, &self.front_starts)
        } else {
            (&self.values, &self.starts)
        };
        Queries { values, starts }
    }
}

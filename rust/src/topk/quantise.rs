//! Vectors as small integers times a step.

// Compiled for each path of the CPU, see `Kernels::compiled`.
#![allow(clippy::inline_always)]

/// What is left to know of a vector whose integers are stored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rounded {
    /// Step: the vector is about `step` times its integers.
    pub step: f32,
    /// Length of the rounded vector.
    pub length: f64,
    /// Length of what rounding took away.
    pub error: f64,
    /// Sum of the integers.
    pub sum: i32,
}

/// What a value is rounded to; the integers that come are in its range.
pub trait Small: Copy + Default + Into<f32> {
    /// That integer.
    fn of(integer: i32) -> Self;
}

impl Small for i8 {
    #[inline(always)]
    fn of(integer: i32) -> Self {
        integer as Self
    }
}

impl Small for i16 {
    #[inline(always)]
    fn of(integer: i32) -> Self {
        integer as Self
    }
}

/// The step that brings `largest` to `limit`.
pub fn step_for<T: Small>(largest: f32, limit: T) -> f32 {
    // Never 0, and never so small that its inverse overflows.
    (largest / limit.into()).max(f32::MIN_POSITIVE * 4.0)
}

/// Largest absolute value.
#[inline(always)]
pub fn largest(values: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let (blocks, rest) = values.as_chunks::<16>();
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane = if value.abs() > *lane {
                value.abs()
            } else {
                *lane
            };
        }
    }
    let all = lanes.iter().chain(rest);
    all.fold(0.0, |largest, value| value.abs().max(largest))
}

/// Length of a rounded vector.
#[inline(always)]
pub fn rounded_length(integers: &[i8], step: f32) -> f64 {
    let squares = integers.iter().map(|&value| i32::from(value).pow(2));
    f64::from(squares.sum::<i32>()).sqrt() * f64::from(step)
}

/// Values that are rounded side by side.
const BLOCK: usize = 16;

/// Write the integers nearest to `values / step`, within `±limit`; `out` may be longer.
#[inline(always)]
pub fn quantise<T: Small>(values: &[f32], step: f32, limit: T, out: &mut [T]) -> Rounded {
    let mut sums = Sums::default();
    let (blocks, rest) = values.as_chunks::<BLOCK>();
    let (outs, last) = out[..values.len()].as_chunks_mut::<BLOCK>();
    for (values, out) in blocks.iter().zip(outs) {
        sums.round(values, step, limit, out);
    }
    if !rest.is_empty() {
        // Zeros add nothing.
        let (mut values, mut out) = ([0.0; BLOCK], [T::default(); BLOCK]);
        values[..rest.len()].copy_from_slice(rest);
        sums.round(&values, step, limit, &mut out);
        last.copy_from_slice(&out[..rest.len()]);
    }
    Rounded {
        step,
        length: sums.lengths.iter().sum::<f64>().sqrt(),
        error: sums.errors.iter().sum::<f64>().sqrt(),
        sum: sums.integers.iter().sum(),
    }
}

#[derive(Default)]
struct Sums {
    integers: [i32; BLOCK],
    lengths: [f64; BLOCK],
    errors: [f64; BLOCK],
}

impl Sums {
    #[inline(always)]
    fn round<T: Small>(
        &mut self,
        values: &[f32; BLOCK],
        step: f32,
        limit: T,
        out: &mut [T; BLOCK],
    ) {
        // Added to this, a small number loses what follows its point, and its integer stands in the lowest
        // bits: rounding that the compiler turns into vectors.
        const SHIFT: f32 = 12_582_912.0;
        let (inverse, limit): (f32, f32) = (1.0 / step, limit.into());
        for lane in 0..BLOCK {
            let shifted = (values[lane] * inverse).clamp(-limit, limit) + SHIFT;
            let integer = shifted.to_bits().cast_signed() - SHIFT.to_bits().cast_signed();
            out[lane] = T::of(integer);
            self.integers[lane] += integer;
            // Exact in float64: such an integer times a float32.
            let back = f64::from(shifted - SHIFT) * f64::from(step);
            let error = f64::from(values[lane]) - back;
            self.lengths[lane] += back * back;
            self.errors[lane] += error * error;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut out = [0; 3];
        let rounded = quantise(&[1.0, -0.26, 0.0], 0.5, 127_i8, &mut out);
        assert_eq!(out, [2, -1, 0]);
        assert_eq!(rounded.sum, 1);
        assert!((rounded.length - 1.25_f64.sqrt()).abs() < 1e-12);
        assert!((rounded.error - 0.24).abs() < 1e-7);
    }

    #[test]
    fn nothing_leaves_the_limits() {
        for largest in [0.0, 1e-45, 1e-38, 1.0, 1e38] {
            for limit in [63_i8, 127] {
                let mut out = [0_i8; 2];
                let values = [largest, -largest];
                let rounded = quantise(&values, step_for(largest, limit), limit, &mut out);
                assert!(out.iter().all(|&value| value.abs() <= limit));
                assert!(rounded.error.is_finite() && rounded.step > 0.0);
            }
        }
    }
}

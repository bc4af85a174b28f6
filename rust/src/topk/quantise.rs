//! Vectors as 8-bit integers times a step.

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

/// The step that brings `largest` to `limit`.
pub fn step_for(largest: f32, limit: i8) -> f32 {
    // Never 0, and never so small that its inverse overflows.
    (largest / f32::from(limit)).max(f32::MIN_POSITIVE * 4.0)
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

/// Write the integers nearest to `values / step`, within `±limit`.
#[inline(always)]
pub fn quantise(values: &[f32], step: f32, limit: i8, out: &mut [i8]) -> Rounded {
    let (inverse, limit) = (1.0 / step, f32::from(limit));
    let mut sum = 0_i32;
    let (mut lengths, mut errors) = ([0.0_f64; 8], [0.0_f64; 8]);
    let chunks = values.chunks(8).zip(out.chunks_mut(8));
    for (values, out) in chunks {
        for (lane, (&value, out)) in values.iter().zip(out).enumerate() {
            // Added to this, a small number loses what follows its point, and its integer stands in the lowest
            // bits: rounding that the compiler turns into vectors.
            const SHIFT: f32 = 12_582_912.0;
            let shifted = (value * inverse).clamp(-limit, limit) + SHIFT;
            let integer = shifted.to_bits().cast_signed() - SHIFT.to_bits().cast_signed();
            let rounded = shifted - SHIFT;
            *out = integer as i8;
            sum += integer;
            // Exact in float64: an integer of 8 bits times a float32.
            let back = f64::from(rounded) * f64::from(step);
            let error = f64::from(value) - back;
            lengths[lane] += back * back;
            errors[lane] += error * error;
        }
    }
    Rounded {
        step,
        length: lengths.iter().sum::<f64>().sqrt(),
        error: errors.iter().sum::<f64>().sqrt(),
        sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut out = [0; 3];
        let rounded = quantise(&[1.0, -0.26, 0.0], 0.5, 127, &mut out);
        assert_eq!(out, [2, -1, 0]);
        assert_eq!(rounded.sum, 1);
        assert!((rounded.length - 1.25_f64.sqrt()).abs() < 1e-12);
        assert!((rounded.error - 0.24).abs() < 1e-7);
    }

    #[test]
    fn nothing_leaves_the_limits() {
        for largest in [0.0, 1e-45, 1e-38, 1.0, 1e38] {
            for limit in [63, 127] {
                let mut out = [0; 2];
                let values = [largest, -largest];
                let rounded = quantise(&values, step_for(largest, limit), limit, &mut out);
                assert!(out.iter().all(|&value| value.abs() <= limit));
                assert!(rounded.error.is_finite() && rounded.step > 0.0);
            }
        }
    }
}

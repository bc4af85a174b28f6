//! Session vectors: weighted means of item vectors.

use rayon::prelude::*;

use super::Pooling;
use crate::cpu::Cpu;
use crate::error::{CoreError, Result};
use crate::matrix::Matrix;
use crate::parallel::{Stop, filled};
use crate::sessions::Sessions;
use crate::simd::compiled_for;

/// Columns summed at a time, so that their sums stay in registers: 32 float64 are four of AVX-512's 32
/// registers or eight of AVX2's 16; 8 are four of the 16 that every `x86_64` machine has.
const WIDE: usize = 32;
const NARROW: usize = 8;

/// Weighted mean of each session's item vectors, (`n_sessions`, `dim`); an empty session gives zeros.
///
/// Sums run in float64 from the oldest item to the newest, are divided by the sum of the weights and
/// rounded once to float32.
///
/// # Errors
/// `Config` if the result does not fit into memory or `LLMSEQ_CPU` names no path of this machine,
/// `Stopped` on request.
pub fn pool_sessions(
    vectors: Matrix<'_>,
    sessions: Sessions<'_>,
    pooling: Pooling,
    stop: &Stop,
) -> Result<Vec<f32>> {
    let mut pooled = filled(sessions.len(), vectors.n_cols(), 0.0_f32, "session vectors")?;
    pool_into(vectors, sessions, pooling, &mut pooled, stop)?;
    Ok(pooled)
}

/// Like [`pool_sessions`], into zeros that the caller made.
///
/// # Errors
/// `Shape` if `pooled` has another size, else like [`pool_sessions`].
pub fn pool_into(
    vectors: Matrix<'_>,
    sessions: Sessions<'_>,
    pooling: Pooling,
    pooled: &mut [f32],
    stop: &Stop,
) -> Result<()> {
    let (cpu, dim) = (Cpu::chosen()?, vectors.n_cols());
    if sessions.len().checked_mul(dim) != Some(pooled.len()) {
        return Err(CoreError::Shape(format!(
            "session vectors must be ({}, {dim}), got {} values",
            sessions.len(),
            pooled.len()
        )));
    }
    pooled
        .par_chunks_exact_mut(dim)
        .enumerate()
        .with_min_len(16)
        .try_for_each_init(Vec::new, |weights, (row, out)| {
            stop.check()?;
            pool_on(cpu, vectors, sessions.row(row), pooling, weights, out);
            Ok(())
        })
}

/// Pool one session into `out`, which stays as it is where the session is empty; `weights` is scratch.
pub(crate) fn pool_one(
    vectors: Matrix<'_>,
    session: &[i32],
    pooling: Pooling,
    weights: &mut Vec<f64>,
    out: &mut [f32],
) {
    pool_on(Cpu::detect(), vectors, session, pooling, weights, out);
}

fn pool_on(
    cpu: Cpu,
    vectors: Matrix<'_>,
    session: &[i32],
    pooling: Pooling,
    weights: &mut Vec<f64>,
    out: &mut [f32],
) {
    let Some(&last) = session.last() else { return };
    if pooling == Pooling::Last {
        out.copy_from_slice(vectors.row(last as usize));
        return;
    }
    let n = session.len();
    weights.clear();
    weights.extend((0..n).map(|place| pooling.weight(n - place, n)));
    let total = weights.iter().fold(0.0, |sum, weight| sum + weight);
    let mean = Mean {
        vectors,
        session,
        weights,
        total,
    };
    if cpu == Cpu::Portable {
        mean.write::<NARROW>(out);
    } else {
        compiled_for(
            cpu,
            #[inline(always)]
            || mean.write::<WIDE>(out),
        );
    }
}

struct Mean<'a> {
    vectors: Matrix<'a>,
    session: &'a [i32],
    weights: &'a [f64],
    total: f64,
}

// Always inlined: a closure that is compiled for a path must hold the whole loop.
#[allow(clippy::inline_always)]
impl Mean<'_> {
    #[inline(always)]
    fn write<const N: usize>(&self, out: &mut [f32]) {
        let mut start = 0;
        let (blocks, rest) = out.as_chunks_mut::<N>();
        for block in blocks {
            self.block(start, block);
            start += N;
        }
        let (eights, rest) = rest.as_chunks_mut::<8>();
        for block in eights {
            self.block(start, block);
            start += 8;
        }
        for value in rest {
            self.block(start, std::array::from_mut(value));
            start += 1;
        }
    }

    /// The columns from `start`.
    #[inline(always)]
    fn block<const N: usize>(&self, start: usize, out: &mut [f32; N]) {
        let mut sums = [0.0_f64; N];
        for (&item, &weight) in self.session.iter().zip(self.weights) {
            let values = &self.vectors.row(item as usize)[start..start + N];
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum += weight * f64::from(value);
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = (sum / self.total) as f32;
        }
    }
}

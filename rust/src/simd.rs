//! The same safe loop compiled for each path of the CPU.

#![allow(unsafe_code)]

use crate::cpu::Cpu;

/// Run `work` in code compiled for a path; one that the machine lacks counts as portable.
///
/// What `work` calls must be inlined into it (`#[inline(always)]`), else it stays portable. Only the
/// choice of instructions differs: Rust never fuses or reorders float operations, so every path gives
/// the same bits.
#[inline]
pub fn compiled_for<R>(cpu: Cpu, work: impl FnOnce() -> R) -> R {
    match cpu {
        // SAFETY (all): `has` says that this machine has the instructions.
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx2 | Cpu::AvxVnni if cpu.has() => unsafe { avx2(work) },
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512 | Cpu::Avx512Vnni | Cpu::AmxInt8 if cpu.has() => unsafe { avx512(work) },
        _ => work(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Ask for memory that will be read soon.
#[inline]
pub fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for offset in (0..size_of_val(values)).step_by(64) {
            // SAFETY: a prefetch reads nothing; the address lies inside the slice.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().cast::<i8>().add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

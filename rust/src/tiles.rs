//! Whether this process may use the tile registers of AMX, which Linux grants on request.

#![allow(unsafe_code)]

/// Ask for the tile registers; whether 8-bit tile products can be used from now on, in every thread.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub fn granted() -> bool {
    /// Asks Linux for a part of the register state that is off at first.
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    /// The contents of the tiles.
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    /// Leaf 7 of CPUID, EDX: AMX-TILE and AMX-INT8.
    const TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
    let most = std::arch::x86_64::__cpuid(0).eax;
    let tiles =
        most >= 7 && std::arch::x86_64::__cpuid_count(7, 0).edx & TILE_AND_INT8 == TILE_AND_INT8;
    // SAFETY: the call reads two numbers and touches no memory of this process. A system that does not
    // know it, or does not keep the tiles, refuses.
    tiles
        && unsafe {
            libc::syscall(
                libc::SYS_arch_prctl,
                ARCH_REQ_XCOMP_PERM,
                XFEATURE_XTILEDATA,
            ) == 0
        }
}

/// No other system is asked.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub fn granted() -> bool {
    false
}

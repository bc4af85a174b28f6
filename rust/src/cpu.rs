//! Which instructions a kernel may use: found once, forced by the environment variable `LLMSEQ_CPU`.

use std::env;
use std::sync::OnceLock;

use crate::error::{CoreError, Result};
use crate::tiles;

/// Sets of instructions that kernels are written for, the most capable last.
///
/// A kernel need not have a path for each: it takes the best of its own that is not above the chosen one
/// and that the machine [has](Self::has).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cpu {
    /// What every machine of the architecture has.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// [`Cpu::Avx2`] and AVX-VNNI: 8-bit dot products in 256-bit registers.
    AvxVnni,
    /// [`Cpu::Avx2`] and AVX-512 F, BW, DQ, VL.
    Avx512,
    /// [`Cpu::Avx512`] and AVX-512 VNNI: 8-bit dot products in 512-bit registers.
    Avx512Vnni,
    /// [`Cpu::Avx512Vnni`] and AMX-INT8: 8-bit products of tiles of 16 rows.
    AmxInt8,
}

impl Cpu {
    /// Name of the environment variable that forces a path.
    pub const VARIABLE: &str = "LLMSEQ_CPU";
    /// All paths, the most capable last.
    pub const ALL: [Self; 6] = [
        Self::Portable,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512,
        Self::Avx512Vnni,
        Self::AmxInt8,
    ];

    /// Name in the environment variable.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx_vnni",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512_vnni",
            Self::AmxInt8 => "amx_int8",
        }
    }

    /// Paths of this machine, the most capable last; always begins with the portable one.
    pub fn available() -> &'static [Self] {
        static AVAILABLE: OnceLock<Vec<Cpu>> = OnceLock::new();
        AVAILABLE.get_or_init(|| Self::ALL.into_iter().filter(|cpu| cpu.found()).collect())
    }

    /// Whether this machine has the path's instructions.
    pub fn has(self) -> bool {
        Self::available().contains(&self)
    }

    /// The most capable path of this machine.
    pub fn detect() -> Self {
        Self::available().last().copied().unwrap_or(Self::Portable)
    }

    /// The path that `LLMSEQ_CPU` asks for; `None` where it is not set or empty. Read at every call.
    ///
    /// # Errors
    /// `Config` that names this machine's paths, if the name is unknown or the machine lacks it.
    pub fn forced() -> Result<Option<Self>> {
        env::var_os(Self::VARIABLE).map_or(Ok(None), |name| Self::parse(&name.to_string_lossy()))
    }

    /// The path in force: the forced one, else the most capable.
    ///
    /// # Errors
    /// Like [`Cpu::forced`].
    pub fn chosen() -> Result<Self> {
        Ok(Self::forced()?.unwrap_or_else(Self::detect))
    }

    fn parse(name: &str) -> Result<Option<Self>> {
        let name = name.trim();
        if name.is_empty() {
            return Ok(None);
        }
        let mut paths = Self::available().iter();
        let path = paths.find(|path| path.name() == name).ok_or_else(|| {
            let choices: Vec<&str> = Self::available().iter().map(|path| path.name()).collect();
            let choices = choices.join(", ");
            CoreError::Config(format!(
                "{} must be a path of this machine ({choices}), got \"{name}\"",
                Self::VARIABLE
            ))
        })?;
        Ok(Some(*path))
    }

    #[cfg(target_arch = "x86_64")]
    fn found(self) -> bool {
        use std::arch::is_x86_feature_detected as has;
        let avx2 = || has!("avx2") && has!("fma");
        let avx512 = || {
            avx2() && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl")
        };
        match self {
            Self::Portable => true,
            Self::Avx2 => avx2(),
            Self::AvxVnni => avx2() && has!("avxvnni"),
            Self::Avx512 => avx512(),
            Self::Avx512Vnni => avx512() && has!("avx512vnni"),
            Self::AmxInt8 => avx512() && has!("avx512vnni") && tiles::granted(),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn found(self) -> bool {
        self == Self::Portable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_rise_from_the_portable_one() {
        let paths = Cpu::available();
        assert_eq!(paths[0], Cpu::Portable);
        assert!(paths.is_sorted());
        assert!(Cpu::detect().has());
    }

    #[test]
    fn names_come_back() {
        for &path in Cpu::available() {
            assert_eq!(Cpu::parse(path.name()), Ok(Some(path)));
        }
        assert_eq!(Cpu::parse(" "), Ok(None));
    }

    #[test]
    fn a_path_that_is_not_here_names_those_that_are() {
        for name in ["neon", "AVX2", "portable,avx2"] {
            let error = Cpu::parse(name).unwrap_err().to_string();
            assert!(error.starts_with("LLMSEQ_CPU must be a path of this machine (portable"));
            assert!(error.ends_with(&format!("got \"{name}\"")), "{error}");
        }
        for missing in Cpu::ALL.into_iter().filter(|path| !path.has()) {
            assert!(Cpu::parse(missing.name()).is_err());
        }
    }
}

//! Arrays of a saved index: in memory, or mapped from their file.
//!
//! A mapped file is read page by page as it is needed and shared by all processes that map it, so that
//! a server loads an index of gigabytes in no time. The price is `unsafe`: the compiler cannot know
//! that nobody changes the file. Saved models are written once, beside the final name, and renamed
//! into place, so that an open map keeps the file it was made of.

#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::{Mmap, MmapMut};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};

use crate::error::{CoreError, Result};

#[cfg(target_endian = "big")]
compile_error!("saved arrays are little-endian and are mapped as they are");

/// Numbers of which every bit pattern is a value, and their name in a file.
pub trait Plain: Copy + private::Sealed {
    /// Type in the file.
    const DTYPE: Dtype;
}

mod private {
    pub trait Sealed {}
}

macro_rules! plain {
    ($($number:ty => $dtype:ident),*) => {$(
        impl private::Sealed for $number {}
        impl Plain for $number {
            const DTYPE: Dtype = Dtype::$dtype;
        }
    )*};
}
plain!(u8 => U8, i16 => I16, u32 => U32, u64 => U64, i64 => I64, f32 => F32, f64 => F64);

/// A slice that somebody owns.
#[derive(Debug)]
pub enum Array<T> {
    /// Made in memory.
    Owned(Vec<T>),
    /// `len` numbers from byte `start` of a map; aligned and inside, which its maker checked.
    Mapped {
        /// A file, or memory of its own.
        file: Arc<Mmap>,
        /// First byte.
        start: usize,
        /// Numbers.
        len: usize,
    },
}

impl<T> From<Vec<T>> for Array<T> {
    fn from(values: Vec<T>) -> Self {
        Self::Owned(values)
    }
}

/// Bytes of a large page, and those from which on an array is worth some: it takes up twice as much at most.
const PAGE: usize = 1 << 21;
const LARGE: usize = PAGE / 2;

impl<T: Plain> Array<T> {
    /// A copy that lies in pages as large as the system has, where it is large: rows that are read in no
    /// order would else wait for the addresses of their pages. Falls back to usual memory.
    pub fn copy_of(values: &[T]) -> Self {
        let in_large_pages = || {
            let size = size_of_val(values);
            let mut map = MmapMut::map_anon(size.next_multiple_of(PAGE) + PAGE).ok()?;
            // Where a large page begins.
            let start = map.as_ptr().align_offset(PAGE);
            #[cfg(target_os = "linux")]
            map.advise(Advice::HugePage).ok()?;
            // SAFETY: a `T` is plain numbers without padding, and `size` bytes of them are read.
            let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), size) };
            map[start..start + size].copy_from_slice(bytes);
            Some(Self::Mapped {
                file: Arc::new(map.make_read_only().ok()?),
                start,
                len: values.len(),
            })
        };
        let large = size_of_val(values) >= LARGE;
        let copy = large.then(in_large_pages).flatten();
        copy.unwrap_or_else(|| Self::Owned(values.to_vec()))
    }
}

impl<T: Plain> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Owned(values) => values,
            Self::Mapped { file, start, len } => {
                // SAFETY: the makers, `IndexFile::optional` and `copy_of`, saw to it that these bytes lie inside
                // the map and are aligned; every bit pattern is a `T`; the map lives as long as `self`.
                unsafe { std::slice::from_raw_parts(file.as_ptr().add(*start).cast(), *len) }
            }
        }
    }
}

/// A safetensors file that holds the arrays of one index.
#[derive(Debug)]
pub struct IndexFile {
    map: Arc<Mmap>,
    /// Where the numbers begin.
    data: usize,
    header: Metadata,
    name: String,
}

impl IndexFile {
    /// Map a file whose metadata say that it holds this `format` in this `version`.
    ///
    /// # Errors
    /// `Artifact` that names the file if it is missing, cut short, no safetensors, or of another format
    /// or version.
    pub fn open(path: &Path, format: &str, version: &str) -> Result<Self> {
        let name = path.display().to_string();
        let damaged = |why: &dyn std::fmt::Display| {
            CoreError::Artifact(format!("{name}: damaged or cut short ({why})"))
        };
        let file = File::open(path)
            .map_err(|error| CoreError::Artifact(format!("{name}: cannot be read ({error})")))?;
        // SAFETY: the file is only read, and saved models are replaced, never changed in place.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| damaged(&error))?;
        let (length, header) = SafeTensors::read_metadata(&map).map_err(|error| damaged(&error))?;
        let texts = header.metadata().clone().unwrap_or_default();
        let text = |key: &str| texts.get(key).map_or("none", String::as_str);
        if text("format") != format {
            return Err(CoreError::Artifact(format!(
                "{name}: holds no {format} (its format is \"{}\")",
                text("format")
            )));
        }
        if text("version") != version {
            return Err(CoreError::Artifact(format!(
                "{name}: {format} of version {}; this version of llmseq reads {version}: fit and save \
                 the model again",
                text("version")
            )));
        }
        let data = size_of::<u64>() + length;
        Ok(Self {
            map: Arc::new(map),
            data,
            header,
            name,
        })
    }

    /// An array by its name, or an error.
    ///
    /// # Errors
    /// `Artifact` if it is missing, of another type or not aligned.
    pub fn array<T: Plain>(&self, name: &str) -> Result<Array<T>> {
        self.optional(name)?
            .ok_or_else(|| self.damaged(&format!("the array \"{name}\" is missing")))
    }

    /// An array by its name, if the file has it.
    ///
    /// # Errors
    /// `Artifact` if it is of another type or not aligned.
    pub fn optional<T: Plain>(&self, name: &str) -> Result<Option<Array<T>>> {
        let Some(info) = self.header.info(name) else {
            return Ok(None);
        };
        let (start, end) = (
            info.data_offsets.0 + self.data,
            info.data_offsets.1 + self.data,
        );
        let aligned = (self.map.as_ptr() as usize + start).is_multiple_of(align_of::<T>());
        if info.dtype != T::DTYPE || !aligned || end > self.map.len() {
            return Err(self.damaged(&format!("the array \"{name}\" is not as it was written")));
        }
        Ok(Some(Array::Mapped {
            file: Arc::clone(&self.map),
            start,
            len: (end - start) / size_of::<T>(),
        }))
    }

    /// The error of content that does not fit together.
    pub fn damaged(&self, why: &str) -> CoreError {
        CoreError::Artifact(format!(
            "{}: damaged, {why}; save the model again",
            self.name
        ))
    }
}

/// An array that is saved.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// Quantised vectors.
    U8(&'a [u8]),
    /// Axes.
    I16(&'a [i16]),
    /// Indices.
    U32(&'a [u32]),
    /// Offsets.
    U64(&'a [u64]),
    /// Times.
    I64(&'a [i64]),
    /// Vectors.
    F32(&'a [f32]),
    /// Weights.
    F64(&'a [f64]),
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::PathBuf;

    use safetensors::tensor::TensorView;

    use super::*;

    /// A file with the arrays "numbers" (u32) and "weights" (f64).
    fn saved(name: &str, version: &str) -> PathBuf {
        let numbers: Vec<u8> = [7_u32, 9, 11]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect();
        let weights = 0.5_f64.to_le_bytes();
        let tensors = [
            (
                "numbers",
                TensorView::new(Dtype::U32, vec![3], &numbers).unwrap(),
            ),
            (
                "weights",
                TensorView::new(Dtype::F64, vec![1], &weights).unwrap(),
            ),
        ];
        let texts = [("format", "a test"), ("version", version)];
        let texts: HashMap<String, String> = texts.map(|(k, v)| (k.into(), v.into())).into();
        let path = std::env::temp_dir().join(format!("llmseq-{name}-{}", std::process::id()));
        safetensors::serialize_to_file(tensors, Some(texts), &path).unwrap();
        path
    }

    #[test]
    fn what_was_written_is_read() {
        let path = saved("read", "1");
        let file = IndexFile::open(&path, "a test", "1").unwrap();
        let numbers: Array<u32> = file.array("numbers").unwrap();
        let weights: Array<f64> = file.array("weights").unwrap();
        drop(file);
        std::fs::remove_file(&path).unwrap();
        assert_eq!((&*numbers, &*weights), (&[7, 9, 11][..], &[0.5][..]));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let path = saved("refuse", "2");
        let message = |format: &str, version: &str| {
            IndexFile::open(&path, format, version)
                .unwrap_err()
                .to_string()
        };
        assert!(message("a test", "1").contains("a test of version 2"));
        assert!(message("another", "2").contains("holds no another"));
        let file = IndexFile::open(&path, "a test", "2").unwrap();
        assert!(file.array::<f64>("numbers").is_err());
        assert!(file.array::<u32>("absent").is_err());
        assert!(file.optional::<u32>("absent").unwrap().is_none());
        drop(file);
        let content = std::fs::read(&path).unwrap();
        std::fs::write(&path, &content[..content.len() - 1]).unwrap();
        assert!(message("a test", "2").contains("cut short"));
        std::fs::remove_file(&path).unwrap();
    }
}

//! Reading and writing safetensors files. All errors are messages that name what is wrong.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};
use wgnorm::{Device, Tensor};

use crate::elements::Elements;

/// The entries of a case, which are taken out one by one, so that those left are the unknown ones.
pub(crate) struct Input<'a> {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, TensorView<'a>>,
}

/// A tensor of the file.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Elements,
}

impl Values {
    pub(crate) fn upload(&self, device: &Device) -> wgnorm::Result<Tensor> {
        self.data.upload(device, &self.shape)
    }
}

/// A tensor to be written.
pub(crate) struct Output {
    name: &'static str,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, String> {
        let invalid = |error| format!("not a safetensors file: {error}");
        let (_, header) = without_panic(|| SafeTensors::read_metadata(bytes))?.map_err(invalid)?;
        let file = SafeTensors::deserialize(bytes).map_err(invalid)?;
        Ok(Self {
            metadata: header.metadata().clone().into_iter().flatten().collect(),
            tensors: file.tensors().into_iter().collect(),
        })
    }

    pub(crate) fn take_metadata(&mut self, key: &str) -> Option<String> {
        self.metadata.remove(key)
    }

    /// Takes a tensor that has to be F32.
    pub(crate) fn take_tensor(&mut self, name: &str) -> Result<Option<Values>, String> {
        self.take(name, "F32", |dtype| dtype == Dtype::F32)
    }

    /// Takes a tensor of any type that activations may be stored in.
    pub(crate) fn take_activation(&mut self, name: &str) -> Result<Option<Values>, String> {
        self.take(name, "F32, F16 or BF16", |_| true)
    }

    /// Takes a tensor of one of the types of [`Elements`] that `fits`.
    fn take(
        &mut self,
        name: &str,
        expected: &str,
        fits: fn(Dtype) -> bool,
    ) -> Result<Option<Values>, String> {
        let Some(tensor) = self.tensors.remove(name) else {
            return Ok(None);
        };
        let dtype = tensor.dtype();
        let data = Elements::read(dtype, tensor.data()).filter(|_| fits(dtype));
        Ok(Some(Values {
            shape: tensor.shape().to_vec(),
            data: data.ok_or_else(|| wrong_type(name, expected, dtype))?,
        }))
    }

    /// Takes a tensor that has to be U8.
    pub(crate) fn take_bytes(&mut self, name: &str) -> Result<Option<TensorView<'a>>, String> {
        match self.tensors.remove(name) {
            Some(tensor) if tensor.dtype() != Dtype::U8 => {
                Err(wrong_type(name, "U8", tensor.dtype()))
            }
            tensor => Ok(tensor),
        }
    }

    /// Refuses what is left.
    pub(crate) fn finish(self, op: &str) -> Result<(), String> {
        if let Some(key) = self.metadata.keys().next() {
            return Err(format!("metadata: {op} does not know the key {key:?}"));
        }
        if let Some(name) = self.tensors.keys().next() {
            return Err(format!("{op} does not know the tensor {name:?}"));
        }
        Ok(())
    }
}

fn wrong_type(name: &str, expected: &str, got: Dtype) -> String {
    format!("{name}: expected element type {expected}, got {got}")
}

/// safetensors 0.8 adds up the offsets of a header unchecked, so sums beyond 64 bits, which no real
/// file has, make it panic in a debug build.
fn without_panic<T>(parse: impl FnOnce() -> T + std::panic::UnwindSafe) -> Result<T, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let parsed = std::panic::catch_unwind(parse);
    std::panic::set_hook(hook);
    parsed.map_err(|_| "not a safetensors file: its offsets are out of all bounds".to_owned())
}

impl Output {
    pub(crate) fn floats(name: &'static str, shape: &[usize], elements: &Elements) -> Self {
        Self {
            name,
            dtype: elements.dtype(),
            shape: shape.to_vec(),
            bytes: elements.bytes(),
        }
    }

    pub(crate) fn i64(name: &'static str, value: i64) -> Self {
        Self {
            name,
            dtype: Dtype::I64,
            shape: vec![1],
            bytes: value.to_le_bytes().to_vec(),
        }
    }
}

impl View for &Output {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes the results to `path`, or leaves it as it was.
pub(crate) fn write(path: &Path, outputs: &[Output]) -> Result<(), String> {
    let named = outputs.iter().map(|output| (output.name, output));
    let bytes = safetensors::serialize(named, None).map_err(|error| error.to_string())?;
    // A device or a pipe is written to, since a file put in its place would end it.
    let written = match path.metadata() {
        Ok(found) if !found.is_file() => std::fs::write(path, bytes),
        _ => replace(path, &bytes),
    };
    written.map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes beside `path` and renames at the end.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.partial", std::process::id()));
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // If this fails as well there was no file, or nothing more can be done about it.
        drop(std::fs::remove_file(&beside));
    }
    written
}

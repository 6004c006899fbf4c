//! A safetensors file, taken apart without believing it.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, Metadata};

use super::{Convention, Section};
use crate::{Error, Result, Shape};

/// The tensors of a safetensors file, by name. It borrows the file's bytes and reads nothing of a tensor
/// before it is asked for, so the convolutions beside the norms cost nothing.
///
/// A file of no tensors at all:
///
/// ```
/// use wgnorm::state::StateFile;
/// let file = StateFile::parse(b"\x02\0\0\0\0\0\0\0{}")?;
/// assert_eq!(file.names().count(), 0);
/// assert!(StateFile::parse(b"\x03\0\0\0\0\0\0\0{}").is_err());
/// # Ok::<(), wgnorm::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StateFile<'a> {
    tensors: BTreeMap<String, Entry<'a>>,
}

/// A tensor of a file.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) dtype: Dtype,
    pub(super) shape: Shape,
    /// As many bytes as type and shape ask for.
    pub(super) data: &'a [u8],
}

/// The length of the header stands in the first bytes.
const LENGTH: usize = 8;

impl<'a> StateFile<'a> {
    /// Takes the bytes of a file apart; [`Error::StateFile`] for what is not a whole safetensors file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (header, data) = split(bytes)?;
        // `SafeTensors::deserialize` adds up lengths unchecked, so that a file can make it panic where
        // overflow is checked. Its header by itself is safe: it refuses holes and overlaps of tensors, and
        // where the last one ends is compared here.
        let header: Metadata = serde_json::from_slice(header)
            .map_err(|error| refused(format!("its header cannot be read: {error}")))?;
        let (expected, got) = (header.data_len(), data.len());
        if expected != got {
            return Err(refused(format!(
                "its tensors need {expected} bytes, it has {got}"
            )));
        }
        let mut tensors = BTreeMap::new();
        for (name, info) in header.tensors() {
            let (begin, end) = info.data_offsets;
            let data = data.get(begin..end);
            let data = data.ok_or_else(|| refused(format!("{name} lies outside of it")))?;
            let entry = Entry {
                dtype: info.dtype,
                shape: Shape::from(&info.shape),
                data,
            };
            tensors.insert(name, entry);
        }
        Ok(Self { tensors })
    }

    /// The names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The norm whose tensors have names that begin with the prefix, such as `layer1.0.bn1.` with its
    /// dot; strict until [`Section::lenient`].
    #[must_use]
    pub fn at(&self, prefix: &str, convention: Convention) -> Section<'_> {
        Section::new(self, prefix, convention)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry<'a>> {
        self.tensors.get(name)
    }

    /// The names that begin with the prefix, in order.
    pub(super) fn names_under(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.names().filter(move |name| name.starts_with(prefix))
    }
}

/// The header and the data behind it.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH>() else {
        let got = bytes.len();
        return Err(refused(format!("it has {got} bytes, fewer than {LENGTH}")));
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length));
    header.ok_or_else(|| {
        let got = rest.len();
        refused(format!("its header needs {length} bytes, {got} follow"))
    })
}

pub(super) fn refused(reason: String) -> Error {
    Error::StateFile { reason }
}

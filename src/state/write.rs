//! States as the bytes of a safetensors file.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, View};

use super::file::refused;
use super::{Convention, NormState, Part};
use crate::Result;

/// A tensor to be written.
struct Output {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Output {
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

/// The bytes of a safetensors file with the states of any number of norms, each under its prefix, such as
/// `layer1.0.bn1.` with its dot. Floats are F32, `num_batches_tracked` is an I64 of shape `[]`; the
/// conventions that have no such count leave it out.
///
/// ```
/// use wgnorm::state::{self, Convention, NormState, StateFile};
/// let state = NormState {
///     shape: [2].into(),
///     gamma: Some(vec![1.0, 2.0]),
///     beta: None,
///     running: None,
/// };
/// let bytes = state::write(Convention::PyTorch, [("ln.", &state)])?;
/// let file = StateFile::parse(&bytes)?;
/// assert_eq!(file.names().collect::<Vec<_>>(), ["ln.weight"]);
/// assert_eq!(file.at("ln.", Convention::PyTorch).read()?, state);
/// # Ok::<(), wgnorm::Error>(())
/// ```
///
/// Fails with [`Error::Length`](crate::Error::Length) for a state whose tensors are not as long as its
/// shape says, and with [`Error::StateFile`](crate::Error::StateFile) for two norms under one prefix.
pub fn write<P: AsRef<str>, S: Borrow<NormState>>(
    convention: Convention,
    norms: impl IntoIterator<Item = (P, S)>,
) -> Result<Vec<u8>> {
    let mut outputs = BTreeMap::new();
    for (prefix, state) in norms {
        let state: &NormState = state.borrow();
        state.check()?;
        for (part, output) in tensors(state) {
            let Some(name) = convention.name(prefix.as_ref(), part) else {
                continue;
            };
            if outputs.contains_key(&name) {
                return Err(refused(format!("it would have {name} twice")));
            }
            outputs.insert(name, output);
        }
    }
    // PyTorch's loaders look for this entry.
    let metadata = (convention == Convention::PyTorch).then(|| {
        [("format".to_owned(), "pt".to_owned())]
            .into_iter()
            .collect()
    });
    safetensors::serialize(outputs, metadata).map_err(|error| refused(error.to_string()))
}

fn tensors(state: &NormState) -> impl Iterator<Item = (Part, Output)> {
    let floats = state.tensors().map(|(part, values)| {
        let output = Output {
            dtype: Dtype::F32,
            shape: state.shape.dims().to_vec(),
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        };
        (part, output)
    });
    let tracked = state.running.as_ref();
    let tracked = tracked.map(|running| running.num_batches_tracked.unwrap_or(0));
    let count = tracked.map(|count| {
        let output = Output {
            dtype: Dtype::I64,
            shape: Vec::new(),
            bytes: i64::from(count).to_le_bytes().to_vec(),
        };
        (Part::Tracked, output)
    });
    floats.chain(count)
}

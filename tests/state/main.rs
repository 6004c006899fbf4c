//! State files without a GPU: those of `PyTorch`, files made by hand for each convention, what does not
//! fit, and ten thousand files that something has happened to.

#![cfg(feature = "safetensors")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::float_cmp, reason = "what is read is compared bit by bit")]

mod conventions;
mod golden;
mod mutants;
mod mutations;
mod strict;
mod values;

use wgnorm::state::{NormState, RunningState};

/// A safetensors file that is put together here and not by the crate under test.
#[derive(Clone, Default)]
struct Handmade {
    entries: Vec<String>,
    data: Vec<u8>,
}

impl Handmade {
    fn with(mut self, name: &str, dtype: &str, shape: &[usize], bytes: &[u8]) -> Self {
        let begin = self.data.len();
        self.data.extend(bytes);
        let end = self.data.len();
        self.entries.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#
        ));
        self
    }

    fn f32(self, name: &str, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.with(name, "F32", &[values.len()], &bytes)
    }

    fn count(self, name: &str, value: i64) -> Self {
        self.with(name, "I64", &[], &value.to_le_bytes())
    }

    fn bytes(&self) -> Vec<u8> {
        with_header(&format!("{{{}}}", self.entries.join(",")), &self.data)
    }
}

fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), data].concat()
}

/// What a batch norm of two channels has after some steps.
fn batch_norm(num_batches_tracked: Option<u32>) -> NormState {
    NormState {
        shape: [2].into(),
        gamma: Some(vec![1.5, -2.0]),
        beta: Some(vec![0.25, 3.0]),
        running: Some(RunningState {
            mean: vec![-7.0, 8.0],
            var: vec![0.5, 9.0],
            num_batches_tracked,
        }),
    }
}

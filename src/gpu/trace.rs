//! What a recorder dispatched, for whoever wants to see it or to run it elsewhere.

use super::Device;
use super::pipeline::{Binding, Pipeline};
use super::tensor::Tensor;

/// A dispatch as it was recorded, see [`Recorder::trace`](super::Recorder::trace).
#[derive(Clone, Debug)]
pub struct Dispatched {
    /// The kernel, which is also the entry point.
    pub kernel: &'static str,
    /// The WGSL.
    pub source: String,
    /// The values of its override constants.
    pub constants: Vec<(&'static str, f64)>,
    /// The uniform block, which is binding 0.
    pub parameters: Vec<u8>,
    /// The storage buffers.
    pub buffers: Vec<Bound>,
    /// Workgroups along x and y.
    pub grid: [u32; 2],
}

/// The range of a buffer that a dispatch binds.
#[derive(Clone, Debug)]
pub struct Bound {
    /// Where it binds it.
    pub binding: Binding,
    /// The buffer, whose memory is not used again for other tensors.
    pub buffer: wgpu::Buffer,
    /// The first byte.
    pub offset: u64,
    /// How many bytes it binds.
    pub bytes: u64,
}

impl Dispatched {
    pub(super) fn new(
        device: &Device,
        pipeline: &Pipeline,
        parameters: &[u8],
        tensors: &[(u32, &Tensor)],
        grid: [u32; 2],
    ) -> Self {
        let program = &pipeline.program;
        let bound = |&binding: &Binding| {
            let tensor = tensors.iter().find(|(number, _)| *number == binding.number);
            let range = match tensor {
                Some((_, tensor)) => {
                    tensor.storage().never_reuse();
                    tensor.range()
                }
                None => device.nothing(binding.number),
            };
            Bound {
                binding,
                buffer: range.buffer.clone(),
                offset: range.offset,
                bytes: range.size.map_or(0, u64::from),
            }
        };
        Self {
            kernel: program.name,
            source: program.sources.concat(),
            constants: program.constants.clone(),
            parameters: parameters.to_vec(),
            buffers: program.bindings.iter().map(bound).collect(),
            grid,
        }
    }
}

//! Writes what steps dispatch, with all that they bind as it was before and after: cases.json, and
//! cases.bin with the bytes.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use wgnorm::shaders::{Access, Bound, Dispatched};
use wgnorm::wgpu;
use wgnorm::{DType, Device, Tensor};

use crate::Result;
use crate::cases::{self, Case};

#[derive(Serialize)]
struct Written {
    name: String,
    buffers: Vec<Buffer>,
    dispatches: Vec<Dispatch>,
    outputs: Vec<Output>,
}

/// Where its bytes begin in cases.bin.
#[derive(Serialize)]
struct Buffer {
    bytes: u64,
    before: u64,
    after: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dispatch {
    file: String,
    entry_point: &'static str,
    constants: BTreeMap<&'static str, f64>,
    /// The uniform block in words.
    parameters: Vec<u32>,
    bindings: Vec<Binding>,
    grid: [u32; 2],
}

#[derive(Serialize)]
struct Binding {
    #[serde(rename = "binding")]
    number: u32,
    r#type: &'static str,
    buffer: usize,
    offset: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Output {
    name: &'static str,
    dtype: String,
    buffer: usize,
    offset: u64,
    elements: usize,
}

/// A device as a browser has it: without optional features.
fn device() -> Result<Device> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter =
        pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    println!("cases of {}", adapter.get_info().name);
    let (device, queue) =
        pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))?;
    Ok(Device::from_wgpu(device, queue)?)
}

/// Runs and writes all cases, and says how many there are.
pub(crate) fn write(dir: &Path, files: &HashMap<String, String>) -> Result<usize> {
    let device = device()?;
    let mut bytes = Bytes {
        file: BufWriter::new(File::create(dir.join("cases.bin"))?),
        len: 0,
    };
    let mut written = Vec::new();
    cases::each(&device, |case| {
        written.push(run(&device, case, files, &mut bytes)?);
        Ok(())
    })?;
    bytes.file.flush()?;
    fs::write(dir.join("cases.json"), serde_json::to_string(&written)?)?;
    Ok(written.len())
}

/// The file of all bytes.
struct Bytes {
    file: BufWriter<File>,
    len: u64,
}

impl Bytes {
    /// Appends the content of a buffer and says where it begins.
    fn append(&mut self, device: &Device, buffer: &wgpu::Buffer) -> Result<u64> {
        let words = buffer.size() as usize / 4;
        let tensor = Tensor::from_buffer(device, buffer.clone(), 0, [words], DType::U32)?;
        let words: Vec<u32> = device.download(&tensor)?;
        let begin = self.len;
        self.file.write_all(bytemuck::cast_slice(&words))?;
        self.len += 4 * words.len() as u64;
        Ok(begin)
    }
}

fn run(
    device: &Device,
    case: Case,
    files: &HashMap<String, String>,
    bytes: &mut Bytes,
) -> Result<Written> {
    let mut buffers: Vec<wgpu::Buffer> = Vec::new();
    for bound in case.dispatches().iter().flat_map(|d| &d.buffers) {
        if !buffers.contains(&bound.buffer) {
            buffers.push(bound.buffer.clone());
        }
    }
    let place = |buffer: &wgpu::Buffer| buffers.iter().position(|other| other == buffer);
    let dispatch = |dispatched: &Dispatched| {
        let file = files.get(&dispatched.source);
        let file = file.ok_or_else(|| format!("{} is not among the shaders", dispatched.kernel))?;
        let binding = |bound: &Bound| {
            let buffer = place(&bound.buffer)?;
            Some(Binding {
                number: bound.binding.number,
                r#type: match bound.binding.access {
                    Access::Read => "read-only-storage",
                    Access::ReadWrite => "storage",
                },
                buffer,
                offset: bound.offset,
                bytes: bound.bytes,
            })
        };
        Ok::<_, String>(Dispatch {
            file: file.clone(),
            entry_point: dispatched.kernel,
            constants: dispatched.constants.iter().copied().collect(),
            parameters: bytemuck::pod_collect_to_vec(&dispatched.parameters),
            bindings: dispatched.buffers.iter().filter_map(binding).collect(),
            grid: dispatched.grid,
        })
    };
    let dispatches = case.dispatches().iter().map(dispatch);
    let dispatches = dispatches.collect::<std::result::Result<Vec<_>, _>>()?;
    let output = |(name, tensor): &(&'static str, Tensor)| {
        Some(Output {
            name,
            dtype: tensor.dtype().to_string(),
            buffer: place(tensor.buffer())?,
            offset: tensor.offset(),
            elements: tensor.shape().numel(),
        })
    };
    let outputs = case.outputs.iter().filter_map(output).collect();
    let before = buffers.iter().map(|buffer| bytes.append(device, buffer));
    let before = before.collect::<Result<Vec<_>>>()?;
    case.recorder.submit()?;
    let mut written = Vec::new();
    for (buffer, before) in buffers.iter().zip(before) {
        written.push(Buffer {
            bytes: buffer.size(),
            before,
            after: bytes.append(device, buffer)?,
        });
    }
    Ok(Written {
        name: case.name,
        buffers: written,
        dispatches,
        outputs,
    })
}

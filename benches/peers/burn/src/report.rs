//! The results, in the JSON of wgnorm's benchmark.

use std::{fs, io, path::Path, thread, time::Duration};

use burn::tensor::wgpu::wgpu;
use serde::Serialize;

/// The version that is compiled in stands only in the lock file.
const LOCK: &str = include_str!("../Cargo.lock");

/// What the version does not say of the build.
const COMPILER: &str = if cfg!(feature = "spirv") {
    " spirv"
} else {
    ""
};

#[derive(Serialize)]
pub struct Report {
    program: String,
    adapter: String,
    backend: String,
    driver: String,
    device_type: &'static str,
    threads: usize,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    suite: &'static str,
    norm: &'static str,
    op: &'static str,
    shape: Vec<usize>,
    layout: &'static str,
    dtype: &'static str,
    strategy: &'static str,
    wall_ns: u64,
    median_ns: u64,
    samples_ns: Vec<u64>,
    /// What is wrong with the result; absent where it is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<String>,
}

impl Report {
    pub fn new(adapter: &wgpu::AdapterInfo) -> Self {
        Self {
            program: format!("burn {}{}", burn_version(), COMPILER),
            adapter: adapter.name.clone(),
            backend: adapter.backend.to_string(),
            driver: format!("{} {}", adapter.driver, adapter.driver_info)
                .trim()
                .to_owned(),
            device_type: match adapter.device_type {
                wgpu::DeviceType::Cpu => "cpu",
                wgpu::DeviceType::DiscreteGpu => "discrete_gpu",
                wgpu::DeviceType::IntegratedGpu => "integrated_gpu",
                wgpu::DeviceType::VirtualGpu => "virtual_gpu",
                wgpu::DeviceType::Other => "other",
            },
            threads: thread::available_parallelism().map_or(1, usize::from),
            rows: Vec::new(),
        }
    }

    pub fn headline(&self) -> String {
        format!(
            "{} on {} ({}, {})",
            self.program, self.adapter, self.backend, self.driver
        )
    }

    /// Adds a row, with what is wrong with its result if something is, and returns its median.
    pub fn add(
        &mut self,
        op: &'static str,
        shape: &[usize],
        samples: &[Duration],
        wrong: Option<String>,
    ) -> Duration {
        let median = median(samples);
        self.rows.push(Row {
            suite: "targets",
            norm: "batch",
            op,
            shape: shape.to_vec(),
            layout: "channels_first",
            dtype: "f32",
            strategy: "burn",
            wall_ns: median.as_nanos() as u64,
            median_ns: median.as_nanos() as u64,
            samples_ns: samples.iter().map(|s| s.as_nanos() as u64).collect(),
            wrong,
        });
        median
    }

    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(path, text)
    }
}

fn median(samples: &[Duration]) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2
    }
}

fn burn_version() -> &'static str {
    LOCK.split_once("name = \"burn\"\nversion = \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("of unknown version", |(version, _)| version)
}

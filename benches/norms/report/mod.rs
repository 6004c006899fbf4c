//! What was measured, and the forms in which it is handed on.

pub(crate) mod compare;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod peer;
pub(crate) mod picture;
pub(crate) mod table;

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

use crate::device::Gpu;
use crate::suite::Dims;

/// Prints a line; one who has closed stdout, like `head`, has seen enough.
pub(crate) fn say(line: impl Display) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Everything about one run; its JSON is read by outside scripts.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) adapter: String,
    pub(crate) backend: &'static str,
    pub(crate) driver: String,
    pub(crate) device_type: &'static str,
    pub(crate) wgpu: &'static str,
    pub(crate) threads: usize,
    /// Whose clock `median_ns` is by: `gpu` or `wall`.
    pub(crate) clock: &'static str,
    pub(crate) seed: u64,
    pub(crate) cold_start: ColdStart,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) launch: Option<Launch>,
    pub(crate) rows: Vec<Row>,
}

/// What the first step of a process waits for.
#[allow(
    clippy::struct_field_names,
    reason = "readers of the JSON want the unit"
)]
#[derive(Debug, Serialize)]
pub(crate) struct ColdStart {
    pub(crate) device_ns: u64,
    /// A forward and a backward, their kernels' compilation included.
    pub(crate) first_step_ns: u64,
    pub(crate) second_step_ns: u64,
}

/// What chained operations on a tiny tensor cost.
#[derive(Debug, Serialize)]
pub(crate) struct Launch {
    pub(crate) shape: Vec<usize>,
    /// How many are chained.
    pub(crate) chain: u32,
    /// So many dependent dispatches that do nothing.
    pub(crate) empty_ns: u64,
    pub(crate) ops: Vec<LaunchRow>,
}

#[derive(Debug, Serialize)]
pub(crate) struct LaunchRow {
    pub(crate) op: &'static str,
    pub(crate) record_ns: u64,
    pub(crate) chained_ns: u64,
    /// To the empty dispatches.
    pub(crate) ratio: f64,
}

/// One operation on one shape.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) suite: String,
    pub(crate) norm: &'static str,
    pub(crate) tail: &'static str,
    /// How it sees its batch: `whole`, `masked` or `pieces`.
    pub(crate) way: &'static str,
    pub(crate) op: String,
    /// The logical N, C, … in both layouts.
    pub(crate) shape: Vec<usize>,
    pub(crate) layout: String,
    pub(crate) dtype: String,
    pub(crate) strategy: String,
    pub(crate) dispatches: u32,
    pub(crate) median_ns: u64,
    pub(crate) copy_ns: u64,
    /// The fastest of all ways to copy.
    pub(crate) best_copy_ns: u64,
    pub(crate) best_copy_kernel: &'static str,
    pub(crate) best_copy_kernel_ns: u64,
    /// The device's own command.
    pub(crate) copy_command_ns: u64,
    /// To the copy.
    pub(crate) ratio: f64,
    pub(crate) samples_ns: Vec<u64>,
    pub(crate) copy_samples_ns: Vec<u64>,
    pub(crate) wall_ns: u64,
    pub(crate) record_ns: u64,
    /// What a probe takes that only loads and stores what the strategy must, in its order; none
    /// for a tensor that is larger than one binding.
    pub(crate) floor_ns: Option<u64>,
    /// In which order that is: `sequential`, or where channels come in short pieces the faster one of
    /// `channels` and `blocks`.
    pub(crate) floor_order: Option<&'static str>,
    /// The same in the order of the memory.
    pub(crate) sequential_floor_ns: Option<u64>,
    /// What the same takes without its tail and of the whole batch, in turns with it; none where that is
    /// itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plain_ns: Option<u64>,
    /// What that and the extra bytes of the tail allow it to take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allowed_ns: Option<u64>,
    /// What the ratio should be at the most.
    pub(crate) target: Option<f64>,
    pub(crate) max_error: f64,
    /// B: one pass over the activation.
    pub(crate) pass_bytes: u64,
    /// What the strategy moves.
    pub(crate) traffic_bytes: u64,
    /// What nobody can do without.
    pub(crate) ideal_bytes: u64,
}

impl Row {
    /// 1 where those bytes move at the copy's speed.
    fn share(&self, bytes: u64) -> f64 {
        bytes as f64 / (2 * self.pass_bytes) as f64 / self.ratio
    }

    pub(crate) fn traffic_share(&self) -> f64 {
        self.share(self.traffic_bytes)
    }

    pub(crate) fn ideal_share(&self) -> f64 {
        self.share(self.ideal_bytes)
    }

    /// The floor by the copy's time.
    pub(crate) fn floor_ratio(&self) -> Option<f64> {
        let floor = self.floor_ns?;
        Some(floor as f64 / self.copy_ns.max(1) as f64)
    }

    /// 1 where the operation is as fast as its floor.
    pub(crate) fn floor_share(&self) -> Option<f64> {
        let floor = self.floor_ns?;
        Some(floor as f64 / self.median_ns.max(1) as f64)
    }

    /// The time by that of the plain operation.
    pub(crate) fn plain_ratio(&self) -> Option<f64> {
        self.by_plain(self.median_ns)
    }

    /// What is allowed by it.
    pub(crate) fn allowed_ratio(&self) -> Option<f64> {
        self.by_plain(self.allowed_ns?)
    }

    fn by_plain(&self, ns: u64) -> Option<f64> {
        Some(ns as f64 / self.plain_ns?.max(1) as f64)
    }

    pub(crate) fn meets_target(&self) -> bool {
        self.target.is_some_and(|target| self.ratio <= target)
    }

    /// The figure and whether it is met, for tables.
    pub(crate) fn target_mark(&self) -> String {
        match self.target {
            None => "-".to_owned(),
            Some(target) if self.meets_target() => format!("{target:.2} met"),
            Some(target) => format!("{target:.2} MISSED"),
        }
    }

    /// Its tail or its way, unless it is plain.
    pub(crate) fn kind(&self) -> Option<&'static str> {
        match (self.tail, self.way) {
            ("none", "whole") => None,
            ("none", way) => Some(way),
            (tail, _) => Some(tail),
        }
    }

    pub(crate) fn name(&self) -> String {
        let dims = Dims(self.shape.clone());
        let name = format!("{} {dims} {} {}", self.op, self.layout, self.strategy);
        match self.kind() {
            None => name,
            Some(kind) => format!("{name} {kind}"),
        }
    }

    pub(crate) fn gb_per_s(&self) -> f64 {
        self.traffic_bytes as f64 / self.median_ns.max(1) as f64
    }
}

impl Report {
    pub(crate) fn new(gpu: &Gpu, seed: u64, cold_start: ColdStart) -> Self {
        let info = &gpu.info;
        // Mesa's says it all in its second half, and other drivers put just a number there.
        let driver = if info.driver_info.contains(char::is_alphabetic) {
            info.driver_info.clone()
        } else {
            format!("{} {}", info.driver, info.driver_info)
        };
        Self {
            adapter: info.name.clone(),
            backend: info.backend.to_str(),
            driver: driver.trim().to_owned(),
            device_type: device_type(info.device_type),
            wgpu: wgpu_version(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            clock: if gpu.clock.is_gpu() { "gpu" } else { "wall" },
            seed,
            cold_start,
            launch: None,
            rows: Vec::new(),
        }
    }
}

fn device_type(kind: wgnorm::wgpu::DeviceType) -> &'static str {
    use wgnorm::wgpu::DeviceType;
    match kind {
        DeviceType::DiscreteGpu => "discrete_gpu",
        DeviceType::IntegratedGpu => "integrated_gpu",
        DeviceType::VirtualGpu => "virtual_gpu",
        DeviceType::Cpu => "cpu",
        DeviceType::Other => "other",
    }
}

/// The version that was built, by the lock file.
pub(crate) fn wgpu_version() -> &'static str {
    let lock = include_str!("../../../Cargo.lock");
    let mut lines = lock.lines().skip_while(|line| *line != r#"name = "wgpu""#);
    let version = lines.nth(1).and_then(|line| line.split('"').nth(1));
    version.unwrap_or("30")
}

//! How long commands take: by the GPU's clock where it has one, and by the wall's.

use std::time::{Duration, Instant};

use wgnorm::wgpu;

use crate::Outcome;

/// Times submissions on one queue, one at a time.
pub(crate) struct Clock {
    device: wgpu::Device,
    queue: wgpu::Queue,
    stamps: Option<Stamps>,
}

/// What reading two timestamps takes.
struct Stamps {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readable: wgpu::Buffer,
    /// Nanoseconds per tick.
    period: f64,
}

/// One measurement in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) gpu: Option<f64>,
    /// From submitting to having waited.
    pub(crate) wall: f64,
}

impl Taken {
    /// The GPU's time, or the wall's where it has none.
    pub(crate) fn best(self) -> f64 {
        self.gpu.unwrap_or(self.wall)
    }
}

/// The bytes of two timestamps.
const BYTES: u64 = 16;
/// Longer than any submission takes, so that a hang ends.
const PATIENCE: Duration = Duration::from_secs(120);

impl Clock {
    pub(crate) fn new(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let needed =
            wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;
        let has_stamps = device.features().contains(needed);
        let stamps = has_stamps.then(|| Stamps::new(&device, &queue));
        Self {
            device,
            queue,
            stamps,
        }
    }

    /// Whether times are the GPU's own.
    pub(crate) fn is_gpu(&self) -> bool {
        self.stamps.is_some()
    }

    /// Submits what `record` records, waits for it and says how long it took.
    pub(crate) fn time(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> wgnorm::Result<()>,
    ) -> Outcome<Taken> {
        let mut encoder = self.encoder();
        self.stamp(&mut encoder, 0);
        record(&mut encoder)?;
        self.stamp(&mut encoder, 1);
        let begun = Instant::now();
        let submission = self.queue.submit([encoder.finish()]);
        self.wait(submission)?;
        let wall = begun.elapsed().as_nanos() as f64;
        let gpu = self.stamps.as_ref().map(|stamps| self.read(stamps));
        let gpu = gpu.transpose()?;
        Ok(Taken { gpu, wall })
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    fn stamp(&self, encoder: &mut wgpu::CommandEncoder, index: u32) {
        if let Some(stamps) = &self.stamps {
            encoder.write_timestamp(&stamps.set, index);
        }
    }

    fn wait(&self, submission: wgpu::SubmissionIndex) -> Outcome {
        self.device.poll(wgpu::PollType::Wait {
            submission_index: Some(submission),
            timeout: Some(PATIENCE),
        })?;
        Ok(())
    }

    /// The time between the stamps, in a submission of its own that nobody measures.
    fn read(&self, stamps: &Stamps) -> Outcome<f64> {
        let mut encoder = self.encoder();
        encoder.resolve_query_set(&stamps.set, 0..2, &stamps.resolved, 0);
        encoder.copy_buffer_to_buffer(&stamps.resolved, 0, &stamps.readable, 0, BYTES);
        let submission = self.queue.submit([encoder.finish()]);
        stamps.readable.map_async(wgpu::MapMode::Read, .., |_| {});
        self.wait(submission)?;
        let view = stamps.readable.get_mapped_range(..)?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view[..]);
        drop(view);
        stamps.readable.unmap();
        Ok(ticks[1].saturating_sub(ticks[0]) as f64 * stamps.period)
    }
}

impl Stamps {
    fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: BYTES,
                usage: usage | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        Self {
            set: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            readable: buffer(wgpu::BufferUsages::MAP_READ),
            period: f64::from(queue.get_timestamp_period()),
        }
    }
}

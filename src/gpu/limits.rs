//! What the planner has to know of a device, in plain numbers.

use crate::{Error, Result};

/// What kind of processor runs the kernels: it decides how the planner cuts the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceClass {
    /// A GPU, or anything that does not say what it is: wide workgroups, many of them.
    Gpu,
    /// A software driver (lavapipe, llvmpipe, SwiftShader, WARP): workgroups of one vector
    /// register, few of them, each streaming a long piece of memory.
    Cpu,
}

/// The limits of a device that the planner obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What kind of processor it is.
    pub class: DeviceClass,
    /// Whether kernels may use 64-bit integers, which a software driver loads and stores faster.
    pub int64: bool,
    /// The least and the greatest width of a subgroup, where kernels may use them.
    pub subgroups: Option<(u32, u32)>,
    /// The most workgroups in one dimension of a dispatch.
    pub max_groups: u32,
    /// The most bytes that one binding can show to a kernel.
    pub max_binding_bytes: u64,
    /// The most bytes of one buffer.
    pub max_buffer_bytes: u64,
    /// What a tensor's offset must be a multiple of, in bytes: at most 256, and 32 or more. See
    /// [`aligned`](Self::aligned).
    pub offset_alignment: u64,
}

/// Storage buffers in the largest kernel: x, y, state, gamma, beta, running mean and variance.
const STORAGE_BUFFERS: u32 = 8;
/// Binding numbers in use, the parameters' 0 included.
pub(super) const BINDINGS: u32 = 11;
/// The most bytes of a binding that we ask for. Vulkan and DirectX show no more; wgpu tells Metal's kernels
/// the size of a binding in a u32, by which they bound their indices.
const MAX_BINDING_BYTES: u64 = (1 << 31) - 1;
/// Invocations in a workgroup on a GPU.
const INVOCATIONS: u32 = 256;
/// Shared memory of the largest kernel: two sums and a pivot per column of a workgroup's tile.
const WORKGROUP_BYTES: u32 = 12_288;

/// What kernels need to add up by subgroups.
const SUBGROUPS: wgpu::Features = wgpu::Features::SUBGROUP.union(wgpu::Features::SUBGROUP_BARRIER);
/// The features that kernels make use of where they are there. A browser wants other WGSL for them.
pub(super) const FEATURES: wgpu::Features = if cfg!(target_arch = "wasm32") {
    wgpu::Features::empty()
} else {
    SUBGROUPS.union(wgpu::Features::SHADER_INT64)
};

impl Limits {
    /// The first offset, in bytes, from this one on that a tensor may start at in a buffer of the
    /// caller's: where to put the next tensor behind one that ends here.
    ///
    /// ```no_run
    /// # fn main() -> wgnorm::Result<()> {
    /// # let device = wgnorm::Device::new()?;
    /// let x = 0;
    /// let y = device.limits().aligned(x + 4 * 999); // behind 999 f32
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn aligned(&self, offset: u64) -> u64 {
        let aligned = offset.checked_next_multiple_of(self.offset_alignment);
        // No buffer is that large, so it does not matter where its end is.
        aligned.unwrap_or(u64::MAX)
    }

    /// Reads them off a wgpu device, and refuses one that cannot run the kernels.
    pub(super) fn of(device: &wgpu::Device) -> Result<Self> {
        let limits = device.limits();
        Self::check(&limits)?;
        let features = device.features() & FEATURES;
        let info = device.adapter_info();
        let class = match info.device_type {
            wgpu::DeviceType::Cpu => DeviceClass::Cpu,
            _ => DeviceClass::Gpu,
        };
        Ok(Self {
            class,
            subgroups: features
                .contains(SUBGROUPS)
                .then_some((info.subgroup_min_size, info.subgroup_max_size)),
            int64: features.contains(wgpu::Features::SHADER_INT64),
            max_groups: limits.max_compute_workgroups_per_dimension,
            max_binding_bytes: limits
                .max_storage_buffer_binding_size
                .min(MAX_BINDING_BYTES),
            max_buffer_bytes: limits.max_buffer_size,
            offset_alignment: limits.min_storage_buffer_offset_alignment.into(),
        })
    }

    /// Refuses limits below what the kernels need; all of it is within WebGPU's defaults.
    pub(super) fn check(limits: &wgpu::Limits) -> Result<()> {
        let needs = [
            (
                "max_storage_buffers_per_shader_stage",
                STORAGE_BUFFERS,
                limits.max_storage_buffers_per_shader_stage,
            ),
            (
                "max_compute_invocations_per_workgroup",
                INVOCATIONS,
                limits.max_compute_invocations_per_workgroup,
            ),
            (
                "max_compute_workgroup_size_x",
                INVOCATIONS,
                limits.max_compute_workgroup_size_x,
            ),
            (
                "max_compute_workgroup_storage_size",
                WORKGROUP_BYTES,
                limits.max_compute_workgroup_storage_size,
            ),
            ("max_bind_groups", 1, limits.max_bind_groups),
            (
                "max_bindings_per_bind_group",
                BINDINGS,
                limits.max_bindings_per_bind_group,
            ),
            (
                "max_uniform_buffers_per_shader_stage",
                1,
                limits.max_uniform_buffers_per_shader_stage,
            ),
            (
                "max_compute_workgroups_per_dimension",
                1,
                limits.max_compute_workgroups_per_dimension,
            ),
        ];
        for (name, needed, got) in needs {
            if got < needed {
                return Err(Error::Unsupported {
                    name,
                    needed: needed.into(),
                    got: got.into(),
                });
            }
        }
        Ok(())
    }

    /// The least that a device of ours asks of its adapter, and all the memory that it can bind.
    pub(super) fn request(adapter: &wgpu::Limits) -> wgpu::Limits {
        let floor = wgpu::Limits::downlevel_defaults();
        wgpu::Limits {
            max_storage_buffers_per_shader_stage: adapter
                .max_storage_buffers_per_shader_stage
                .min(STORAGE_BUFFERS),
            max_storage_buffer_binding_size: adapter.max_storage_buffer_binding_size,
            max_buffer_size: adapter.max_buffer_size,
            max_compute_workgroup_storage_size: adapter
                .max_compute_workgroup_storage_size
                .min(WORKGROUP_BYTES),
            min_storage_buffer_offset_alignment: adapter.min_storage_buffer_offset_alignment,
            min_uniform_buffer_offset_alignment: adapter.min_uniform_buffer_offset_alignment,
            ..floor.using_resolution(adapter.clone())
        }
    }
}

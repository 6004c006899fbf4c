//! Tensors between canaries, filled with NaN before an operation writes them.

use std::sync::atomic::{AtomicU64, Ordering};

use wgnorm::{DType, Device, Shape, Tensor, wgpu};

use crate::stored::{decode, encode, poisoned};

/// The bytes before and behind each tensor; a multiple of every offset alignment.
const FENCE: usize = 256;
const CANARY: u32 = 0xC0DE_CAFE;
/// A quiet NaN that no computation makes.
pub(crate) const POISON: u32 = 0x7FC0_DEAD;

/// Tensors with a canary overwritten, whatever becomes of the panics over them.
pub(crate) static CANARY_HITS: AtomicU64 = AtomicU64::new(0);
/// Outputs with an element not written, in the same way.
pub(crate) static POISON_LEFT: AtomicU64 = AtomicU64::new(0);

/// Panics unless it `holds`, and counts that.
fn count(found: &AtomicU64, holds: bool, what: &str) {
    found.fetch_add(u64::from(!holds), Ordering::Relaxed);
    assert!(holds, "{what}");
}

/// A tensor in a buffer of its own, with fences on both sides.
pub(crate) struct Guarded {
    pub(crate) tensor: Tensor,
    words: usize,
    before: Vec<u32>,
}

impl Guarded {
    pub(crate) fn new(device: &Device, contents: &[u32], shape: Shape, dtype: DType) -> Self {
        let fence = vec![CANARY; FENCE / 4];
        let before = [&fence[..], contents, &fence[..]].concat();
        let buffer = device.wgpu_device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("guarded"),
            size: 4 * before.len() as u64,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let everything =
            Tensor::from_buffer(device, buffer.clone(), 0, [before.len()], DType::U32).unwrap();
        device.write(&everything, &before).unwrap();
        let tensor = Tensor::from_buffer(device, buffer, FENCE as u64, shape, dtype).unwrap();
        Self {
            tensor,
            words: contents.len(),
            before,
        }
    }

    /// Values as that type stores them.
    pub(crate) fn stored(device: &Device, values: &[f32], shape: &Shape, dtype: DType) -> Self {
        Self::new(device, &encode(values, dtype), shape.clone(), dtype)
    }

    pub(crate) fn input(device: &Device, values: &[f32], shape: &Shape) -> Self {
        Self::stored(device, values, shape, DType::F32)
    }

    pub(crate) fn vector(device: &Device, values: &[f32]) -> Self {
        Self::input(device, values, &Shape::from([values.len()]))
    }

    /// An f32 output that holds nothing but NaN.
    pub(crate) fn poisoned(device: &Device, shape: &Shape) -> Self {
        Self::output_of(device, shape, DType::F32)
    }

    /// The same of any type.
    pub(crate) fn output_of(device: &Device, shape: &Shape, dtype: DType) -> Self {
        Self::new(
            device,
            &poisoned(shape.numel(), dtype),
            shape.clone(),
            dtype,
        )
    }

    /// The words of the tensor, after a look at the fences.
    pub(crate) fn words(&self, device: &Device) -> Vec<u32> {
        let buffer = self.tensor.buffer().clone();
        let everything =
            Tensor::from_buffer(device, buffer, 0, [self.before.len()], DType::U32).unwrap();
        let after: Vec<u32> = device.download(&everything).unwrap();
        let (front, rest) = after.split_at(FENCE / 4);
        let (contents, back) = rest.split_at(self.words);
        let alive = front.iter().chain(back).all(|&word| word == CANARY);
        count(&CANARY_HITS, alive, "a canary was overwritten");
        contents.to_vec()
    }

    /// The values of an output, of which none may have been left out.
    pub(crate) fn output(&self, device: &Device) -> Vec<f32> {
        let len = self.tensor.shape().numel();
        let (values, left) = decode(&self.words(device), len, self.tensor.dtype());
        count(&POISON_LEFT, !left, "an element was not written");
        values
    }

    /// Panics when an input was written.
    pub(crate) fn expect_untouched(&self, device: &Device, name: &str) {
        let fence = FENCE / 4;
        let before = &self.before[fence..fence + self.words];
        assert!(
            self.words(device) == before,
            "{name} is an input and was written"
        );
    }
}

//! What a healthy device makes of a training step, for what a device makes of it after a fault.

use std::sync::LazyLock;

use wgnorm::{Device, Error, PlanOptions, Strategy, wgpu};

use crate::bounds;
use crate::case::{Case, Inputs, Outputs};
use crate::{device, others};

/// A step and its results, which float64 agrees with.
pub(super) struct Right {
    case: Case,
    inputs: Inputs,
    outputs: Outputs,
}

/// In two dispatches each way, on guarded tensors.
pub(super) static RIGHT: LazyLock<Right> = LazyLock::new(|| {
    let case = Case::new([6, 5, 40], 1).planned(PlanOptions {
        strategy: Some(Strategy::SplitRows),
        class: None,
    });
    let inputs = case.inputs();
    let outputs = case.run(device().unwrap(), &inputs);
    bounds::compare(&case, &inputs, &outputs, &case.expected(&inputs));
    Right {
        case,
        inputs,
        outputs,
    }
});

impl Right {
    /// The device gives these bits.
    pub(super) fn expect_on(&self, device: &Device) {
        let outputs = self.case.run(device, &self.inputs);
        assert!(outputs == self.outputs, "other bits than before the fault");
    }
}

/// A new device in this process works.
pub(super) fn expect_on_a_new_device() {
    RIGHT.expect_on(&Device::new().unwrap());
}

/// A device that somebody else made, whose uncaptured errors panic and whose loss tells nobody.
pub(super) fn open() -> (wgpu::Device, wgpu::Queue) {
    let features = device().unwrap().wgpu_device().features();
    others::open(features, |_| {}).unwrap()
}

/// A new device of our own for even repetitions, one of a caller's for odd ones.
pub(super) fn either(repetition: u64) -> Device {
    if repetition.is_multiple_of(2) {
        return Device::new().unwrap();
    }
    let (device, queue) = open();
    Device::from_wgpu(device, queue).unwrap()
}

/// The same for faults that the device survives, which meet one and the same device again.
pub(super) fn either_again(repetition: u64) -> &'static Device {
    static THEIRS: LazyLock<Device> = LazyLock::new(|| either(1));
    if repetition.is_multiple_of(2) {
        return device().unwrap();
    }
    &THEIRS
}

/// What asks a device that is lost, or was told of it before, says so.
pub(super) fn expect_lost<T>(result: Result<T, Error>, what: &str) {
    match result {
        Err(Error::DeviceLost { .. }) => {}
        Err(error) => panic!("{what} on a lost device: {error}"),
        Ok(_) => panic!("{what} on a lost device succeeded"),
    }
}

/// What only records or submits may go on in ignorance of a loss.
pub(super) fn expect_lost_or_unknown<T>(result: Result<T, Error>, what: &str) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Error::DeviceLost { .. }) => None,
        Err(error) => panic!("{what} on a lost device: {error}"),
    }
}

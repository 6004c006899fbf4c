//! Buffers that do not serve, for every tensor argument of every operation.

use wgnorm::{DType, Device, Error, Tensor, wgpu};

use super::arguments::{Arguments, Operation};
use super::child::quickly;
use super::right::{RIGHT, either_again, expect_on_a_new_device};

const ALL: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_SRC)
    .union(wgpu::BufferUsages::COPY_DST);

fn buffer(device: &Device, size: u64, usage: wgpu::BufferUsages, mapped: bool) -> wgpu::Buffer {
    let wgpu_device = device.wgpu_device();
    wgpu_device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("the caller's"),
        size,
        usage,
        mapped_at_creation: mapped,
    })
}

/// Runs `spoil` for every argument of every operation on one device; each has to be refused, and
/// nothing may have been written once the recorder that refused them is submitted.
fn each(repetition: u64, spoil: impl Fn(&Arguments<'_>, Operation, &'static str)) {
    let device = either_again(repetition);
    RIGHT.expect_on(device);
    let arguments = Arguments::new(device);
    for operation in Operation::ALL {
        // Kernels are compiled before anybody looks at the clock.
        arguments
            .record(&mut device.recorder(), operation, &[])
            .unwrap();
        for name in operation.arguments() {
            spoil(&arguments, operation, name);
        }
        arguments.expect_untouched();
    }
    RIGHT.expect_on(device);
    expect_on_a_new_device();
}

/// What an operation says of one other tensor; whatever it has recorded is submitted.
fn refusal(arguments: &Arguments<'_>, operation: Operation, spoilt: &[(&str, &Tensor)]) -> Error {
    quickly("an operation on a bad buffer", || {
        let mut recorder = arguments.device.recorder();
        let refused = arguments.record(&mut recorder, operation, spoilt);
        let names: Vec<_> = spoilt.iter().map(|(name, _)| name).collect();
        recorder.submit().unwrap();
        refused.expect_err(&format!("{operation:?} took a bad {names:?}"))
    })
}

fn wrapped(
    arguments: &Arguments<'_>,
    buffer: &wgpu::Buffer,
    offset: u64,
    name: &str,
) -> Result<Tensor, Error> {
    let (shape, dtype) = (arguments.shape(name), arguments.dtype(name));
    quickly("wrapping a buffer", || {
        Tensor::from_buffer(arguments.device, buffer.clone(), offset, shape, dtype)
    })
}

fn bytes(arguments: &Arguments<'_>, name: &str) -> u64 {
    arguments.dtype(name).bytes(&arguments.shape(name))
}

pub(super) fn too_small(repetition: u64) {
    each(repetition, |arguments, operation, name| {
        let needed = bytes(arguments, name);
        let small = buffer(arguments.device, needed.max(8) - 4, ALL, false);
        let offset = if needed == 4 { 256 } else { 0 };
        let refused = wrapped(arguments, &small, offset, name).unwrap_err();
        let expected = Error::BufferTooSmall {
            name: "buffer".to_owned(),
            needed,
            offset,
            size: small.size(),
        };
        assert_eq!(refused, expected, "{operation:?}, {name}");

        let mut dims = arguments.shape(name).dims().to_vec();
        // A state may be longer than needed.
        let less = if name == "state" { dims[0] } else { 1 };
        *dims.last_mut().unwrap() -= less;
        let short = arguments.device.empty(dims, arguments.dtype(name)).unwrap();
        let refused = refusal(arguments, operation, &[(name, &short)]);
        // Beside a smaller x it is others that do not fit.
        let right =
            matches!(refused, Error::Shape { name: named, .. } if named == name || name == "x");
        assert!(right, "{operation:?}, {name}: {refused:?}");

        let other = match arguments.dtype(name) {
            DType::F32 => DType::U32,
            _ => DType::F32,
        };
        let typed = arguments
            .device
            .empty(arguments.shape(name), other)
            .unwrap();
        let refused = refusal(arguments, operation, &[(name, &typed)]);
        let right = matches!(refused, Error::DType { name: named, .. } if named == name);
        assert!(right, "{operation:?}, {name}: {refused:?}");
    });
}

pub(super) fn misaligned(repetition: u64) {
    each(repetition, |arguments, operation, name| {
        let alignment = arguments.device.limits().offset_alignment;
        let large = buffer(arguments.device, 1 << 16, ALL, false);
        for offset in [4, alignment - 4, alignment + 2, u64::MAX - 3] {
            let refused = wrapped(arguments, &large, offset, name).unwrap_err();
            let expected = Error::Misaligned {
                name: "buffer".to_owned(),
                offset,
                alignment,
            };
            assert_eq!(refused, expected, "{operation:?}, {name}");
        }
        let beyond = u64::MAX - u64::MAX % alignment;
        let refused = wrapped(arguments, &large, beyond, name).unwrap_err();
        assert!(matches!(refused, Error::BufferTooSmall { .. }), "{refused}");
    });
}

pub(super) fn wrong_usage(repetition: u64) {
    each(repetition, |arguments, operation, name| {
        let copies = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let wrong = buffer(arguments.device, bytes(arguments, name), copies, false);
        let refused = wrapped(arguments, &wrong, 0, name).unwrap_err();
        let right = matches!(&refused, Error::Usage { needed, .. } if needed.contains("STORAGE"));
        assert!(right, "{operation:?}, {name}: {refused:?}");

        let storage = buffer(
            arguments.device,
            bytes(arguments, name),
            wgpu::BufferUsages::STORAGE,
            false,
        );
        let storage = wrapped(arguments, &storage, 0, name).unwrap();
        quickly("moving what cannot be copied", || {
            let device = arguments.device;
            let zeros = vec![0u32; storage.shape().numel()];
            let floats = vec![0f32; storage.shape().numel()];
            let moved = match arguments.dtype(name) {
                DType::U32 => [
                    device.write(&storage, &zeros),
                    device.download::<u32>(&storage).map(|_| ()),
                ],
                _ => [
                    device.write(&storage, &floats),
                    device.download::<f32>(&storage).map(|_| ()),
                ],
            };
            for moved in moved {
                assert!(matches!(moved, Err(Error::Usage { .. })), "{moved:?}");
            }
        });
        if let Some(none) = of_no_samples(arguments, operation, name) {
            let refused = refusal(&none, operation, &[(name, &storage)]);
            let right = matches!(&refused, Error::Usage { name: named, .. } if named == name);
            assert!(right, "{operation:?}, {name}: {refused:?}");
        }
    });
}

/// The operation for an empty batch, where it clears that argument.
fn of_no_samples<'d>(
    arguments: &Arguments<'d>,
    operation: Operation,
    name: &str,
) -> Option<Arguments<'d>> {
    let backward = operation.arguments().contains(&"dy");
    let cleared = backward && (name == "dgamma" || name == "dbeta");
    cleared.then(|| Arguments::of_batch(arguments.device, 0))
}

pub(super) fn of_another_device(repetition: u64) {
    let stranger = Device::new().unwrap();
    each(repetition, |arguments, operation, name| {
        let theirs = stranger
            .empty(arguments.shape(name), arguments.dtype(name))
            .unwrap();
        let refused = refusal(arguments, operation, &[(name, &theirs)]);
        let right = matches!(refused, Error::OtherDevice { name: named } if named == name);
        assert!(right, "{operation:?}, {name}: {refused:?}");
        if repetition.is_multiple_of(2) {
            // wgpu only sees it for devices of one instance.
            let refused = wrapped(arguments, theirs.buffer(), 0, name).unwrap_err();
            assert!(matches!(refused, Error::Validation { .. }), "{refused}");
        }
    });
    RIGHT.expect_on(&stranger);
}

pub(super) fn destroyed(repetition: u64) {
    each(repetition, |arguments, operation, name| {
        let device = arguments.device;
        let doomed = buffer(device, bytes(arguments, name), ALL, false);
        let tensor = wrapped(arguments, &doomed, 0, name).unwrap();
        let known = buffer(device, bytes(arguments, name), ALL, false);
        let bound = wrapped(arguments, &known, 0, name).unwrap();
        // It is bound here, and dropped with the recorder.
        arguments
            .record(&mut device.recorder(), operation, &[(name, &bound)])
            .unwrap();
        doomed.destroy();
        known.destroy();
        let refused = wrapped(arguments, &doomed, 0, name).unwrap_err();
        assert!(matches!(refused, Error::Validation { .. }), "{refused}");

        let refused = refusal(arguments, operation, &[(name, &tensor)]);
        let named = matches!(&refused, Error::Validation { name: named, .. } if named == name);
        assert!(named, "{operation:?}, {name}: {refused:?}");
        quickly("submitting a buffer that was destroyed once bound", || {
            let mut recorder = device.recorder();
            let recorded = arguments.record(&mut recorder, operation, &[(name, &bound)]);
            let refused = recorded.and_then(|()| recorder.submit()).unwrap_err();
            assert!(matches!(refused, Error::Validation { .. }), "{refused}");
        });
        quickly("moving what was destroyed", || {
            let moved = match arguments.dtype(name) {
                DType::U32 => device.download::<u32>(&tensor).map(|_| ()),
                _ => device.download::<f32>(&tensor).map(|_| ()),
            };
            assert!(matches!(moved, Err(Error::Validation { .. })), "{moved:?}");
        });
    });
}

pub(super) fn mapped(repetition: u64) {
    each(repetition, |arguments, operation, name| {
        let device = arguments.device;
        let theirs = buffer(device, bytes(arguments, name), ALL, true);
        let tensor = wrapped(arguments, &theirs, 0, name).unwrap();
        let expect = |refused: &Error| {
            let right = matches!(refused, Error::Mapped { name: named } if *named == name);
            assert!(right, "{operation:?}, {name}: {refused:?}");
        };
        expect(&refusal(arguments, operation, &[(name, &tensor)]));
        if let Some(none) = of_no_samples(arguments, operation, name) {
            expect(&refusal(&none, operation, &[(name, &tensor)]));
        }
        quickly("moving what is mapped", || {
            let len = tensor.shape().numel();
            let moved = match arguments.dtype(name) {
                DType::U32 => [
                    device.download::<u32>(&tensor).map(|_| ()),
                    device.write(&tensor, &vec![0u32; len]),
                ],
                _ => [
                    device.download::<f32>(&tensor).map(|_| ()),
                    device.write(&tensor, &vec![0f32; len]),
                ],
            };
            for moved in moved {
                assert!(matches!(moved, Err(Error::Mapped { .. })), "{moved:?}");
            }
        });
        theirs.unmap();
        arguments
            .record(&mut device.recorder(), operation, &[(name, &tensor)])
            .unwrap();
    });
}

pub(super) fn overlapping(repetition: u64) {
    each(repetition, |arguments, operation, name| {
        let arena = buffer(arguments.device, 1 << 16, ALL, false);
        let step = arguments.device.limits().offset_alignment;
        let names = operation.arguments();
        for &other in names.iter().filter(|other| **other != name) {
            // Activations may lie in the very same place, but not half of it.
            let large = |name| arguments.shape(name).numel() > 300;
            let offset = if large(name) && large(other) { step } else { 0 };
            let first = wrapped(arguments, &arena, offset, name).unwrap();
            let second = wrapped(arguments, &arena, 0, other).unwrap();
            let refused = refusal(arguments, operation, &[(name, &first), (other, &second)]);
            let Error::Overlap { first, second, .. } = refused else {
                panic!("{operation:?}, {name} on {other}: {refused:?}");
            };
            assert!([[first, second], [second, first]].contains(&[name, other]));
        }
    });
}

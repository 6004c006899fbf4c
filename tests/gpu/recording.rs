//! What is created, submitted and reused while steps are recorded.

use wgnorm::{BatchNorm, BatchNormOptions, DType, Device, wgpu};

use crate::case::Case;
use crate::device;

/// The objects that must not grow in number once warm.
fn objects(device: &Device) -> [isize; 6] {
    let hal = device.wgpu_device().get_internal_counters().hal;
    [
        hal.buffers.read(),
        hal.bind_group_layouts.read(),
        hal.pipeline_layouts.read(),
        hal.compute_pipelines.read(),
        hal.shader_modules.read(),
        hal.memory_allocations.read(),
    ]
}

/// A device of its own, whose counters no other test moves.
fn own_device() -> Option<Device> {
    device().map(|_| Device::new().unwrap())
}

#[test]
fn a_hundred_warm_training_steps_create_nothing() {
    let Some(device) = own_device() else { return };
    let shapes = [[8, 3, 14, 14], [8, 3, 7, 7]];
    let layer = BatchNorm::new(&device, 3, BatchNormOptions::default()).unwrap();
    let inputs = shapes.map(|shape| Case::new(shape, 1).inputs());
    let mut warm = None;
    for step in 0..105 {
        for (shape, inputs) in shapes.iter().zip(&inputs) {
            let x = device.upload(&inputs.x, *shape).unwrap();
            let dy = device.upload(&inputs.dy, *shape).unwrap();
            let mut recorder = device.recorder();
            let (y, saved) = layer.forward_train(&mut recorder, &x).unwrap();
            let gradients = layer.backward(&mut recorder, &x, &dy, &saved).unwrap();
            recorder.submit().unwrap();
            assert_eq!(device.download::<f32>(&y).unwrap().len(), x.shape().numel());
            assert_eq!(
                device
                    .download::<f32>(&gradients.dgamma.unwrap())
                    .unwrap()
                    .len(),
                3
            );
        }
        let now = objects(&device);
        if step >= 5 {
            assert_eq!(now, *warm.get_or_insert(now), "objects at step {step}");
        }
    }
}

#[test]
fn a_tensor_that_is_gone_is_not_overwritten_before_its_commands_run() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 4, BatchNormOptions::default()).unwrap();
    let [first, second] = [1, 2].map(|seed| {
        Case {
            seed,
            ..Case::new([16, 4], 1)
        }
        .inputs()
        .x
    });
    let alone = {
        let x = device.upload(&first, [16, 4]).unwrap();
        let mut recorder = device.recorder();
        let y = layer.infer(&mut recorder, &x).unwrap();
        recorder.submit().unwrap();
        device.download::<f32>(&y).unwrap()
    };
    let mut recorder = device.recorder();
    let y = {
        let x = device.upload(&first, [16, 4]).unwrap();
        layer.infer(&mut recorder, &x).unwrap()
    };
    // Were x's memory free already, this would land in it before the submission.
    let _other = device.upload(&second, [16, 4]).unwrap();
    recorder.submit().unwrap();
    assert_eq!(device.download::<f32>(&y).unwrap(), alone);
}

#[test]
fn the_callers_encoder_takes_other_commands_before_and_after() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 4, BatchNormOptions::default()).unwrap();
    let values = Case::new([16, 4], 1).inputs().x;
    let source = device.upload(&values, [16, 4]).unwrap();
    let x = device.upload(&vec![0.0f32; 64], [16, 4]).unwrap();
    let copy = device.empty([16, 4], DType::F32).unwrap();
    let wgpu_device = device.wgpu_device();
    let mut encoder =
        wgpu_device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let bytes = Some(source.bytes());
    encoder.copy_buffer_to_buffer(source.buffer(), source.offset(), x.buffer(), 0, bytes);
    let y = {
        let mut recorder = device.record_into(&mut encoder);
        layer.infer(&mut recorder, &x).unwrap()
    };
    encoder.copy_buffer_to_buffer(y.buffer(), y.offset(), copy.buffer(), 0, bytes);
    assert_eq!(
        device.download::<f32>(&x).unwrap(),
        vec![0.0; 64],
        "something was submitted"
    );
    device.wgpu_queue().submit([encoder.finish()]);
    let got: Vec<f32> = device.download(&copy).unwrap();
    let scale = 1.0 / (1.0f32 + 1e-5).sqrt();
    for (got, x) in got.iter().zip(&values) {
        assert!(
            (got - x * scale).abs() <= 1e-6 * x.abs(),
            "{got} is not {x} normalized"
        );
    }
}

#[test]
fn operations_of_one_recorder_see_each_other() {
    let Some(device) = &device() else { return };
    let layers = [(); 3].map(|()| BatchNorm::new(device, 4, BatchNormOptions::default()).unwrap());
    let values = Case::new([64, 4], 1).inputs().x;
    let run = |submit_each: bool| {
        let mut y = device.upload(&values, [64, 4]).unwrap();
        let mut recorder = device.recorder();
        for layer in &layers {
            y = layer
                .forward(&mut recorder, &y, wgnorm::Mode::RECOMPUTE)
                .unwrap()
                .0;
            if submit_each {
                recorder.submit().unwrap();
                recorder = device.recorder();
            }
        }
        recorder.submit().unwrap();
        device.download::<f32>(&y).unwrap()
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn threads_share_a_device() {
    let Some(device) = &device() else { return };
    let run = |seed: u64| {
        let layer = BatchNorm::new(device, 6, BatchNormOptions::default()).unwrap();
        let x = device
            .upload(
                &Case {
                    seed,
                    ..Case::new([40, 6, 5], 1)
                }
                .inputs()
                .x,
                [40, 6, 5],
            )
            .unwrap();
        (0..20)
            .map(|_| {
                let mut recorder = device.recorder();
                let (y, _) = layer.forward_train(&mut recorder, &x).unwrap();
                recorder.submit().unwrap();
                device.download::<f32>(&y).unwrap()
            })
            .collect::<Vec<_>>()
    };
    let serial: Vec<_> = (0..8).map(run).collect();
    let parallel: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|seed| scope.spawn(move || run(seed))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(serial, parallel);
}

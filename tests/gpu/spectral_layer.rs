//! The layer of spectral norm: when its state moves, what a forward keeps, where tensors may lie.

use wgnorm::spectral::functional::{self, Backward, Forward};
use wgnorm::{DType, Device, DeviceClass, Shape, SpectralNorm, SpectralNormOptions, Tensor, wgpu};

use crate::device;
use crate::spectral_case::{Case, Inputs, l2, wide};

const BOUND: f64 = 3e-7;

/// A layer with the case's vectors, and its weight and dw on the device.
fn layer(device: &Device, case: &Case, inputs: &Inputs) -> (SpectralNorm, Tensor, Tensor) {
    let Inputs { weight, dw, u, v } = inputs;
    let layer = SpectralNorm::from_vectors(device, &case.shape, u, v, case.options).unwrap();
    let [weight, dw] = [weight, dw].map(|values| device.upload(values, &case.shape).unwrap());
    (layer, weight, dw)
}

fn vectors(device: &Device, layer: &SpectralNorm) -> [Vec<f32>; 2] {
    [layer.u(), layer.v()].map(|tensor| device.download(tensor).unwrap())
}

fn close(got: &[f32], want: &[f64]) {
    let error = l2(got, want, want);
    assert!(error < BOUND, "off by {error:.1e}");
}

#[test]
fn spectral_vectors_move_only_when_a_step_is_submitted() {
    let Some(device) = &device() else { return };
    let case = Case::new([24, 5, 3], 0, 1);
    let inputs = case.inputs();
    let (layer, weight, _) = layer(device, &case, &inputs);
    let mut dropped = device.recorder();
    layer.forward_train(&mut dropped, &weight).unwrap();
    drop(dropped);
    let before = [inputs.u.clone(), inputs.v.clone()];
    assert_eq!(vectors(device, &layer), before);

    let mut evaluated = device.recorder();
    layer.infer(&mut evaluated, &weight).unwrap();
    layer.forward_eval(&mut evaluated, &weight).unwrap();
    evaluated.submit().unwrap();
    assert_eq!(vectors(device, &layer), before);

    let mut step = device.recorder();
    let (w, saved) = layer.forward_train(&mut step, &weight).unwrap();
    assert_eq!(vectors(device, &layer), before);
    step.submit().unwrap();
    let want = case.expected(&inputs, 1);
    let [u, v] = vectors(device, &layer);
    close(&u, &want.u);
    close(&v, &want.v);
    close(&device.download(&w).unwrap(), &want.w);
    close(&device.download(&saved.sigma()).unwrap(), &[want.sigma]);
    assert_eq!(device.download::<f32>(&saved.u()).unwrap(), u);
    assert_eq!(device.download::<f32>(&saved.v()).unwrap(), v);
}

#[test]
fn spectral_backward_uses_the_vectors_of_its_own_forward() {
    let Some(device) = &device() else { return };
    for dim in 0..3 {
        let case = Case::new([12, 20, 8], dim, 1);
        let inputs = case.inputs();
        let (layer, weight, dw) = layer(device, &case, &inputs);
        let mut step = device.recorder();
        let (_, first) = layer.forward_train(&mut step, &weight).unwrap();
        let (_, second) = layer.forward_train(&mut step, &weight).unwrap();
        let gradients =
            [&first, &second].map(|saved| layer.backward(&mut step, &weight, &dw, saved).unwrap());
        step.submit().unwrap();
        let got = gradients.map(|gradient| device.download::<f32>(&gradient).unwrap());
        for (iterations, got) in [1, 2].into_iter().zip(&got) {
            let want = case.expected(&inputs, iterations);
            let (weight, dw) = (wide(&inputs.weight), wide(&inputs.dw));
            let want = case.oracle().backward(&weight, &want.u, &want.v, &dw);
            close(got, &want);
        }
        assert_ne!(got[0], got[1]);
    }
}

#[test]
fn spectral_layers_begin_with_15_iterations() {
    let Some(device) = &device() else { return };
    let case = Case::new([30, 7, 2], 1, 15);
    let inputs = case.inputs();
    let weight = device.upload(&inputs.weight, &case.shape).unwrap();
    let mut recorder = device.recorder();
    let given = SpectralNorm::with_u(&mut recorder, &weight, &inputs.u, case.options).unwrap();
    let random = SpectralNorm::new(&mut recorder, &weight, case.options).unwrap();
    let (_, saved) = random.forward_eval(&mut recorder, &weight).unwrap();
    recorder.submit().unwrap();
    let want = case.expected(&inputs, 15);
    let [u, v] = vectors(device, &given);
    close(&u, &want.u);
    close(&v, &want.v);
    // From wherever it begins, it comes near the largest singular value and never above it.
    let largest = case.expected(&inputs, 500).sigma;
    let sigma = f64::from(device.download::<f32>(&saved.sigma()).unwrap()[0]);
    assert!(
        sigma > 0.95 * largest && sigma < largest * (1.0 + 1e-6),
        "{sigma}, {largest}"
    );
}

#[test]
fn spectral_layers_go_on_from_a_checkpoint_bit_for_bit() {
    let Some(device) = &device() else { return };
    let case = Case::new([9, 4, 4], 0, 1);
    let inputs = case.inputs();
    let (one, weight, _) = layer(device, &case, &inputs);
    let run = |layer: &SpectralNorm| {
        let mut step = device.recorder();
        let (w, _) = layer.forward_train(&mut step, &weight).unwrap();
        step.submit().unwrap();
        device.download::<f32>(&w).unwrap()
    };
    run(&one);
    let [u, v] = vectors(device, &one);
    let other = SpectralNorm::from_vectors(device, &case.shape, &u, &v, case.options).unwrap();
    assert_eq!(run(&one), run(&other));
}

#[test]
fn spectral_weights_tiny_huge_and_zero() {
    let Some(device) = &device() else { return };
    for scale in [1e-13, 1e-9, 1e10] {
        let case = Case {
            scale,
            ..Case::new([20, 12], 0, 1)
        };
        println!("{scale:e}: {:?}", case.check(device));
    }
    let case = Case {
        scale: 0.0,
        ..Case::new([20, 12], 0, 2)
    };
    let outputs = case.run(device, &case.inputs());
    assert!(
        outputs
            .u
            .iter()
            .chain(&outputs.v)
            .all(|&value| value == 0.0)
    );
    assert_eq!(outputs.sigma, 0.0);
}

#[test]
fn spectral_nan_is_not_hidden() {
    let Some(device) = &device() else { return };
    for iterations in [0, 1] {
        let case = Case::new([20, 12], 0, iterations);
        let mut inputs = case.inputs();
        inputs.weight[33] = f32::NAN;
        let outputs = case.run(device, &inputs);
        assert!(outputs.sigma.is_nan());
        assert!(outputs.w.iter().all(|value| value.is_nan()));
    }
}

/// A buffer for all tensors, of which each takes a range.
struct Arena<'d> {
    device: &'d Device,
    buffer: wgpu::Buffer,
    used: u64,
}

impl Arena<'_> {
    fn take(&mut self, values: &[f32], shape: &Shape) -> Tensor {
        let buffer = self.buffer.clone();
        let tensor =
            Tensor::from_buffer(self.device, buffer, self.used, shape, DType::F32).unwrap();
        self.device.write(&tensor, values).unwrap();
        self.used = (self.used + tensor.bytes()).next_multiple_of(256);
        tensor
    }
}

/// w, u, v and dweight of a step whose tensors all lie in one buffer, w and dweight perhaps in place.
fn one_buffer(device: &Device, case: &Case, inputs: &Inputs, in_place: bool) -> [Vec<f32>; 4] {
    let buffer = device.wgpu_device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("all in one"),
        size: 1 << 20,
        usage: wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut arena = Arena {
        device,
        buffer,
        used: 0,
    };
    let Inputs { weight, dw, u, v } = inputs;
    let [weight, dw, other, dweight] =
        [weight, dw, weight, dw].map(|values| arena.take(values, &case.shape));
    let [u, v] = [u, v].map(|values| arena.take(values, &Shape::from([values.len()])));
    let len = functional::saved_len(device, &case.shape, &case.options).unwrap();
    let saved = arena.take(&vec![f32::NAN; len], &Shape::from([len]));
    let (w, dweight) = if in_place {
        (weight.clone(), dw.clone())
    } else {
        (other.clone(), dweight)
    };
    let forward = Forward {
        weight: &weight,
        w: &w,
        u: &u,
        v: &v,
        saved: &saved,
    };
    // In place the weight is gone, and its copy serves the backward.
    let backward = Backward {
        weight: if in_place { &other } else { &weight },
        dw: &dw,
        saved: &saved,
        dweight: &dweight,
    };
    let mut step = device.recorder();
    functional::forward(&mut step, &forward, &case.options, case.iterations).unwrap();
    functional::backward(&mut step, &backward, &case.options).unwrap();
    step.submit().unwrap();
    [&w, &u, &v, &dweight].map(|tensor| device.download(tensor).unwrap())
}

#[test]
fn spectral_in_one_buffer_and_in_place() {
    let Some(device) = &device() else { return };
    for (dims, dim) in [
        ([24, 5, 3], 0),
        ([24, 5, 3], 1),
        ([6, 8, 16], 1),
        ([6, 8, 16], 2),
    ] {
        for (iterations, class) in [
            (0, DeviceClass::Gpu),
            (2, DeviceClass::Gpu),
            (2, DeviceClass::Cpu),
        ] {
            let case = Case::new(dims, dim, iterations).for_class(class);
            let inputs = case.inputs();
            let apart = case.run(device, &inputs);
            let apart = [apart.w, apart.u, apart.v, apart.dweight];
            for in_place in [false, true] {
                let together = one_buffer(device, &case, &inputs, in_place);
                assert!(together == apart, "{case:?}, in place: {in_place}");
            }
        }
    }
}

#[test]
fn spectral_steps_that_are_warm_create_nothing() {
    let Some(_) = device() else { return };
    let device = Device::new().unwrap();
    let weight = device.upload(&vec![0.5f32; 24 * 15], [24, 15]).unwrap();
    let mut recorder = device.recorder();
    let options = SpectralNormOptions::default();
    let layer = SpectralNorm::new(&mut recorder, &weight, options).unwrap();
    recorder.submit().unwrap();
    let mut warm = None;
    for step in 0..30 {
        let mut recorder = device.recorder();
        let (w, saved) = layer.forward_train(&mut recorder, &weight).unwrap();
        let dweight = layer.backward(&mut recorder, &weight, &w, &saved).unwrap();
        recorder.submit().unwrap();
        assert_eq!(device.download::<f32>(&dweight).unwrap().len(), 360);
        let hal = device.wgpu_device().get_internal_counters().hal;
        let now = [hal.buffers.read(), hal.compute_pipelines.read()];
        if step >= 5 {
            assert_eq!(now, *warm.get_or_insert(now), "objects at step {step}");
        }
    }
}

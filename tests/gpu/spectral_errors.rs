//! Every bad argument of a spectral norm gets its typed error and leaves nothing half-written.

use wgnorm::spectral::functional::{self, Backward, Forward};
use wgnorm::{DType, Device, Error, SpectralNorm, SpectralNormOptions, Tensor};

use crate::device;
use crate::others::{BINDS_1024, WITHOUT_FEATURES};
use crate::spectral_case::Case;
use crate::spoilt::expect;

/// The tensors of a step over a weight [4, 3], to be spoilt one at a time.
struct Tensors<'d> {
    device: &'d Device,
    weight: Tensor,
    w: Tensor,
    u: Tensor,
    v: Tensor,
    saved: Tensor,
    options: SpectralNormOptions,
}

impl<'d> Tensors<'d> {
    fn new(device: &'d Device) -> Self {
        let ones = |dims: &[usize]| filled(device, dims);
        Self {
            device,
            weight: ones(&[4, 3]),
            w: ones(&[4, 3]),
            u: ones(&[4]),
            v: ones(&[3]),
            saved: ones(&[1024]),
            options: SpectralNormOptions::default(),
        }
    }

    fn forward(&self) -> Result<(), Error> {
        let tensors = Forward {
            weight: &self.weight,
            w: &self.w,
            u: &self.u,
            v: &self.v,
            saved: &self.saved,
        };
        let mut recorder = self.device.recorder();
        functional::forward(&mut recorder, &tensors, &self.options, 1)?;
        recorder.submit()
    }

    fn backward(&self) -> Result<(), Error> {
        let dw = filled(self.device, &[4, 3]);
        let tensors = Backward {
            weight: &self.weight,
            dw: &dw,
            saved: &self.saved,
            dweight: &self.w,
        };
        let mut recorder = self.device.recorder();
        functional::backward(&mut recorder, &tensors, &self.options)?;
        recorder.submit()
    }
}

fn filled(device: &Device, dims: &[usize]) -> Tensor {
    let len = dims.iter().product();
    device.upload(&vec![1.0f32; len], dims).unwrap()
}

fn spoilt(device: &Device, change: impl FnOnce(&mut Tensors<'_>)) -> [Result<(), Error>; 2] {
    let mut tensors = Tensors::new(device);
    change(&mut tensors);
    [tensors.forward(), tensors.backward()]
}

#[test]
fn spectral_accepts_what_is_right() {
    let Some(device) = &device() else { return };
    let [forward, backward] = spoilt(device, |_| ());
    forward.unwrap();
    backward.unwrap();
}

#[test]
fn spectral_shapes_and_types_that_do_not_fit() {
    let Some(device) = &device() else { return };
    let of = |dims: &[usize]| filled(device, dims);
    let both = |change: &dyn Fn(&mut Tensors<'_>), parts: &[&str]| {
        for result in spoilt(device, change) {
            expect(result, parts);
        }
    };
    both(
        &|t| t.weight = of(&[12]),
        &["weight", "at least 2 dimensions", "[12]"],
    );
    both(&|t| t.options.dim = 2, &["weight", "dim is 2", "[4, 3]"]);
    both(
        &|t| t.weight = of(&[4, 0]),
        &["weight", "at least 1 element", "[4, 0]"],
    );
    both(&|t| t.saved = of(&[64]), &["saved", "at least", "[64]"]);
    let halves = |dims: &[usize]| device.empty(dims, DType::F16).unwrap();
    both(&|t| t.weight = halves(&[4, 3]), &["weight", "f32", "f16"]);
    both(&|t| t.w = halves(&[4, 3]), &["w", "f32", "f16"]);
    both(&|t| t.saved = halves(&[1024]), &["saved", "f32", "f16"]);
    let forward = |change: &dyn Fn(&mut Tensors<'_>), parts: &[&str]| {
        let [forward, _] = spoilt(device, change);
        expect(forward, parts);
    };
    forward(&|t| t.w = of(&[3, 4]), &["w", "[4, 3]", "[3, 4]"]);
    forward(&|t| t.u = of(&[3]), &["u", "[4]", "row of W", "[3]"]);
    forward(&|t| t.v = of(&[4]), &["v", "[3]", "column of W", "[4]"]);
    forward(&|t| t.u = halves(&[4]), &["u", "f32", "f16"]);
    forward(&|t| t.options.eps = 0.0, &["eps", "positive", "0"]);
    forward(&|t| t.options.eps = f64::NAN, &["eps", "NaN"]);
    forward(&|t| t.options.eps = 1e-60, &["eps", "f32's range"]);
}

#[test]
fn spectral_tensors_that_overlap_or_are_strangers() {
    let Some(device) = &device() else { return };
    let overlapping = spoilt(device, |t| t.saved = t.weight.reshape([12]).unwrap());
    for result in overlapping {
        expect(result, &["saved"]);
    }
    let [forward, _] = spoilt(device, |t| t.v = t.u.clone());
    expect(forward, &["v", "[3]"]);
    let [forward, _] = spoilt(device, |t| {
        t.weight = filled(t.device, &[4, 4]);
        t.w = filled(t.device, &[4, 4]);
        t.v = t.u.clone();
    });
    expect(forward, &["u (bytes", "overlaps v"]);
    let Some(other) = &WITHOUT_FEATURES.get() else {
        return;
    };
    let [forward, backward] = spoilt(device, |t| t.w = filled(other, &[4, 3]));
    expect(forward, &["w belongs to another"]);
    expect(backward, &["dweight belongs to another"]);
    let layer = layer(device);
    let stranger = filled(other, &[4, 3]);
    expect(
        layer.infer(&mut device.recorder(), &stranger),
        &["weight belongs to another"],
    );
}

fn layer(device: &Device) -> SpectralNorm {
    let [u, v] = [vec![0.5; 4], vec![0.6; 3]];
    SpectralNorm::from_vectors(device, [4, 3], &u, &v, SpectralNormOptions::default()).unwrap()
}

#[test]
fn spectral_layers_refuse_what_they_were_not_made_for() {
    let Some(device) = &device() else { return };
    let options = SpectralNormOptions::default();
    let made = |dims: &[usize], u: usize, v: usize, options| {
        SpectralNorm::from_vectors(device, dims, &vec![1.0; u], &vec![1.0; v], options)
    };
    expect(made(&[4, 3], 3, 3, options), &["u", "[4]", "[3]"]);
    expect(made(&[4, 3], 4, 2, options), &["v", "[3]", "[2]"]);
    expect(made(&[4], 4, 1, options), &["weight", "at least 2"]);
    let eps = -1.0;
    expect(
        made(&[4, 3], 4, 3, SpectralNormOptions { eps, ..options }),
        &["eps", "-1"],
    );
    let mut recorder = device.recorder();
    let (weight, other) = (filled(device, &[4, 3]), filled(device, &[3, 4]));
    let layer = layer(device);
    expect(
        layer.infer(&mut recorder, &other),
        &["weight", "[4, 3]", "[3, 4]"],
    );
    let (_, saved) = layer.forward_train(&mut recorder, &weight).unwrap();
    expect(
        layer.backward(&mut recorder, &weight, &other, &saved),
        &["dw", "[4, 3]", "[3, 4]"],
    );
    let sideways = SpectralNormOptions { dim: 1, ..options };
    let stranger = made(&[4, 3], 3, 4, sideways).unwrap();
    expect(
        stranger.backward(&mut recorder, &weight, &weight, &saved),
        &["weight", "what the forward had: [4, 3]"],
    );
    expect(
        SpectralNorm::with_u(&mut recorder, &weight, &[1.0; 3], options),
        &["u", "[4]", "[3]"],
    );
    recorder.submit().unwrap();
}

#[test]
fn spectral_weights_above_one_binding_are_refused() {
    let Some(device) = &BINDS_1024.get() else {
        return;
    };
    let options = SpectralNormOptions::default();
    let weight = filled(device, &[16, 17]);
    let refused = SpectralNorm::new(&mut device.recorder(), &weight, options);
    let error = expect(refused, &["1088", "1024"]);
    assert!(matches!(error, Error::TooLarge { .. }));
    Case::new([16, 16], 0, 1).check(device);
}

#[test]
fn spectral_without_any_feature() {
    let Some(device) = &WITHOUT_FEATURES.get() else {
        return;
    };
    for (dims, dim) in [
        ([64, 33, 3], 0),
        ([64, 33, 3], 1),
        ([40, 64, 16], 1),
        ([65, 8, 64], 2),
    ] {
        for class in [wgnorm::DeviceClass::Gpu, wgnorm::DeviceClass::Cpu] {
            Case::new(dims, dim, 2).for_class(class).check(device);
        }
    }
}

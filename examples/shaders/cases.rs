//! Steps of all norms, small enough to be replayed, and what they dispatch.

use wgnorm::functional::NormOptions;
use wgnorm::shaders::Dispatched;
use wgnorm::{
    Activation, BatchNorm, BatchNormOptions, BatchRenorm, BatchRenormOptions, DType, Device,
    DeviceClass, Error, GroupNorm, GroupNormOptions, InstanceNorm, InstanceNormOptions, LayerNorm,
    LayerNormOptions, Mode, Norm, PlanOptions, Recorder, Result, RmsNorm, RmsNormOptions, Shape,
    SpectralNorm, SpectralNormOptions, Strategy, Tensor, WeightNorm, WeightNormOptions, With,
};

/// A step that was recorded but not yet submitted.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) recorder: Recorder<'static>,
    /// What it gives, by name.
    pub(crate) outputs: Outputs,
}

impl Case {
    pub(crate) fn dispatches(&self) -> &[Dispatched] {
        self.recorder.traced()
    }
}

type Outputs = Vec<(&'static str, Tensor)>;

/// What follows a norm, and the type of its activations.
#[derive(Clone, Copy, Debug)]
struct Around {
    dtype: DType,
    activation: Activation,
    residual: bool,
}

/// Every type once, and everything that follows a norm.
const AROUND: [Around; 4] = [
    around(DType::F32, Activation::None, false),
    around(DType::F32, Activation::Relu, true),
    around(DType::F16, Activation::Relu, false),
    around(DType::Bf16, Activation::None, true),
];

const fn around(dtype: DType, activation: Activation, residual: bool) -> Around {
    Around {
        dtype,
        activation,
        residual,
    }
}

/// The planner's choice and each strategy, for either class of device.
fn plans() -> impl Iterator<Item = PlanOptions> {
    let strategies = [
        None,
        Some(Strategy::SplitRows),
        Some(Strategy::SplitColumns),
        Some(Strategy::Resident),
    ];
    [DeviceClass::Gpu, DeviceClass::Cpu]
        .into_iter()
        .flat_map(move |class| {
            strategies.map(|strategy| PlanOptions {
                strategy,
                class: Some(class),
            })
        })
}

/// Values that look random, about 0.3.
fn values(n: usize, seed: u32) -> impl Iterator<Item = f32> {
    (0..n as u32).map(move |i| {
        let bits = (i.wrapping_mul(747_796_405) ^ seed).wrapping_mul(2_891_336_453);
        (bits >> 8) as f32 / 8_388_608.0 - 0.7
    })
}

fn upload(device: &Device, shape: &Shape, dtype: DType, seed: u32) -> Result<Tensor> {
    let values = values(shape.numel(), seed);
    match dtype {
        DType::F16 => device.upload(&values.map(half::f16::from_f32).collect::<Vec<_>>(), shape),
        DType::Bf16 => device.upload(&values.map(half::bf16::from_f32).collect::<Vec<_>>(), shape),
        _ => device.upload(&values.collect::<Vec<_>>(), shape),
    }
}

/// Records into a recorder that keeps what it dispatches; none where a strategy does not apply.
fn record(
    device: &Device,
    name: String,
    step: impl FnOnce(&mut Recorder<'_>) -> Result<Outputs>,
) -> Result<Option<Case>> {
    let mut recorder = device.recorder();
    recorder.trace();
    let outputs = match step(&mut recorder) {
        Err(Error::Strategy { .. }) => return Ok(None),
        outputs => outputs?,
    };
    Ok(Some(Case {
        name,
        recorder,
        outputs,
    }))
}

/// A forward and its backward.
fn step<O: NormOptions>(
    recorder: &mut Recorder<'_>,
    norm: &Norm<O>,
    (shape, around): (&Shape, Around),
    mode: Mode,
    mask: Option<&Tensor>,
) -> Result<Outputs> {
    let device = recorder.device().clone();
    let [x, dy, residual] = [1, 2, 3].map(|seed| upload(&device, shape, around.dtype, seed));
    let (x, dy, residual) = (x?, dy?, residual?);
    let with = With {
        residual: around.residual.then_some(&residual),
        mask,
    };
    let (y, saved) = norm.forward_with(recorder, &x, with, mode)?;
    let gradients = norm.backward(recorder, &x, &dy, &saved)?;
    let mut outputs = vec![("y", y), ("dx", gradients.dx)];
    outputs.extend(gradients.dgamma.map(|t| ("dgamma", t)));
    outputs.extend(gradients.dbeta.map(|t| ("dbeta", t)));
    outputs.extend(gradients.dresidual.map(|t| ("dresidual", t)));
    outputs.extend(norm.running_mean().map(|t| ("running_mean", t.clone())));
    outputs.extend(norm.running_var().map(|t| ("running_var", t.clone())));
    Ok(outputs)
}

/// All of them, one after the other, so that none holds memory for long.
pub(crate) fn each(
    device: &Device,
    mut take: impl FnMut(Case) -> std::result::Result<(), Box<dyn std::error::Error>>,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    for plan in plans() {
        for around in AROUND {
            let recorded = channels(device, plan, around)?.into_iter();
            let recorded = recorded.chain(rows(device, plan, around)?);
            recorded.flatten().try_for_each(&mut take)?;
        }
        let others = masked(device, plan)?
            .into_iter()
            .chain(weights(device, plan)?);
        others.flatten().try_for_each(&mut take)?;
    }
    Ok(())
}

/// Norms with running statistics, and those of samples.
fn channels(device: &Device, plan: PlanOptions, around: Around) -> Result<Vec<Option<Case>>> {
    let mut cases = Vec::new();
    let shapes: [(&[usize], usize); 4] = [
        (&[6, 10, 7, 7], 1),
        (&[4, 8, 8, 8], 1),
        (&[9, 10, 6], 2),
        (&[150, 20], 1),
    ];
    for (dims, channel_axis) in shapes {
        let shape = &Shape::from(dims);
        let count = dims[channel_axis];
        let name = |norm| format!("{norm} {shape} along {channel_axis}, {around:?}, {plan:?}");
        let activation = around.activation;
        for mode in [Mode::TRAIN, Mode::EVAL] {
            let options = BatchNormOptions {
                channel_axis,
                activation,
                plan,
                ..BatchNormOptions::default()
            };
            let norm = BatchNorm::new(device, count, options)?;
            let name = name(if mode == Mode::TRAIN {
                "batch"
            } else {
                "batch eval"
            });
            cases.push(record(device, name, |recorder| {
                step(recorder, &norm, (shape, around), mode, None)
            })?);
        }
        let options = BatchRenormOptions {
            channel_axis,
            activation,
            plan,
            ..BatchRenormOptions::default()
        };
        let norm = BatchRenorm::new(device, count, options)?;
        cases.push(record(device, name("renorm"), |recorder| {
            step(recorder, &norm, (shape, around), Mode::TRAIN, None)
        })?);
        let options = GroupNormOptions {
            groups: 2,
            channel_axis,
            activation,
            plan,
            ..GroupNormOptions::default()
        };
        let norm = GroupNorm::new(device, count, options)?;
        cases.push(record(device, name("group"), |recorder| {
            step(recorder, &norm, (shape, around), Mode::RECOMPUTE, None)
        })?);
        if dims.len() < 3 {
            continue;
        }
        let options = InstanceNormOptions {
            channel_axis,
            activation,
            plan,
            ..InstanceNormOptions::default()
        };
        let norm = InstanceNorm::new(count, options)?.with_running_statistics(device)?;
        cases.push(record(device, name("instance"), |recorder| {
            step(recorder, &norm, (shape, around), Mode::TRAIN, None)
        })?);
    }
    Ok(cases)
}

/// Norms of rows.
fn rows(device: &Device, plan: PlanOptions, around: Around) -> Result<Vec<Option<Case>>> {
    let mut cases = Vec::new();
    for dims in [[40, 96], [18, 34], [5, 1000], [7, 15]] {
        let shape = &Shape::from(dims);
        let name = |norm| format!("{norm} {shape}, {around:?}, {plan:?}");
        let options = LayerNormOptions {
            activation: around.activation,
            plan,
            ..LayerNormOptions::default()
        };
        let norm = LayerNorm::new(device, [dims[1]], options)?;
        cases.push(record(device, name("layer"), |recorder| {
            step(recorder, &norm, (shape, around), Mode::RECOMPUTE, None)
        })?);
        let options = RmsNormOptions {
            activation: around.activation,
            plan,
            ..RmsNormOptions::default()
        };
        let norm = RmsNorm::new(device, [dims[1]], options)?;
        cases.push(record(device, name("rms"), |recorder| {
            step(recorder, &norm, (shape, around), Mode::RECOMPUTE, None)
        })?);
    }
    Ok(cases)
}

/// Batch norms of what a mask calls valid.
fn masked(device: &Device, plan: PlanOptions) -> Result<Vec<Option<Case>>> {
    let mut cases = Vec::new();
    for (dims, channel_axis) in [([6, 10, 49], 1), ([9, 33, 12], 2)] {
        let shape = &Shape::from(dims);
        let positions = shape.numel() / dims[channel_axis];
        let mask: Vec<u32> = (0..positions as u32)
            .map(|i| u32::from(i % 5 > 0))
            .collect();
        let mut dims_of_mask = dims.to_vec();
        dims_of_mask.remove(channel_axis);
        let mask = device.upload(&mask, dims_of_mask)?;
        for activation in [Activation::None, Activation::Relu] {
            let options = BatchNormOptions {
                channel_axis,
                activation,
                plan,
                ..BatchNormOptions::default()
            };
            let norm = BatchNorm::new(device, dims[channel_axis], options)?;
            let around = around(DType::F32, activation, activation == Activation::Relu);
            let name = format!("masked {shape} along {channel_axis}, {around:?}, {plan:?}");
            cases.push(record(device, name, |recorder| {
                step(recorder, &norm, (shape, around), Mode::TRAIN, Some(&mask))
            })?);
        }
    }
    Ok(cases)
}

/// Norms of weights.
fn weights(device: &Device, plan: PlanOptions) -> Result<Vec<Option<Case>>> {
    let mut cases = Vec::new();
    for (dims, dim) in [([16, 6, 3, 3], 0), ([10, 7, 1, 1], 0), ([5, 12, 2, 2], 1)] {
        let shape = &Shape::from(dims);
        let [weight, dw] = [1, 2].map(|seed| upload(device, shape, DType::F32, seed));
        let (weight, dw) = (weight?, dw?);
        let name = |norm| format!("{norm} {shape} along {dim}, {plan:?}");
        let host: Vec<f32> = values(shape.numel(), 1).collect();
        let options = WeightNormOptions { dim, plan };
        let norm = WeightNorm::new(device, &host, shape, options)?;
        cases.push(record(device, name("weight"), |recorder| {
            let (w, saved) = norm.forward(recorder, &weight)?;
            let gradients = norm.backward(recorder, &weight, &dw, &saved)?;
            Ok(vec![("w", w), ("dv", gradients.dv), ("dg", gradients.dg)])
        })?);
        if plan.strategy.is_some() {
            continue;
        }
        let options = SpectralNormOptions {
            dim,
            class: plan.class,
            ..SpectralNormOptions::default()
        };
        cases.push(record(device, name("spectral"), |recorder| {
            let norm = SpectralNorm::new(recorder, &weight, options)?;
            let (w, saved) = norm.forward_train(recorder, &weight)?;
            let dweight = norm.backward(recorder, &weight, &dw, &saved)?;
            Ok(vec![
                ("w", w),
                ("dweight", dweight),
                ("u", norm.u().clone()),
            ])
        })?);
    }
    Ok(cases)
}

//! Holds every result of a case against float64 before it is timed.

use wgnorm::{DType, Device, functional, reference};

use crate::case::{Case, Op};
use crate::errors::{BF16_L2, F16_L2, L2, SUM, SUM_L2, l2, norm, worst};
use crate::norm::Norm;
use crate::operands::{Inputs, Operands};
use crate::stored;
use crate::valid::Valid;
use crate::verify_relatives;
use crate::way::Way;

/// What became of one operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// The relative L2 error of y or dx.
    pub(crate) max_error: f64,
    /// What is out of its bounds, in words.
    pub(crate) failures: Vec<String>,
}

impl Verdict {
    pub(crate) fn hold(&mut self, name: &str, error: f64, bound: f64) {
        if error > bound {
            let failure = format!("{name} is off by {error:.2e}, bound {bound:.0e}");
            self.failures.push(failure);
        }
    }

    /// Of y or dx, which its type alone may hold to less than f32's bound.
    pub(crate) fn main(name: &str, error: f64, dtype: DType) -> Self {
        let mut verdict = Self {
            max_error: error,
            failures: Vec::new(),
        };
        let bound = match dtype {
            DType::F16 => F16_L2,
            DType::Bf16 => BF16_L2,
            _ => L2,
        };
        verdict.hold(name, error, bound);
        verdict
    }
}

/// The inputs in float64, and the oracle for them; with a mask both are of what is valid.
struct Oracle<'a> {
    case: &'a Case,
    valid: Option<Valid>,
    shape: wgnorm::Shape,
    axis: usize,
    eps: f64,
    x: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    residual: Vec<f64>,
    batch: reference::Moments,
}

/// Runs the operations of the case once, in the order in which they depend on each other, and
/// judges those that are asked for.
pub(crate) fn verify(
    device: &Device,
    case: &Case,
    inputs: &Inputs,
    operands: &Operands,
) -> wgnorm::Result<Vec<(Op, Verdict)>> {
    let oracle = Oracle::new(case, inputs);
    let mut verdicts = Vec::new();
    for op in Op::ALL {
        let asked = case.ops.contains(&op);
        // Only the backward depends on another operation.
        let needed = op == Op::Forward && case.ops.contains(&Op::Backward);
        if !(asked || needed) {
            continue;
        }
        let output = if op == Op::Backward {
            &operands.dx
        } else {
            &operands.y
        };
        let nan = vec![f32::NAN; output.shape().numel()];
        stored::write(device, output, &nan)?;
        if let Some(residual) = operands.residual.as_ref().filter(|_| op == Op::Backward) {
            stored::write(device, &residual.gradient, &nan)?;
        }
        let mut recorder = device.recorder();
        operands.record(&mut recorder, op)?;
        recorder.submit()?;
        if !asked {
            continue;
        }
        let verdict = match op {
            _ if case.norm != Norm::Batch => {
                verify_relatives::verdict(device, case, inputs, operands, op)?
            }
            Op::Inference => oracle.inference(inputs, &stored::read(device, output)?),
            Op::Forward => oracle.forward(device, inputs, operands)?,
            Op::Backward => oracle.backward(device, inputs, operands)?,
        };
        verdicts.push((op, verdict));
    }
    Ok(verdicts)
}

impl<'a> Oracle<'a> {
    fn new(case: &'a Case, inputs: &Inputs) -> Self {
        let valid = (case.way == Way::Masked).then(|| Valid::of(case, &inputs.mask));
        let (shape, axis, x) = match &valid {
            None => (case.device_shape(), case.channel_axis(), wide(&inputs.x)),
            Some(valid) => (valid.shape(), 1, wide(&valid.gather(&inputs.x))),
        };
        Self {
            case,
            valid,
            batch: reference::moments(&x, &shape, axis),
            shape,
            axis,
            // The default of the options.
            eps: 1e-5,
            x,
            gamma: wide(&inputs.gamma),
            beta: wide(&inputs.beta),
            residual: wide(&inputs.residual),
        }
    }

    fn tail(&self) -> reference::Tail<'_> {
        self.case.tail.oracle(&self.residual)
    }

    fn layer(&self) -> reference::BatchNorm<'_> {
        reference::BatchNorm {
            shape: &self.shape,
            axis: self.axis,
            gamma: Some(&self.gamma),
            beta: Some(&self.beta),
            eps: self.eps,
        }
    }

    /// The verdict on y or dx of the whole batch, which is by the size of what is wanted unless that cancels.
    fn main(&self, name: &str, got: &[f32], want: &[f64], sizes: &[f64]) -> Verdict {
        let dtype = self.case.dtype;
        let Some(valid) = &self.valid else {
            return Verdict::main(name, l2(got, want, sizes), dtype);
        };
        let mut verdict = Verdict::main(name, l2(&valid.gather(got), want, sizes), dtype);
        verdict.hold_cleared(name, got, valid);
        verdict
    }

    fn inference(&self, inputs: &Inputs, y: &[f32]) -> Verdict {
        let (mean, var) = (wide(&inputs.running_mean), wide(&inputs.running_var));
        let want = self.layer().normalize(&self.x, &mean, &var);
        let want = self.tail().apply(&want);
        self.main("y", y, &want, &want)
    }

    fn forward(
        &self,
        device: &Device,
        inputs: &Inputs,
        operands: &Operands,
    ) -> wgnorm::Result<Verdict> {
        let (mean, var) = (&self.batch.mean, &self.batch.var);
        let want = self.layer().normalize(&self.x, mean, var);
        let want = self.tail().apply(&want);
        let y = stored::read(device, &operands.y)?;
        let mut verdict = self.main("y", &y, &want, &want);

        let state = device.download(&operands.state)?;
        let saved = functional::statistics(&state, self.case.channels());
        let rstd: Vec<f64> = var
            .iter()
            .map(|var| 1.0 / (var + self.eps).sqrt())
            .collect();
        let stats = mean.iter().zip(var);
        let sizes: Vec<f64> = stats.map(|(mean, var)| mean.abs() + var.sqrt()).collect();
        verdict.hold("mean", worst(&saved.mean, mean, &sizes), SUM);
        verdict.hold("rstd", l2(&saved.rstd, &rstd, &rstd), L2);

        // The default momentum: the new batch weighs a tenth.
        let mut running_mean = wide(&inputs.running_mean);
        let mut running_var = wide(&inputs.running_var);
        let unbiased = reference::unbiased(var, self.batch.n);
        reference::update_running(&mut running_mean, mean, 0.1);
        reference::update_running(&mut running_var, &unbiased, 0.1);
        let got = device.download(&operands.running_mean)?;
        let sizes = sizes.iter().zip(&running_mean);
        let sizes: Vec<f64> = sizes.map(|(size, mean)| size + mean.abs()).collect();
        verdict.hold("running_mean", worst(&got, &running_mean, &sizes), SUM);
        let got = device.download(&operands.running_var)?;
        verdict.hold("running_var", l2(&got, &running_var, &running_var), L2);
        if device.download::<u32>(&operands.tracked)? != [1] {
            let failure = "num_batches_tracked is not 1 after the first batch";
            verdict.failures.push(failure.to_owned());
        }
        Ok(verdict)
    }

    fn backward(
        &self,
        device: &Device,
        inputs: &Inputs,
        operands: &Operands,
    ) -> wgnorm::Result<Verdict> {
        let mut dy = gated(device, &self.tail(), inputs, operands)?;
        if let Some(valid) = &self.valid {
            dy = valid.gather(&dy);
        }
        let want = self.layer().backward(&self.x, &dy);
        let terms = self.terms(&dy);
        let n = self.batch.n;
        // With few values per channel most of dy is taken out again, so dx cancels.
        let sizes = if n < 16 { &terms.dx } else { &want.dx };
        let dx = stored::read(device, &operands.dx)?;
        let mut verdict = self.main("dx", &dx, &want.dx, sizes);
        // With few values per channel xhat itself is off by more than the bound in the worst of
        // many channels, so dgamma is measured over all of them there. Where relu has passed what has
        // one sign of xhat, the terms of dgamma do not cancel, and neither does what rstd is off by.
        let (dgamma, dbeta) = (&want.dgamma, &want.dbeta);
        let got = device.download(&operands.dgamma)?;
        let has_relu = self.case.tail.has_relu();
        let by_channel = n >= 256 && !has_relu;
        verdict.hold_sum(("dgamma", by_channel), &got, dgamma, &terms.dgamma);
        if has_relu {
            let worst_dgamma = worst(&got, dgamma, &terms.dgamma);
            verdict.hold("the worst dgamma", worst_dgamma, SUM_L2);
        }
        let got = device.download(&operands.dbeta)?;
        verdict.hold_sum(("dbeta", true), &got, dbeta, &terms.dbeta);
        verdict.hold_residual(device, operands, &dy)?;
        Ok(verdict)
    }

    /// The sizes of the terms that the gradients are sums of.
    fn terms(&self, dy: &[f64]) -> reference::Gradients {
        let plain = reference::BatchNorm {
            gamma: None,
            beta: None,
            ..self.layer()
        };
        let batch = &self.batch;
        let xhat = plain.normalize(&self.x, &batch.mean, &batch.var);
        let both = dy.iter().zip(&xhat);
        let products: Vec<f64> = both.map(|(dy, xhat)| (dy * xhat).abs()).collect();
        let dgamma = reference::channel_sums(&products, &self.shape, self.axis);
        let magnitudes: Vec<f64> = dy.iter().map(|dy| dy.abs()).collect();
        let dbeta = reference::channel_sums(&magnitudes, &self.shape, self.axis);
        let n = batch.n as f64;
        let dx = reference::channels(&self.shape, self.axis)
            .zip(dy.iter().zip(&xhat))
            .map(|(c, (dy, xhat))| {
                let scale = self.gamma[c].abs() / (batch.var[c] + self.eps).sqrt();
                scale * (dy.abs() + (dbeta[c] + xhat.abs() * dgamma[c]) / n)
            })
            .collect();
        reference::Gradients { dx, dgamma, dbeta }
    }
}

impl Verdict {
    /// The gradient of the residual, where there is one, has dy's own values.
    pub(crate) fn hold_residual(
        &mut self,
        device: &Device,
        operands: &Operands,
        dy: &[f64],
    ) -> wgnorm::Result<()> {
        if let Some(residual) = &operands.residual {
            let got = stored::read(device, &residual.gradient)?;
            self.hold("dresidual", l2(&got, dy, dy), 0.0);
        }
        Ok(())
    }

    fn hold_sum(
        &mut self,
        (name, by_channel): (&str, bool),
        got: &[f32],
        want: &[f64],
        terms: &[f64],
    ) {
        let [size, largest] = [want, terms].map(|values| norm(values.iter().copied()));
        if size > 0.1 * largest {
            self.hold(name, l2(got, want, want), SUM_L2);
        }
        let error = if by_channel {
            worst(got, want, terms)
        } else {
            l2(got, want, terms)
        };
        self.hold(name, error, SUM);
    }
}

/// dy where it passed the tail of the forward that has run.
pub(crate) fn gated(
    device: &Device,
    tail: &reference::Tail<'_>,
    inputs: &Inputs,
    operands: &Operands,
) -> wgnorm::Result<Vec<f64>> {
    let y = stored::read(device, &operands.y)?;
    Ok(tail.gate(&wide(&y), &wide(&inputs.dy)))
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

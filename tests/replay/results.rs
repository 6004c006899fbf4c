//! Successful runs against the reference, within the bounds that the library promises.

use wgnorm::Shape;
use wgnorm::reference::{self, BatchNorm, Gradients, Moments};

use crate::sample::{Case, Inputs};
use crate::{Request, Results, distance, norm, wide};

/// A case that ran, beside what it should have given.
struct Judged<'a> {
    case: &'a Case,
    inputs: &'a Inputs,
    shape: &'a Shape,
    layer: BatchNorm<'a>,
    batch: &'a Moments,
    /// Whether the batch's own statistics normalize.
    by_batch: bool,
    results: Results,
}

/// Runs the case and compares everything that comes out, and that nothing else does.
fn check(case: &Case) {
    let inputs = case.inputs();
    let Some(results) = inputs.request.results() else {
        return;
    };
    let shape = Shape::from(case.shape);
    let train = case.option("mode", "train") == "train";
    let usual = if train { "batch" } else { "running" };
    let judged = Judged {
        case,
        inputs: &inputs,
        shape: &shape,
        layer: BatchNorm {
            shape: &shape,
            axis: case.axis(),
            gamma: inputs.weight.as_deref(),
            beta: inputs.bias.as_deref(),
            eps: case.option("eps", "1e-5").parse().unwrap(),
        },
        batch: &reference::moments(&inputs.x, &shape, case.axis()),
        by_batch: case.option("statistics", usual) == "batch",
        results,
    };
    let mut expected = vec!["y"];
    judged.check_y();
    if train {
        expected.extend(["mean", "rstd", "num_batches_tracked"]);
        judged.check_statistics();
        if case.has("running") {
            expected.extend(["running_mean", "running_var"]);
            judged.check_running();
        }
    }
    if case.has("dy") {
        expected.push("dx");
        expected.extend(case.has("weight").then_some("dweight"));
        expected.extend(case.has("bias").then_some("dbias"));
        judged.check_gradients();
    }
    expected.sort_unstable();
    assert_eq!(judged.results.names(), expected);
}

impl Judged<'_> {
    /// The statistics that normalize.
    fn statistics(&self) -> (&[f64], &[f64]) {
        if self.by_batch {
            (&self.batch.mean, &self.batch.var)
        } else {
            (&self.inputs.running_mean, &self.inputs.running_var)
        }
    }

    fn per_channel(&self, name: &str) -> Vec<f32> {
        self.results.f32(name, &[self.case.channels()])
    }

    fn check_y(&self) {
        let (mean, var) = self.statistics();
        let y = self.layer.normalize(&self.inputs.x, mean, var);
        let got = self.results.f32("y", self.case.shape);
        assert_within("y", distance(&got, &y, norm(&y)), 3e-7);
    }

    fn check_statistics(&self) {
        let (mean, var) = self.statistics();
        assert_mean("mean", &self.per_channel("mean"), mean, var);
        let rstd = var.iter().map(|var| 1.0 / (var + self.layer.eps).sqrt());
        let rstd: Vec<f64> = rstd.collect();
        let error = distance(&self.per_channel("rstd"), &rstd, norm(&rstd));
        assert_within("rstd", error, 3e-7);
        let before: i64 = self
            .case
            .option("num_batches_tracked", "0")
            .parse()
            .unwrap();
        assert_eq!(self.results.num_batches_tracked(), before + 1);
    }

    fn check_running(&self) {
        let weight = match self.case.option("momentum", "0.1") {
            "cumulative" => 1.0 / self.results.num_batches_tracked() as f64,
            number => number.parse().unwrap(),
        };
        let batch_var = match self.case.option("running_var", "unbiased") {
            "biased" => self.batch.var.clone(),
            _ => reference::unbiased(&self.batch.var, self.batch.n),
        };
        let (mut mean, mut var) = (
            self.inputs.running_mean.clone(),
            self.inputs.running_var.clone(),
        );
        reference::update_running(&mut mean, &self.batch.mean, weight);
        reference::update_running(&mut var, &batch_var, weight);
        assert_mean(
            "running_mean",
            &self.per_channel("running_mean"),
            &mean,
            &var,
        );
        let error = distance(&self.per_channel("running_var"), &var, norm(&var));
        assert_within("running_var", error, 3e-7);
    }

    fn check_gradients(&self) {
        let (x, dy) = (&self.inputs.x, &self.inputs.dy);
        let (mean, var) = self.statistics();
        let frozen = self.layer.backward_frozen(x, dy, mean, var);
        let gradients = if self.by_batch {
            self.layer.backward(x, dy)
        } else {
            frozen.clone()
        };
        // Over few elements dx cancels, and has to be measured by its terms.
        let scale = if self.batch.n > 3 {
            &gradients.dx
        } else {
            &frozen.dx
        };
        let got = self.results.f32("dx", self.case.shape);
        assert_within("dx", distance(&got, &gradients.dx, norm(scale)), 3e-7);
        self.check_parameter_gradients(&gradients);
    }

    /// The error of a sum is measured by the magnitudes of its terms.
    fn check_parameter_gradients(&self, gradients: &Gradients) {
        let (mean, var) = self.statistics();
        let plain = BatchNorm {
            gamma: None,
            beta: None,
            ..self.layer
        };
        let xhat = plain.normalize(&self.inputs.x, mean, var);
        let ones = vec![1.0; xhat.len()];
        for (parameter, name, gradient, factors) in [
            ("weight", "dweight", &gradients.dgamma, xhat),
            ("bias", "dbias", &gradients.dbeta, ones),
        ] {
            if !self.case.has(parameter) {
                continue;
            }
            let terms = self.inputs.dy.iter().zip(&factors);
            let terms: Vec<f64> = terms.map(|(dy, factor)| (dy * factor).abs()).collect();
            let terms = reference::channel_sums(&terms, self.shape, self.layer.axis);
            for (c, got) in wide(&self.per_channel(name)).into_iter().enumerate() {
                assert_within(name, (got - gradient[c]).abs() / terms[c], 2e-7);
            }
        }
    }
}

fn assert_within(name: &str, error: f64, bound: f64) {
    assert!(
        error <= bound,
        "{name} is off by {error:e}, allowed are {bound:e}"
    );
}

/// The error of a mean is measured by the mean and the spread around it.
fn assert_mean(name: &str, got: &[f32], mean: &[f64], var: &[f64]) {
    for (c, got) in wide(got).into_iter().enumerate() {
        let error = (got - mean[c]).abs() / (mean[c].abs() + var[c].sqrt());
        assert_within(name, error, 2e-7);
    }
}

const ALL: &str = "weight bias running dy";

#[test]
fn training() {
    for (metadata, tensors) in [
        (&[][..], ""),
        (&[], "dy"),
        (&[], "weight dy"),
        (&[], "bias running"),
        (&[("mode", "train"), ("statistics", "batch")], ALL),
        (&[("eps", "0.1"), ("momentum", "0.25")], ALL),
        (&[("momentum", "1"), ("activation", "none")], ALL),
        (&[("running_var", "biased")], ALL),
        (&[("momentum", "cumulative")], ALL),
        (
            &[("momentum", "cumulative"), ("num_batches_tracked", "9")],
            ALL,
        ),
    ] {
        check(&Case {
            shape: &[4, 3, 5, 7],
            metadata,
            tensors,
            offset: 0.0,
        });
    }
}

#[test]
fn counters_of_layers_without_running_statistics() {
    check(&Case {
        shape: &[4, 3],
        metadata: &[("num_batches_tracked", "41"), ("momentum", "cumulative")],
        tensors: "",
        offset: 0.0,
    });
}

#[test]
fn evaluation_and_frozen_layers() {
    for (metadata, tensors) in [
        (&[("mode", "eval")][..], "running"),
        (&[("mode", "eval"), ("eps", "1e-3")], ALL),
        (
            &[("mode", "eval"), ("statistics", "batch")],
            "weight bias dy",
        ),
        (&[("mode", "eval"), ("statistics", "batch")], ALL),
        (&[("mode", "train"), ("statistics", "running")], ALL),
    ] {
        check(&Case {
            shape: &[4, 3, 5, 7],
            metadata,
            tensors,
            offset: 0.0,
        });
    }
}

#[test]
fn single_values_are_evaluated() {
    check(&Case {
        shape: &[1, 8],
        metadata: &[("mode", "eval")],
        tensors: ALL,
        offset: 0.0,
    });
}

#[test]
fn shapes_and_channel_axes() {
    for (shape, axis) in [
        (&[64, 50][..], "1"),
        (&[2, 3], "0"),
        (&[6, 4, 5], "0"),
        (&[3, 13, 13, 4], "3"),
        (&[2, 3, 4, 2, 3], "2"),
        (&[2, 3, 2, 2, 3, 2, 2], "5"),
        (&[1, 1, 1, 1000], "2"),
    ] {
        let metadata = [("channel_axis", axis)];
        check(&Case {
            shape,
            metadata: metadata.to_vec().leak(),
            tensors: ALL,
            offset: 0.0,
        });
    }
}

#[test]
fn far_from_zero() {
    for offset in [1e3, 1e7] {
        check(&Case {
            shape: &[8, 3, 9, 9],
            metadata: &[],
            tensors: "weight running dy",
            offset,
        });
    }
}

#[test]
fn nothing_in_gives_nothing_out() {
    let request = Request::new(&[("num_batches_tracked", "3")], &[0, 2, 5], &[])
        .f32("weight", &[2], &[1.0, 2.0])
        .f32("bias", &[2], &[1.0, 2.0])
        .f32("running_mean", &[2], &[3.0, 4.0])
        .f32("running_var", &[2], &[5.0, 6.0])
        .f32("dy", &[0, 2, 5], &[]);
    let Some(results) = request.results() else {
        return;
    };
    assert!(results.f32("y", &[0, 2, 5]).is_empty());
    assert!(results.f32("dx", &[0, 2, 5]).is_empty());
    assert_eq!(results.f32("dweight", &[2]), [0.0, 0.0]);
    assert_eq!(results.f32("dbias", &[2]), [0.0, 0.0]);
    assert_eq!(results.f32("running_mean", &[2]), [3.0, 4.0]);
    assert_eq!(results.f32("running_var", &[2]), [5.0, 6.0]);
    assert_eq!(results.num_batches_tracked(), 3);
    let alone = request
        .clone()
        .without("running_mean")
        .without("running_var");
    assert_eq!(alone.results().unwrap().num_batches_tracked(), 3);
    let evaluated = request.meta("mode", "eval").results().unwrap();
    assert_eq!(evaluated.names(), ["dbias", "dweight", "dx", "y"]);
}

#[test]
fn the_worked_example() {
    let request = Request::new(&[], &[4, 1], &[1.0, 2.0, 3.0, 4.0])
        .f32("weight", &[1], &[2.0])
        .f32("bias", &[1], &[3.0]);
    let Some(results) = request.results() else {
        return;
    };
    let expected = [0.3167, 2.1056, 3.8944, 5.6833];
    for (got, expected) in results.f32("y", &[4, 1]).iter().zip(expected) {
        assert!((got - expected).abs() < 5e-5, "{got} instead of {expected}");
    }
    assert_eq!(results.f32("mean", &[1]), [2.5]);
}

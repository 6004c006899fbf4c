//! Requests for batch norm's relatives that are wrong: exit code 2, one line that names what is wrong,
//! nothing written. None of them needs an adapter, but where only the device knows a limit, so there is none.

use safetensors::tensor::Dtype;

use crate::family_results::draw;
use crate::{Request, replay, replay_without_adapter};

pub(crate) const WEIGHTS: [&str; 2] = ["weight_norm", "spectral_norm"];
pub(crate) const ACTIVATIONS: [&str; 5] = [
    "layer_norm",
    "rms_norm",
    "group_norm",
    "instance_norm",
    "batch_renorm",
];

/// A training step with everything that the operation knows.
pub(crate) fn valid(op: &str) -> Request {
    let tensors = match op {
        "weight_norm" | "spectral_norm" => "dw",
        "instance_norm" | "batch_renorm" => "weight bias running dy",
        _ => "weight bias dy",
    };
    draw(op, &[2, 6, 5], required(op), tensors)
}

/// The metadata without which there is no such operation.
fn required(op: &str) -> &'static [(&'static str, &'static str)] {
    match op {
        "group_norm" => &[("num_groups", "3")],
        "batch_renorm" => &[("r_max", "3"), ("d_max", "5")],
        _ => &[],
    }
}

pub(crate) fn assert_refused(request: &Request, what: &str) {
    replay_without_adapter(&request.bytes()).assert_refused(what);
}

#[test]
fn the_requests_that_the_others_spoil_are_valid() {
    for op in ACTIVATIONS.into_iter().chain(WEIGHTS) {
        let Some(results) = valid(op).results() else {
            return;
        };
        let count = match op {
            "weight_norm" => 3,
            "instance_norm" => 7,
            "batch_renorm" => 9,
            _ => 4,
        };
        assert_eq!(results.names().len(), count, "{op}");
    }
}

/// Every key, beside those that only some operations know.
#[test]
fn keys_of_other_operations() {
    for (op, known) in [
        ("layer_norm", "normalized_dims eps activation"),
        ("rms_norm", "normalized_dims eps activation"),
        ("group_norm", "channel_axis num_groups eps activation"),
        (
            "instance_norm",
            "channel_axis eps activation statistics momentum running_var num_batches_tracked",
        ),
        (
            "batch_renorm",
            "channel_axis eps activation statistics momentum running_var num_batches_tracked \
             r_max d_max",
        ),
        ("weight_norm", "dim"),
        ("spectral_norm", "dim power_iterations eps"),
    ] {
        for (key, value) in [
            ("channel_axis", "1"),
            ("normalized_dims", "1"),
            ("num_groups", "1"),
            ("dim", "0"),
            ("eps", "1e-5"),
            ("activation", "none"),
            ("statistics", "batch"),
            ("momentum", "0.1"),
            ("running_var", "biased"),
            ("num_batches_tracked", "0"),
            ("r_max", "1"),
            ("d_max", "0"),
            ("power_iterations", "1"),
            ("Mode", "train"),
        ] {
            if !known.split(' ').any(|name| name == key) {
                let message = format!("{op} does not know the key {key:?}");
                assert_refused(&valid(op).meta(key, value), &message);
            }
        }
    }
}

#[test]
fn tensors_of_other_operations() {
    for (op, known) in [
        ("layer_norm", "x dy weight bias residual"),
        ("rms_norm", "x dy weight bias residual"),
        ("group_norm", "x dy weight bias residual"),
        (
            "instance_norm",
            "x dy weight bias residual running_mean running_var",
        ),
        (
            "batch_renorm",
            "x dy weight bias residual running_mean running_var",
        ),
        ("weight_norm", "v g dw"),
        ("spectral_norm", "weight u dw"),
    ] {
        for tensor in [
            "x",
            "dy",
            "weight",
            "bias",
            "running_mean",
            "running_var",
            "v",
            "g",
            "dw",
            "u",
            "gamma",
            "residual",
            "mask",
        ] {
            if !known.split(' ').any(|name| name == tensor) {
                let message = format!("{op} does not know the tensor {tensor:?}");
                assert_refused(&valid(op).f32(tensor, &[6], &[1.0; 6]), &message);
            }
        }
    }
}

#[test]
fn metadata_values() {
    let axes: &[&str] = &["", "-1", "1.5", "one"];
    let positive: &[&str] = &["", "0", "-1e-5", "NaN", "inf", "1e-60", "1e-40", "1e60"];
    for (op, key, values) in [
        ("layer_norm", "mode", &["", "Train", "test"][..]),
        ("layer_norm", "normalized_dims", &["", "0", "-1", "all"]),
        ("rms_norm", "normalized_dims", &["", "0", "1.0"]),
        ("layer_norm", "eps", positive),
        ("rms_norm", "eps", positive),
        ("group_norm", "eps", positive),
        ("group_norm", "num_groups", &["", "0", "-3", "1.5", "three"]),
        ("group_norm", "channel_axis", axes),
        ("instance_norm", "channel_axis", axes),
        ("instance_norm", "statistics", &["", "sample"]),
        ("instance_norm", "momentum", &["", "-0.1", "1.1", "nan"]),
        (
            "instance_norm",
            "num_batches_tracked",
            &["-1", "4294967295"],
        ),
        ("batch_renorm", "running_var", &["", "true"]),
        ("batch_renorm", "r_max", &["", "0.9", "-3", "NaN", "three"]),
        ("batch_renorm", "d_max", &["", "-0.1", "NaN", "five"]),
        ("weight_norm", "dim", axes),
        ("weight_norm", "mode", &["", "Eval"]),
        ("spectral_norm", "dim", axes),
        ("spectral_norm", "mode", &["", "Eval"]),
        ("spectral_norm", "eps", positive),
        (
            "spectral_norm",
            "power_iterations",
            &["", "-1", "1.5", "10001", "4294967296", "many"],
        ),
    ] {
        for value in values {
            let ran = replay_without_adapter(&valid(op).meta(key, value).bytes());
            ran.assert_refused(&format!("{key}: expected "));
            ran.assert_refused(&format!("got {value:?}"));
        }
    }
}

#[test]
fn required_metadata() {
    for (op, key) in [
        ("group_norm", "num_groups"),
        ("batch_renorm", "r_max"),
        ("batch_renorm", "d_max"),
    ] {
        assert_refused(
            &valid(op).without_meta(key),
            &format!("metadata: {key} is missing, expected a"),
        );
    }
}

#[test]
fn element_types() {
    for op in ACTIVATIONS.into_iter().chain(WEIGHTS) {
        let valid = valid(op);
        for (tensor, (_, shape, _)) in &valid.tensors {
            let bytes = vec![0; 8 * shape.iter().product::<usize>()];
            let double = valid.clone().raw(tensor, Dtype::F64, shape, bytes);
            let types = match tensor.as_str() {
                "x" | "dy" => "F32, F16 or BF16",
                _ => "F32",
            };
            let message = format!("{tensor}: expected element type {types}, got F64");
            assert_refused(&double, &message);
        }
    }
}

#[test]
fn missing_tensors() {
    for op in ACTIVATIONS {
        assert_refused(&valid(op).without("x"), "x is missing");
    }
    for (op, tensors) in [
        ("weight_norm", ["v", "g"]),
        ("spectral_norm", ["weight", "u"]),
    ] {
        for tensor in tensors {
            let message = format!("{tensor} is missing");
            assert_refused(&valid(op).without(tensor), &message);
        }
    }
    for op in ["instance_norm", "batch_renorm"] {
        let message = "running_mean is missing, but running_var is there";
        assert_refused(&valid(op).without("running_mean"), message);
        let message = "running_var is missing, but running_mean is there";
        assert_refused(&valid(op).without("running_var"), message);
        let neither = valid(op).without("running_mean").without("running_var");
        let message = "running_mean is missing, and running_var with it";
        assert_refused(&neither.clone().meta("mode", "eval"), message);
        assert_refused(&neither.meta("statistics", "running"), message);
    }
    let neither = valid("batch_renorm")
        .without("running_mean")
        .without("running_var");
    let message = "running_mean is missing, and running_var with it: batch renorm corrects";
    assert_refused(&neither, message);
    let batch = neither.meta("mode", "eval").meta("statistics", "batch");
    assert_refused(&batch, message);
}

#[test]
fn gradients_and_parameters_of_other_shapes() {
    for op in ACTIVATIONS {
        let dy = valid(op).f32("dy", &[6, 2, 5], &[0.0; 60]);
        assert_refused(&dy, "dy: expected x's shape [2, 6, 5], got [6, 2, 5]");
    }
    for op in ["layer_norm", "rms_norm"] {
        for tensor in ["weight", "bias"] {
            let message = format!("{tensor}: expected [5], the normalized shape of x [2, 6, 5], ");
            for shape in [&[6][..], &[1, 5], &[]] {
                let values = vec![1.0; shape.iter().product()];
                let spoilt = valid(op).f32(tensor, shape, &values);
                assert_refused(&spoilt, &format!("{message}got {shape:?}"));
            }
        }
        let flat = valid(op).meta("normalized_dims", "2");
        let flat = flat.f32("weight", &[30], &[1.0; 30]);
        assert_refused(&flat, "weight: expected [6, 5], the normalized shape");
    }
    for op in &ACTIVATIONS[2..] {
        for tensor in ["weight", "bias", "running_mean", "running_var"] {
            if !valid(op).has(tensor) {
                continue;
            }
            let message = format!("{tensor}: expected 6 elements, one per channel of x [2, 6, 5]");
            assert_refused(&valid(op).f32(tensor, &[5], &[1.0; 5]), &message);
            assert_refused(&valid(op).f32(tensor, &[0], &[]), "got [0]");
        }
    }
    for (op, tensor, vector) in [("weight_norm", "v", "g"), ("spectral_norm", "weight", "u")] {
        let message = format!(
            "{vector}: expected 2 elements, one per index of {tensor} [2, 6, 5] along dim 0, got [3]"
        );
        assert_refused(&valid(op).f32(vector, &[3], &[1.0; 3]), &message);
        let dw = valid(op).f32("dw", &[6, 2, 5], &[0.0; 60]);
        let message = format!("dw: expected {tensor}'s shape [2, 6, 5], got [6, 2, 5]");
        assert_refused(&dw, &message);
    }
}

/// An x of that shape and what its operation requires.
fn bare(op: &str, shape: &[usize]) -> Request {
    let x = vec![1.0; shape.iter().product()];
    let request = Request::default().meta("op", op).f32("x", shape, &x);
    let each = required(op).iter();
    each.fold(request, |request, (key, value)| request.meta(key, value))
}

#[test]
fn shapes_that_no_norm_takes() {
    for op in ["layer_norm", "rms_norm"] {
        let message = "x: expected at least 4 dimensions to normalize over, got [2, 6, 5]";
        let deep = bare(op, &[2, 6, 5]).meta("normalized_dims", "4");
        assert_refused(&deep, message);
        assert_refused(&bare(op, &[]), "at least 1 dimensions");
        let message = "x: expected rows of at least one element, got [2, 0]";
        assert_refused(&bare(op, &[2, 0]), message);
    }
    for op in &ACTIVATIONS[2..] {
        assert_refused(
            &bare(op, &[6]),
            "x: expected at least 2 dimensions, got [6]",
        );
        let message = "x: expected more than 3 dimensions, since 3 is the channel axis";
        assert_refused(&bare(op, &[2, 6, 5]).meta("channel_axis", "3"), message);
        assert_refused(
            &bare(op, &[2, 0, 5]),
            "at least 1 channel along dimension 1",
        );
    }
    for op in ["group_norm", "instance_norm"] {
        let samples = bare(op, &[6, 6, 5]).meta("channel_axis", "0");
        let message = "x: expected a channel axis other than 0, which counts the samples";
        assert_refused(&samples, message);
    }
    let groups = bare("group_norm", &[2, 6, 5]).meta("num_groups", "4");
    let message = "num_groups: expected a divisor of the number of channels, got 4 for 6 channels";
    assert_refused(&groups, message);
}

#[test]
fn shapes_that_no_weight_has() {
    for (op, tensor, vector) in [("weight_norm", "v", "g"), ("spectral_norm", "weight", "u")] {
        let refused = |shape: &[usize], dim: &str, message: &str| {
            let values = vec![1.0; shape.iter().product()];
            let request = Request::default().meta("op", op).meta("dim", dim);
            let request = request
                .f32(tensor, shape, &values)
                .f32(vector, &[1], &[1.0]);
            assert_refused(&request, &format!("{tensor}: expected {message}"));
        };
        refused(&[], "0", "at least 2 dimensions, got []");
        refused(&[4], "0", "at least 2 dimensions, got [4]");
        let message = "more than 2 dimensions, since dim is 2, got [4, 2]";
        refused(&[4, 2], "2", message);
        let message = "at least 1 element along dimension 1, got [4, 0]";
        refused(&[4, 0], "1", message);
    }
    let empty = Request::default()
        .meta("op", "spectral_norm")
        .f32("weight", &[1, 0], &[])
        .f32("u", &[1], &[1.0]);
    assert_refused(&empty, "weight: expected at least 1 element, got [1, 0]");
}

#[test]
fn one_value_per_statistic() {
    let message = "expected more than 1 value per channel when training, got input size ";
    for (op, shape) in [
        ("instance_norm", &[3, 6][..]),
        ("instance_norm", &[3, 6, 1, 1]),
        ("batch_renorm", &[1, 6]),
    ] {
        let request = draw(op, shape, required(op), "running");
        let message = format!("{message}{shape:?}");
        assert_refused(&request, &message);
        let evaluation = request.meta("mode", "eval");
        assert_refused(&evaluation.meta("statistics", "batch"), &message);
    }
}

#[test]
fn samples_that_normalize_by_averages_and_move_them() {
    let both = valid("instance_norm").meta("statistics", "running");
    assert_refused(&both, "statistics: expected batch in training");
}

#[test]
fn statistics_that_only_an_empty_x_can_claim() {
    for (op, shape) in [
        ("group_norm", [0, 3 << 40, 2]),
        ("instance_norm", [0, usize::MAX / 16, 2]),
        ("layer_norm", [1 << 40, 0, 3]),
        ("rms_norm", [0, usize::MAX, 3]),
    ] {
        let request = bare(op, &[1, 6, 2]).raw("x", Dtype::F32, &shape, Vec::new());
        let ran = replay(&request.bytes());
        if ran.skipped() {
            return;
        }
        // Whether they fit the device or not, nothing crashes and nothing is half-written.
        let refused = ran.code == 2 && ran.stderr.contains("exceeds the device's limit");
        assert!(refused || ran.code == 0, "{op}: {}", ran.stderr);
        assert_eq!(ran.output.is_some(), ran.code == 0, "{op}");
    }
}

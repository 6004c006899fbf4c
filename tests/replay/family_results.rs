//! Successful runs of batch norm's relatives against the oracle, within the bounds that the library
//! promises.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::oracle::check;
use crate::{Request, normals, wide};

/// A request with values drawn for these tensors: of weight, bias, running and dy for a norm of
/// activations, of dw for one of weights.
pub(crate) fn draw(op: &str, shape: &[usize], metadata: &[(&str, &str)], tensors: &str) -> Request {
    let mut request = Request::default().meta("op", op);
    for (key, value) in metadata {
        request = request.meta(key, value);
    }
    let has = |name: &str| tensors.split(' ').any(|tensor| tensor == name);
    let len = shape.iter().product();
    let mut x = normals(1, len);
    for (i, x) in x.iter_mut().enumerate() {
        *x = *x * (0.5 + (i % 7) as f32) + 0.3;
    }
    if matches!(op, "weight_norm" | "spectral_norm") {
        let rows = shape.get(request.option("dim", 0)).copied().unwrap_or(1);
        let (x_name, vector) = if op == "weight_norm" {
            ("v", "g")
        } else {
            ("weight", "u")
        };
        request = request
            .f32(x_name, shape, &x)
            .f32(vector, &[rows], &normals(2, rows));
        return if has("dw") {
            request.f32("dw", shape, &normals(3, len))
        } else {
            request
        };
    }
    request = request.f32("x", shape, &x);
    let parameters = if matches!(op, "layer_norm" | "rms_norm") {
        let dims: usize = request.option("normalized_dims", 1);
        shape[shape.len() - dims..].to_vec()
    } else {
        vec![shape[request.option("channel_axis", 1_usize)]]
    };
    let count = parameters.iter().product();
    let var: Vec<f32> = normals(6, count).iter().map(|v| 0.5 + v * v).collect();
    for (tensor, name, values) in [
        ("weight", "weight", normals(3, count)),
        ("bias", "bias", normals(4, count)),
        ("running", "running_mean", normals(5, count)),
        ("running", "running_var", var),
    ] {
        if has(tensor) {
            request = request.f32(name, &parameters, &values);
        }
    }
    if has("dy") {
        request = request.f32("dy", shape, &normals(7, len));
    }
    request
}

const ALL: &str = "weight bias dy";
const AVERAGED: &str = "weight bias running dy";

#[test]
fn rows() {
    for op in ["layer_norm", "rms_norm"] {
        check(&draw(op, &[100], &[], ALL));
        check(&draw(op, &[5, 1], &[("mode", "eval")], "weight bias"));
        check(&draw(op, &[6, 50], &[], "weight dy"));
        check(&draw(op, &[3, 4, 33], &[("eps", "0.1")], "bias dy"));
        let dims = [("normalized_dims", "3"), ("mode", "train")];
        check(&draw(op, &[2, 3, 2, 5, 4], &dims, ALL));
        let dims = [("normalized_dims", "4"), ("activation", "none")];
        check(&draw(op, &[4, 3, 8, 8], &dims, ""));
        // Beside values as small as these the default eps shows.
        let x: Vec<f32> = normals(8, 60).iter().map(|x| 1e-3 * x).collect();
        check(&draw(op, &[3, 20], &[], ALL).f32("x", &[3, 20], &x));
    }
}

#[test]
fn groups() {
    let op = "group_norm";
    check(&draw(op, &[3, 8], &[("num_groups", "2")], ALL));
    check(&draw(op, &[2, 6], &[("num_groups", "6")], "bias dy"));
    let eval = [("num_groups", "1"), ("mode", "eval"), ("eps", "1e-3")];
    check(&draw(op, &[2, 6, 7, 7], &eval, ALL));
    let last = [("num_groups", "5"), ("channel_axis", "3")];
    check(&draw(op, &[3, 4, 6, 50], &last, "weight dy"));
    let middle = [("num_groups", "2"), ("channel_axis", "2")];
    check(&draw(op, &[2, 3, 4, 2, 3], &middle, ""));
}

#[test]
fn instances() {
    let op = "instance_norm";
    check(&draw(op, &[3, 4, 7, 7], &[], "dy"));
    check(&draw(op, &[3, 4, 30], &[], AVERAGED));
    let last = [
        ("channel_axis", "3"),
        ("momentum", "0.3"),
        ("running_var", "biased"),
    ];
    check(&draw(op, &[2, 9, 8, 5], &last, AVERAGED));
    let counted = [("momentum", "cumulative"), ("num_batches_tracked", "4")];
    check(&draw(op, &[2, 6, 40], &counted, "running bias"));
    check(&draw(op, &[1, 6, 40], &[("channel_axis", "2")], AVERAGED));
    check(&draw(op, &[3, 4, 5], &[("mode", "eval")], AVERAGED));
    check(&draw(op, &[3, 4], &[("mode", "eval")], "weight running dy"));
    let batch = [("mode", "eval"), ("statistics", "batch"), ("eps", "0.01")];
    check(&draw(op, &[3, 4, 20], &batch, AVERAGED));
    // Nothing is counted without running statistics.
    let counted = [("num_batches_tracked", "7"), ("momentum", "0.2")];
    check(&draw(op, &[2, 3, 5], &counted, ALL));
}

#[test]
fn renorms() {
    let op = "batch_renorm";
    for (r_max, d_max) in [("1", "0"), ("1.5", "0.5"), ("3", "5"), ("1000", "1e6")] {
        let limits = [("r_max", r_max), ("d_max", d_max)];
        check(&draw(op, &[4, 5, 6, 6], &limits, AVERAGED));
    }
    let limits = [("r_max", "1.5"), ("d_max", "0.5")];
    let with = |more: &[(&'static str, &'static str)]| [&limits, more].concat();
    check(&draw(op, &[20, 6], &with(&[("mode", "eval")]), AVERAGED));
    for statistics in [("statistics", "running"), ("statistics", "batch")] {
        check(&draw(op, &[9, 5, 4], &with(&[statistics]), AVERAGED));
        let eval = with(&[("mode", "eval"), statistics]);
        check(&draw(op, &[9, 5, 4], &eval, "running bias dy"));
    }
    let first = with(&[("channel_axis", "0"), ("running_var", "biased")]);
    check(&draw(op, &[3, 40], &first, "running dy"));
    let counted = with(&[
        ("channel_axis", "3"),
        ("momentum", "cumulative"),
        ("num_batches_tracked", "3"),
    ]);
    check(&draw(op, &[4, 5, 5, 50], &counted, "weight running"));
}

#[test]
fn weights() {
    let op = "weight_norm";
    check(&draw(op, &[6, 50], &[], ""));
    for dim in ["0", "1", "2", "3"] {
        check(&draw(op, &[6, 5, 3, 3], &[("dim", dim)], "dw"));
    }
    check(&draw(op, &[7, 1], &[("mode", "eval")], "dw"));
    check(&draw(op, &[2, 3, 2, 2, 3, 2], &[("dim", "4")], "dw"));
    // The lengths as PyTorch keeps them.
    let kept = draw(op, &[4, 3, 2], &[], "dw").f32("g", &[4, 1, 1], &normals(9, 4));
    check(&kept);
}

#[test]
fn largest_singular_values() {
    let op = "spectral_norm";
    check(&draw(op, &[6, 50], &[], ""));
    for dim in ["0", "1", "2", "3"] {
        let twice = [("dim", dim), ("power_iterations", "2")];
        check(&draw(op, &[6, 5, 3, 4], &twice, "dw"));
    }
    let eval = [("mode", "eval"), ("dim", "1"), ("power_iterations", "3")];
    check(&draw(op, &[9, 70, 2], &eval, "dw"));
    let none = [("power_iterations", "0"), ("eps", "1e-6")];
    check(&draw(op, &[40, 7], &none, "dw"));
    check(&draw(op, &[1, 5], &[("power_iterations", "30")], "dw"));
    check(&draw(op, &[5, 1], &[("mode", "train")], "dw"));
    // A u of one row, as some keep it.
    let u = normals(9, 5);
    check(&draw(op, &[5, 8], &[], "dw").f32("u", &[1, 5], &u));
}

#[test]
fn any_request() {
    let mut random = Pcg64::seed_from_u64(5);
    for op in [
        "layer_norm",
        "rms_norm",
        "group_norm",
        "instance_norm",
        "batch_renorm",
        "weight_norm",
        "spectral_norm",
    ] {
        for _ in 0..5 {
            check(&any(op, &mut random));
        }
    }
}

#[test]
fn nothing_in_gives_nothing_out() {
    for (op, metadata) in [
        ("layer_norm", &[][..]),
        ("rms_norm", &[]),
        ("group_norm", &[("num_groups", "3")]),
        ("instance_norm", &[("num_batches_tracked", "8")]),
        ("batch_renorm", &[("r_max", "2"), ("d_max", "1")]),
    ] {
        let averaged = matches!(op, "instance_norm" | "batch_renorm");
        let tensors = if averaged { AVERAGED } else { ALL };
        let request = draw(op, &[0, 6, 5], metadata, tensors);
        let Some(results) = request.results() else {
            return;
        };
        assert!(results.f32("y", &[0, 6, 5]).is_empty(), "{op}");
        assert!(results.f32("dx", &[0, 6, 5]).is_empty(), "{op}");
        for parameter in ["weight", "bias"] {
            let shape = request.shape(parameter);
            let gradient = results.f32(&format!("d{parameter}"), shape);
            assert!(gradient.iter().all(|sum| *sum == 0.0), "{op}: {parameter}");
        }
        if averaged {
            for name in ["running_mean", "running_var"] {
                let after = wide(&results.f32(name, &[6]));
                assert_eq!(after, request.wide(name).unwrap(), "{op}: {name}");
            }
            let before: i64 = request.option("num_batches_tracked", 0);
            assert_eq!(results.num_batches_tracked(), before, "{op}");
        }
        if op == "batch_renorm" {
            assert_eq!(results.f32("mean", &[6]), [0.0; 6]);
            assert_eq!(results.f32("rstd", &[6]), [0.0; 6]);
        }
    }
    let empty = draw("weight_norm", &[3, 0], &[], "dw");
    if let Some(results) = empty.results() {
        assert!(results.f32("w", &[3, 0]).is_empty());
        assert!(results.f32("dv", &[3, 0]).is_empty());
        assert_eq!(results.f32("dg", &[3]), [0.0; 3]);
    }
}

/// A request of any rank, with any options and tensors.
pub(crate) fn any(op: &str, random: &mut Pcg64) -> Request {
    let rank = random.random_range(2..=5);
    let mut shape: Vec<usize> = (0..rank).map(|_| random.random_range(2..12)).collect();
    let mut metadata = vec![(
        "mode",
        ["train", "eval"][random.random_range(0..2)].to_owned(),
    )];
    let mut number = |low: usize, end: usize| random.random_range(low..end.max(low + 1));
    match op {
        "layer_norm" | "rms_norm" => {
            metadata.push(("normalized_dims", number(1, rank + 1).to_string()));
        }
        "weight_norm" | "spectral_norm" => {
            metadata.push(("dim", number(0, rank).to_string()));
        }
        _ => {
            let axis = number(1, rank);
            metadata.push(("channel_axis", axis.to_string()));
            if op == "group_norm" {
                let groups = number(1, 4);
                shape[axis] = groups * number(1, 5);
                metadata.push(("num_groups", groups.to_string()));
            } else if rank == 2 {
                // An instance needs more than one value.
                shape.push(number(2, 12));
            }
        }
    }
    if op == "spectral_norm" {
        metadata.push(("power_iterations", number(0, 4).to_string()));
    } else if op != "weight_norm" {
        metadata.push(("eps", format!("1e-{}", number(1, 6))));
    }
    if op == "batch_renorm" {
        metadata.push(("r_max", format!("{}.5", number(1, 4))));
        metadata.push(("d_max", format!("{}.5", number(0, 4))));
    }
    let averaged = matches!(op, "batch_norm" | "instance_norm" | "batch_renorm");
    let mut tensors = if averaged { "running" } else { "" }.to_owned();
    for tensor in ["weight", "bias", "dy", "dw"] {
        if number(0, 4) > 0 {
            tensors = format!("{tensors} {tensor}");
        }
    }
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|(k, v)| (*k, v.as_str())).collect();
    draw(op, &shape, &metadata, &tensors)
}

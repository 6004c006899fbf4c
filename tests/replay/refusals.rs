//! Requests that are wrong, or that nothing answers yet: exit code 2, one line that names what is
//! wrong, nothing written. None of them needs an adapter, since they are found before one is opened: here there is none.

use safetensors::tensor::Dtype;

use crate::{Request, files, replay, replay_files, replay_without_adapter, scratch};

/// A training step over 6 values in each of 3 channels.
fn valid() -> Request {
    let x: Vec<f32> = (0..18).map(|i| i as f32).collect();
    Request::new(&[], &[2, 3, 3], &x)
        .f32("dy", &[2, 3, 3], &x)
        .f32("weight", &[3], &[1.0; 3])
        .f32("bias", &[3], &[0.0; 3])
        .f32("running_mean", &[3], &[0.0; 3])
        .f32("running_var", &[3], &[1.0; 3])
}

fn assert_refused(request: &Request, what: &str) {
    replay_without_adapter(&request.bytes()).assert_refused(what);
}

#[test]
fn the_request_that_the_others_spoil_is_valid() {
    assert!(
        valid()
            .results()
            .is_none_or(|results| results.names().len() == 9)
    );
}

#[test]
fn without_an_adapter() {
    let ran = replay_without_adapter(&valid().bytes());
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("no adapter found"), "{}", ran.stderr);
    assert!(ran.output.is_none());
}

#[test]
fn ops() {
    assert_refused(&valid().without_meta("op"), "op is missing");
    assert_refused(&valid().meta("op", "bath_norm"), "got \"bath_norm\"");
    let mut without_metadata = valid();
    without_metadata.metadata.clear();
    assert_refused(&without_metadata, "op is missing");
}

#[test]
fn metadata_values() {
    for (key, values) in [
        ("mode", &["", "Train", "test"][..]),
        ("statistics", &["", "none"]),
        ("running_var", &["", "true"]),
        ("activation", &["", "gelu"]),
        (
            "channel_axis",
            &["", "-1", "1.0", "one", "3", "99999999999999999999"],
        ),
        (
            "eps",
            &["", "0", "-1e-5", "NaN", "inf", "1e-60", "1e60", "small"],
        ),
        (
            "momentum",
            &["", "-0.1", "1.1", "nan", "inf", "None", "0,1"],
        ),
        (
            "num_batches_tracked",
            &["", "-1", "1.5", "4294967295", "many"],
        ),
    ] {
        for value in values {
            let ran = replay_without_adapter(&valid().meta(key, value).bytes());
            // An axis that is a number is refused in the library's words.
            let found_late = *value == "3";
            ran.assert_refused(if found_late {
                "3 is the channel axis"
            } else {
                key
            });
            let quoted = format!("{value:?}");
            ran.assert_refused(if found_late { "[2, 3, 3]" } else { &quoted });
        }
    }
}

#[test]
fn keys_and_tensors_of_other_ops() {
    for key in [
        "num_groups",
        "r_max",
        "d_max",
        "normalized_dims",
        "dim",
        "power_iterations",
    ] {
        let message = format!("does not know the key {key:?}");
        assert_refused(&valid().meta(key, "1"), &message);
    }
    assert_refused(&valid().meta("Mode", "train"), "\"Mode\"");
    assert_refused(&valid().meta("two\nlines", ""), "\"two\\nlines\"");
    for tensor in [
        "v",
        "g",
        "dw",
        "u",
        "gamma",
        "num_batches_tracked",
        "two\nlines",
    ] {
        let message = format!("does not know the tensor {tensor:?}");
        assert_refused(&valid().f32(tensor, &[3], &[1.0; 3]), &message);
    }
}

#[test]
fn element_types() {
    for tensor in ["x", "dy", "weight", "bias", "running_mean", "running_var"] {
        let (_, shape, _) = valid().tensors[tensor].clone();
        let bytes = vec![0; 8 * shape.iter().product::<usize>()];
        let types = match tensor {
            "x" | "dy" => "F32, F16 or BF16",
            _ => "F32",
        };
        let double = valid().raw(tensor, Dtype::F64, &shape, bytes);
        assert_refused(
            &double,
            &format!("{tensor}: expected element type {types}, got F64"),
        );
    }
}

#[test]
fn shapes() {
    assert_refused(&valid().without("x"), "x is missing");
    for tensor in ["weight", "bias", "running_mean", "running_var"] {
        let message = format!("{tensor}: expected 3 elements, one per channel of x [2, 3, 3]");
        assert_refused(&valid().f32(tensor, &[2], &[1.0; 2]), &message);
        assert_refused(&valid().f32(tensor, &[4], &[1.0; 4]), "got [4]");
        assert_refused(&valid().f32(tensor, &[0], &[]), "got [0]");
    }
    let dy = valid().f32("dy", &[3, 2, 3], &[0.0; 18]);
    assert_refused(&dy, "dy: expected x's shape [2, 3, 3], got [3, 2, 3]");
    assert_refused(
        &Request::new(&[], &[], &[1.0]),
        "at least 2 dimensions, got []",
    );
    assert_refused(
        &Request::new(&[], &[4], &[1.0; 4]),
        "at least 2 dimensions, got [4]",
    );
    assert_refused(&Request::new(&[], &[4, 0], &[]), "at least 1 channel");
}

#[test]
fn one_value_per_channel() {
    let statistics = Request::new(&[], &[1, 3, 1], &[1.0; 3])
        .f32("running_mean", &[3], &[0.0; 3])
        .f32("running_var", &[3], &[1.0; 3]);
    let message = "expected more than 1 value per channel when training, got input size [1, 3, 1]";
    assert_refused(&statistics, message);
    assert_refused(&statistics.clone().meta("statistics", "running"), message);
    let evaluation = statistics.meta("mode", "eval");
    assert_refused(&evaluation.meta("statistics", "batch"), message);
}

#[test]
fn missing_statistics() {
    assert_refused(&valid().without("running_mean"), "running_mean is missing");
    assert_refused(&valid().without("running_var"), "running_var is missing");
    let neither = valid().without("running_mean").without("running_var");
    assert_refused(
        &neither.clone().meta("mode", "eval"),
        "running_mean is missing",
    );
    let frozen = neither.meta("statistics", "running");
    assert_refused(&frozen, "running_mean is missing");
}

#[test]
fn channels_that_only_an_empty_x_can_claim() {
    for channels in [1 << 40, usize::MAX / 16, usize::MAX] {
        let x = Request::default().meta("op", "batch_norm");
        let ran = replay(&x.raw("x", Dtype::F32, &[0, channels], Vec::new()).bytes());
        if ran.skipped() {
            return;
        }
        // The driver may have written to stderr as well, since only a device knows its limits.
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("exceeds the device's limit"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn arguments_and_files() {
    let folder = scratch();
    let (case, out) = (folder.join("case"), folder.join("out"));
    std::fs::write(&case, valid().bytes()).unwrap();
    for arguments in [&[][..], &[case.as_path()], &[&case, &out, &out]] {
        replay_files(arguments, &out).assert_refused("expected two arguments");
    }
    let nowhere = folder.join("nowhere");
    replay_files(&[&nowhere, &out], &out).assert_refused("nowhere: ");
    let nowhere = folder.join("no\nwhere");
    replay_files(&[&nowhere, &out], &out).assert_refused("no where: ");
    replay_files(&[&folder, &out], &out).assert_refused(&folder.display().to_string());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_failure_leaves_an_older_result_alone() {
    let folder = scratch();
    let (case, out) = (folder.join("case"), folder.join("out"));
    std::fs::write(&case, valid().without("x").bytes()).unwrap();
    std::fs::write(&out, "older").unwrap();
    let ran = replay_files(&[&case, &out], &out);
    assert_eq!((ran.code, ran.output.as_deref()), (2, Some(&b"older"[..])));
    assert_eq!(files(&folder).len(), 2);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
#[cfg(unix)]
fn results_replace_a_file_at_once_and_write_to_a_device() {
    let folder = scratch();
    let (case, out) = (folder.join("case"), folder.join("out"));
    std::fs::write(&case, valid().bytes()).unwrap();
    std::fs::write(&out, "older").unwrap();
    let reader = std::fs::File::open(&out).unwrap();
    let ran = replay_files(&[&case, &out], &out);
    if !ran.skipped() {
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(std::io::read_to_string(reader).unwrap(), "older");
        // By a link of this test's own, lest a mistake replace the device itself.
        let null = folder.join("null");
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        assert_eq!(replay_files(&[&case, &null], &null).code, 0);
        assert!(null.is_symlink());
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn results_that_cannot_be_written() {
    let folder = scratch();
    let case = folder.join("case");
    std::fs::write(&case, valid().bytes()).unwrap();
    let taken = folder.join("taken");
    std::fs::create_dir(&taken).unwrap();
    for out in [&folder.join("nowhere").join("out"), &taken] {
        let ran = replay_files(&[&case, out], out);
        if ran.skipped() {
            break;
        }
        let path = out.display().to_string();
        assert!(
            ran.code == 2 && ran.stderr.contains(&path),
            "{}",
            ran.stderr
        );
        assert_eq!(files(&folder).len(), 2, "{:?}", files(&folder));
    }
    // The case itself may be replaced by its result.
    let ran = replay_files(&[&case, &case], &case);
    assert!(ran.skipped() || ran.code == 0, "{}", ran.stderr);
    std::fs::remove_dir_all(&folder).unwrap();
}

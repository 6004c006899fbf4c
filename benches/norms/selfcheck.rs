//! What of the benchmark itself can be checked without a device; `--test` does it first.

use crate::Outcome;
use crate::args::percent;
use crate::errors::{l2, worst};
use crate::measure::median;
use crate::report::compare::is_slower;
use crate::report::wgpu_version;
use crate::suite::Dims;

pub(crate) fn run() -> Outcome {
    let parse = |text: &str| text.parse::<Dims>().ok().map(|dims| dims.0);
    let refused = [
        "", "n32", "c32n64", "n32c", "n32c0", "32x64", "n3c4h5.6", "nn3", "n9c9é1",
    ];
    let checks = [
        (
            "shapes",
            parse("n32c64h56w56") == Some(vec![32, 64, 56, 56]),
        ),
        ("pairs", parse("n256c1024") == Some(vec![256, 1024])),
        (
            "what is no shape",
            refused.iter().all(|text| parse(text).is_none()),
        ),
        (
            "letters",
            Dims(vec![2, 3, 4, 5, 6]).letters() == "n2c3d4h5w6",
        ),
        (
            "percentages",
            percent("10%") == Ok(0.1) && percent("5") == Ok(0.05),
        ),
        (
            "what is no percentage",
            percent("-1%").is_err() && percent("x").is_err(),
        ),
        (
            "slower",
            is_slower(1.2, 1.0, 0.1) && is_slower(f64::NAN, 1.0, 0.1),
        ),
        (
            "not slower",
            !is_slower(1.05, 1.0, 0.1) && !is_slower(0.5, 1.0, 0.0),
        ),
        (
            "an odd median",
            median(vec![3.0, 1.0, 2.0]).total_cmp(&2.0).is_eq(),
        ),
        (
            "an even median",
            median(vec![4.0, 1.0, 2.0, 3.0]).total_cmp(&2.5).is_eq(),
        ),
        (
            "a NaN is an error",
            l2(&[f32::NAN], &[1.0], &[1.0]).is_infinite(),
        ),
        ("too few results", worst(&[], &[1.0], &[1.0]).is_infinite()),
        ("wgpu's version", wgpu_version().starts_with("30.")),
    ];
    match checks.iter().find(|(_, holds)| !holds) {
        None => Ok(()),
        Some((name, _)) => Err(format!("self check failed: {name}").into()),
    }
}

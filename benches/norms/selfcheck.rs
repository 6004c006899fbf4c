//! What of the benchmark itself can be checked without a device; `--test` does it first.

use crate::Outcome;
use crate::args::percent;
use crate::case::Op;
use crate::errors::{l2, worst};
use crate::measure::median;
use crate::report::compare::is_slower;
use crate::report::wgpu_version;
use crate::suite::Dims;
use crate::tail::{Rates, Tail, allowed_ns};
use crate::way::Way;

type Check = (&'static str, bool);

pub(crate) fn run() -> Outcome {
    let known = arguments().into_iter().chain(numbers());
    let mut checks = known.chain(tails()).chain(ways());
    match checks.find(|(_, holds)| !holds) {
        None => Ok(()),
        Some((name, _)) => Err(format!("self check failed: {name}").into()),
    }
}

fn arguments() -> Vec<Check> {
    let parse = |text: &str| text.parse::<Dims>().ok().map(|dims| dims.0);
    let refused = [
        "",
        "n32",
        "c32n64",
        "n32c",
        "n32c0",
        "32x64",
        "n3c4h5.6",
        "nn3",
        "n9c9\u{e9}1",
    ];
    let image = parse("n32c64h56w56") == Some(vec![32, 64, 56, 56]);
    let letters = Dims(vec![2, 3, 4, 5, 6]).letters() == "n2c3d4h5w6";
    vec![
        ("shapes of images", image),
        (
            "shapes of pairs",
            parse("n256c1024") == Some(vec![256, 1024]),
        ),
        (
            "what is no shape",
            refused.iter().all(|text| parse(text).is_none()),
        ),
        ("letters", letters),
        (
            "percentages",
            percent("10%") == Ok(0.1) && percent("5") == Ok(0.05),
        ),
        (
            "no percentages",
            percent("-1%").is_err() && percent("x").is_err(),
        ),
    ]
}

fn numbers() -> Vec<Check> {
    let is = |value: f64, expected: f64| value.total_cmp(&expected).is_eq();
    vec![
        ("slower", is_slower(1.2, 1.0, 0.1)),
        ("slower by NaN", is_slower(f64::NAN, 1.0, 0.1)),
        (
            "not slower",
            !is_slower(1.05, 1.0, 0.1) && !is_slower(0.5, 1.0, 0.0),
        ),
        ("an odd median", is(median(vec![3.0, 1.0, 2.0]), 2.0)),
        ("an even median", is(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5)),
        (
            "a NaN is an error",
            l2(&[f32::NAN], &[1.0], &[1.0]).is_infinite(),
        ),
        ("too few results", worst(&[], &[1.0], &[1.0]).is_infinite()),
        ("wgpu's version", wgpu_version().starts_with("30.")),
    ]
}

fn tails() -> Vec<Check> {
    let is = |value: f64, expected: f64| (value - expected).abs() < 1e-9;
    let bits = 1.0 / 32.0;
    let rates = Some(Rates {
        load_ns: 80.0,
        store_ns: 20.0,
    });
    let ns = |tail: Tail, op, is_split| tail.extra(op, is_split, bits).ns(rates, 1000.0);
    let both = Tail::ResidualRelu;
    let by_copy = both.extra(Op::Forward, true, bits).ns(None, 100.0);
    vec![
        (
            "an activation moves nothing",
            Op::ALL.iter().all(|&op| is(ns(Tail::Relu, op, true), 0.0)),
        ),
        (
            "a residual is loaded",
            is(ns(Tail::Residual, Op::Inference, false), 80.0),
        ),
        ("bits are stored", is(ns(both, Op::Forward, true), 80.625)),
        (
            "bits are asked for by each dispatch",
            is(ns(both, Op::Backward, true), 25.0) && is(ns(both, Op::Backward, false), 22.5),
        ),
        ("extra bytes by the copy", is(by_copy, 51.5625)),
        ("what is allowed", is(allowed_ns(100.0, 80.0), 185.0)),
    ]
}

fn ways() -> Vec<Check> {
    let moved = |way: Way| Op::ALL.map(|op| way.mask_bytes(op, 100));
    let ideal = |way: Way| Op::ALL.map(|op| way.ideal_mask_bytes(op, 100));
    vec![
        (
            "what has no mask moves none",
            [Way::Whole, Way::Pieces].map(moved) == [[0; 3]; 2],
        ),
        ("what a mask moves", moved(Way::Masked) == [432, 448, 32]),
        (
            "what it cannot do without",
            ideal(Way::Masked) == [400, 400, 16],
        ),
        (
            "pieces have no inference",
            Op::ALL.map(|op| Way::Pieces.has(op)) == [false, true, true],
        ),
    ]
}

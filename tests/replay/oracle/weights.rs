//! The norms of weights.

use std::collections::BTreeMap;

use wgnorm::Shape;
use wgnorm::reference::{SpectralNorm, WeightNorm};

use super::{AllWanted, Wanted};
use crate::{Request, norm};

pub(super) fn weight_norm(request: &Request) -> AllWanted {
    let shape = Shape::from(request.shape("v"));
    let dim = request.option("dim", 0);
    let oracle = WeightNorm { shape: &shape, dim };
    let (v, g) = (request.wide("v").unwrap(), request.wide("g").unwrap());
    let w = Wanted::itself(shape.dims(), oracle.forward(&v, &g));
    let mut all = BTreeMap::from([("w", w)]);
    if let Some(dw) = request.wide("dw") {
        let gradients = oracle.backward(&v, &g, &dw);
        let terms = oracle.magnitudes(&v, &g, &dw);
        let dv = Wanted::all(shape.dims(), gradients.dv, norm(&terms.dv));
        let dg = Wanted::sum(request.shape("g"), gradients.dg, &terms.dg);
        all.extend([("dv", dv), ("dg", dg)]);
    }
    all
}

pub(super) fn spectral_norm(request: &Request) -> AllWanted {
    let shape = Shape::from(request.shape("weight"));
    let oracle = SpectralNorm {
        shape: &shape,
        dim: request.option("dim", 0),
        eps: request.option("eps", 1e-12),
    };
    let iterations = match request.option("mode", "train".to_owned()).as_str() {
        "eval" => 0,
        _ => request.option("power_iterations", 1),
    };
    let (weight, u) = (request.wide("weight").unwrap(), request.wide("u").unwrap());
    let found = oracle.forward(&weight, &u, None, iterations);
    let mut all = BTreeMap::new();
    if let Some(dw) = request.wide("dw") {
        let dweight = oracle.backward(&weight, &found.u, &found.v, &dw);
        let terms = oracle.magnitudes(&weight, &found.u, &found.v, &dw);
        let dweight = Wanted::all(shape.dims(), dweight, norm(&terms));
        all.insert("dweight", dweight);
    }
    // A u that lies across most of the weight leaves little of the first product's terms.
    let start: Vec<f64> = u.iter().map(|value| value / norm(&u)).collect();
    let first = oracle.forward(&weight, &start, None, 0).sigma;
    let terms = norm(&weight) / first;
    let results = [
        ("w", shape.dims(), found.w),
        ("u", request.shape("u"), found.u),
        ("sigma", &[1], vec![found.sigma]),
    ];
    for (name, shape, values) in results {
        let size = terms * norm(&values);
        all.insert(name, Wanted::all(shape, values, size));
    }
    all
}

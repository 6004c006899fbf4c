//! Batch norm with a mask against the plain oracle on what is left of each channel.

use proptest::prelude::*;
use wgnorm::Shape;
use wgnorm::reference::{self, BatchNorm, Gradients, MaskedBatchNorm, Tail};

use crate::{assert_close, normals};

const EPS: f64 = 0.1;

/// The valid elements of one channel as indices into x, found by counting through all dimensions
/// like an odometer, the last one first.
fn valid_of(dims: &[usize], axis: usize, mask: &[bool], channel: usize) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    let mut valid = Vec::new();
    for element in 0..dims.iter().product() {
        let mut place = 0;
        for (d, digit) in index.iter().enumerate().filter(|(d, _)| *d != axis) {
            place = place * dims[d] + digit;
        }
        if index[axis] == channel && mask[place] {
            valid.push(element);
        }
        for (digit, dim) in index.iter_mut().zip(dims).rev() {
            *digit += 1;
            if digit != dim {
                break;
            }
            *digit = 0;
        }
    }
    valid
}

/// A masked layer with all that goes through it, NaN where it is masked.
#[derive(Clone, Debug)]
struct Case {
    dims: Vec<usize>,
    axis: usize,
    mask: Vec<bool>,
    /// Whether given statistics normalize instead of those of the batch.
    by_given: bool,
    relu: bool,
    seed: u64,
}

/// What comes out, of the whole layer or of one channel.
struct Results {
    y: Vec<f64>,
    dresidual: Vec<f64>,
    gradients: Gradients,
    sizes: Gradients,
}

/// A step of a layer with a tail, whichever type the layer has.
macro_rules! results {
    ($case:expr, $layer:expr, $clear:expr, $x:expr, $residual:expr, $dy:expr, $given:expr) => {{
        let (case, layer, [mean, var]) = ($case, $layer, $given);
        let tail = Tail {
            residual: Some($residual),
            relu: case.relu,
        };
        let normed = match case.by_given {
            true => layer.normalize($x, mean, var),
            false => layer.forward($x).y,
        };
        let y = $clear(tail.apply(&normed));
        let dresidual = $clear(tail.gate(&y, $dy));
        let gradients = match case.by_given {
            true => layer.backward_frozen($x, &dresidual, mean, var),
            false => layer.backward($x, &dresidual),
        };
        Results {
            sizes: layer.magnitudes($x, &dresidual),
            y,
            dresidual,
            gradients,
        }
    }};
}

impl Case {
    fn parameter(&self, which: u64) -> Vec<f64> {
        normals(self.seed + which, self.dims[self.axis])
    }

    /// Statistics to be normalized by instead of those of the batch.
    fn given(&self) -> [Vec<f64>; 2] {
        let var = self.parameter(3).iter().map(|v| 0.5 + v * v).collect();
        [self.parameter(2), var]
    }

    /// Values with the shape of x.
    fn values(&self, which: u64) -> Vec<f64> {
        let numel = self.dims.iter().product();
        let drawn = normals(self.seed + which, numel);
        let mut values = vec![f64::NAN; numel];
        for channel in 0..self.dims[self.axis] {
            for element in valid_of(&self.dims, self.axis, &self.mask, channel) {
                values[element] = 2.0 + drawn[element];
            }
        }
        values
    }

    /// The masked layer on all of x.
    fn masked(&self, [x, residual, dy]: &[Vec<f64>; 3]) -> Results {
        let (gamma, beta) = (&self.parameter(0)[..], &self.parameter(1)[..]);
        let layer = BatchNorm {
            shape: &Shape::from(self.dims.clone()),
            axis: self.axis,
            gamma: Some(gamma),
            beta: Some(beta),
            eps: EPS,
        };
        let mask = &self.mask;
        let masked = MaskedBatchNorm { layer, mask };
        let clear = |values: Vec<f64>| masked.clear(&values);
        results!(self, masked, clear, x, residual, dy, &self.given())
    }

    /// The plain layer on what is left of one channel.
    fn channel(&self, c: usize, [x, residual, dy]: [Vec<f64>; 3]) -> Results {
        let layer = BatchNorm {
            shape: &Shape::from([x.len(), 1]),
            axis: 1,
            gamma: Some(&[self.parameter(0)[c]]),
            beta: Some(&[self.parameter(1)[c]]),
            eps: EPS,
        };
        let nothing_to_clear = |values| values;
        let given = self.given().map(|statistic| vec![statistic[c]]);
        results!(self, layer, nothing_to_clear, &x, &residual, &dy, &given)
    }

    /// Holds the masked layer against the plain one on one channel after the other.
    fn check(&self) {
        let inputs = [10, 11, 12].map(|which| self.values(which));
        let got = self.masked(&inputs);
        let mut masked = vec![true; inputs[0].len()];
        for c in 0..self.dims[self.axis] {
            let elements = valid_of(&self.dims, self.axis, &self.mask, c);
            let take = |all: &Vec<f64>| -> Vec<f64> { elements.iter().map(|&i| all[i]).collect() };
            let expected = self.channel(c, inputs.each_ref().map(take));
            for (name, got, expected) in [
                ("y", &got.y, &expected.y),
                ("dresidual", &got.dresidual, &expected.dresidual),
                ("dx", &got.gradients.dx, &expected.gradients.dx),
                ("the terms of dx", &got.sizes.dx, &expected.sizes.dx),
            ] {
                let name = format!("{name} of channel {c} of {self:?}");
                assert_close(&name, &take(got), expected, 1e-13);
            }
            for (name, got, expected) in [
                ("gradients", &got.gradients, &expected.gradients),
                ("terms", &got.sizes, &expected.sizes),
            ] {
                let name = format!("parameters' {name} of channel {c} of {self:?}");
                let got = [got.dgamma[c], got.dbeta[c]];
                assert_close(&name, &got, &[expected.dgamma[0], expected.dbeta[0]], 1e-13);
            }
            for element in elements {
                masked[element] = false;
            }
        }
        for (element, _) in masked.iter().enumerate().filter(|(_, masked)| **masked) {
            for values in [&got.y, &got.dresidual, &got.gradients.dx, &got.sizes.dx] {
                assert_eq!(
                    values[element].to_bits(),
                    0,
                    "element {element} of {self:?}"
                );
            }
        }
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let dims = prop::collection::vec(1_usize..5, 2..6);
    let options = (any::<bool>(), any::<bool>(), 0_u64..1 << 32);
    let chosen = (dims, any::<prop::sample::Index>(), 0.0..=1.0, options);
    chosen.prop_flat_map(|(dims, axis, share, (by_given, relu, seed))| {
        let axis = axis.index(dims.len());
        let places = dims.iter().product::<usize>() / dims[axis];
        let mask = prop::collection::vec(prop::bool::weighted(share), places);
        mask.prop_map(move |mask| Case {
            dims: dims.clone(),
            axis,
            mask,
            by_given,
            relu,
            seed,
        })
    })
}

proptest! {
    #[test]
    fn a_masked_batch_is_the_batch_of_what_is_left(case in cases()) {
        case.check();
    }

    #[test]
    fn statistics_are_those_of_what_is_left(case in cases()) {
        let shape = &Shape::from(case.dims.clone());
        let layer = BatchNorm { shape, axis: case.axis, gamma: None, beta: None, eps: EPS };
        let masked = MaskedBatchNorm { layer, mask: &case.mask };
        let x = case.values(10);
        let (forward, moments) = (masked.forward(&x), masked.moments(&x));
        prop_assert_eq!(moments.n, case.mask.iter().filter(|valid| **valid).count());
        for c in 0..case.dims[case.axis] {
            let elements = valid_of(&case.dims, case.axis, &case.mask, c);
            let taken: Vec<f64> = elements.iter().map(|&i| x[i]).collect();
            let expected = reference::moments(&taken, &Shape::from([taken.len(), 1]), 1);
            for (got, expected) in [
                (forward.mean[c], expected.mean[0]),
                (moments.mean[c], expected.mean[0]),
                (forward.var[c], expected.var[0]),
                (moments.var[c], expected.var[0]),
                (forward.rstd[c], 1.0 / (expected.var[0] + EPS).sqrt()),
            ] {
                let close = approx::relative_eq!(got, expected, epsilon = 1e-13);
                prop_assert!(close || got.is_nan() && taken.is_empty(), "{got}, {expected}");
            }
        }
    }
}

//! The norm as one multiplication and one addition.

use wgnorm::folding::Frozen;
use wgnorm::{Shape, reference};

use crate::{norm, normals, wide};

/// The largest error of `x * scale + shift` in f32, where x is spread around the means by `std`,
/// in units of |gamma| * (1 + |mean| / std) + |beta|.
fn worst(frozen: &Frozen, seed: u64) -> f64 {
    let c = frozen.channels();
    let shape = Shape::from([200, c]);
    let channels: Vec<usize> = reference::channels(&shape, 1).collect();
    let spread = normals(seed, 0, shape.numel());
    let x: Vec<f32> = channels
        .iter()
        .zip(&spread)
        .map(|(&c, spread)| frozen.mean[c] + spread * frozen.var[c].sqrt())
        .collect();
    let (gamma, beta) = (
        frozen.gamma.as_deref().map(wide),
        frozen.beta.as_deref().map(wide),
    );
    let norm = reference::BatchNorm {
        shape: &shape,
        axis: 1,
        gamma: gamma.as_deref(),
        beta: beta.as_deref(),
        eps: frozen.eps,
    };
    let want = norm.normalize(&wide(&x), &wide(&frozen.mean), &wide(&frozen.var));
    let folded = frozen.scale_shift().unwrap();
    let errors = channels.iter().zip(&x).zip(&want).map(|((&c, x), want)| {
        let got = f64::from(x * folded.scale[c] + folded.shift[c]);
        let gamma = gamma.as_ref().map_or(1.0, |gamma| gamma[c].abs());
        let beta = beta.as_ref().map_or(0.0, |beta| beta[c].abs());
        let ratio =
            f64::from(frozen.mean[c].abs()) / (f64::from(frozen.var[c]) + frozen.eps).sqrt();
        (got - want).abs() / (gamma * (1.0 + ratio) + beta)
    });
    errors.fold(0.0, f64::max)
}

#[test]
fn every_choice_of_parameters_agrees() {
    for choice in 0..4 {
        let frozen = norm(choice, 40, choice & 1 != 0, choice & 2 != 0);
        let worst = worst(&frozen, choice);
        assert!(worst <= 1e-6, "off by {worst:e}");
    }
}

#[test]
fn the_error_grows_with_the_ratio_as_its_docs_say() {
    for ratio in [1e1_f32, 1e3, 1e5] {
        let mut frozen = norm(1, 40, true, true);
        frozen.eps = 1e-12;
        frozen.mean = frozen.var.iter().map(|var| ratio * var.sqrt()).collect();
        let worst = worst(&frozen, 2);
        assert!(worst <= 4e-7, "off by {worst:e} at a ratio of {ratio:e}");
    }
}

#[test]
fn the_mean_becomes_beta_but_for_the_rounding_of_the_shift() {
    // A shift of the unrounded scale would be off by the scale's rounding times the mean as well,
    // where a fused multiplication and addition makes no error of its own.
    let frozen = norm(3, 64, true, true);
    let folded = frozen.scale_shift().unwrap();
    let beta = frozen.beta.as_ref().unwrap();
    for (c, beta) in beta.iter().enumerate() {
        let (scale, shift) = (f64::from(folded.scale[c]), f64::from(folded.shift[c]));
        let error = f64::from(frozen.mean[c]) * scale + shift - f64::from(*beta);
        let half_a_unit = 2.0_f64.powi(-24) * shift.abs();
        assert!(
            error.abs() <= 1.000_001 * half_a_unit,
            "channel {c}: {error:e}"
        );
    }
}

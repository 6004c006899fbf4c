//! How far a result is from float64, and how far it may be.

/// y, dx, rstd and running variance: relative L2. One f32 rounding is 6e-8.
pub(crate) const L2: f64 = 3e-7;
/// y and dx where 16 bits store them.
pub(crate) const F16_L2: f64 = 1e-3;
pub(crate) const BF16_L2: f64 = 8e-3;
/// mean and running mean, by |mean| + std; dgamma and dbeta, by the sum of their terms' sizes.
pub(crate) const SUM: f64 = 2e-7;
/// dgamma and dbeta over all channels where they do not cancel: relative L2.
pub(crate) const SUM_L2: f64 = 1e-6;

/// The L2 norm of the error by that of `sizes`; NaN anywhere counts as infinite.
pub(crate) fn l2(got: &[f32], want: &[f64], sizes: &[f64]) -> f64 {
    let errors = got.iter().zip(want).map(|(g, w)| f64::from(*g) - w);
    let error = norm(errors);
    if got.len() != want.len() {
        return f64::INFINITY;
    }
    ratio(error, norm(sizes.iter().copied()))
}

/// The largest error by its own size.
pub(crate) fn worst(got: &[f32], want: &[f64], sizes: &[f64]) -> f64 {
    if got.len() != want.len() {
        return f64::INFINITY;
    }
    let errors = got.iter().zip(want).zip(sizes);
    errors
        .map(|((g, w), s)| ratio((f64::from(*g) - w).abs(), *s))
        .fold(0.0, f64::max)
}

/// The L2 norm.
pub(crate) fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

fn ratio(error: f64, size: f64) -> f64 {
    if error == 0.0 {
        return 0.0;
    }
    let ratio = error / size;
    if ratio.is_finite() {
        ratio
    } else {
        f64::INFINITY
    }
}

//! What may follow a norm in the same step: a residual that is added, and an activation.

use super::expect_len;

/// The tail of any norm of activations, `y = act(normed + residual)`, where `normed` is what the
/// norm gives, and act is relu or nothing.
///
/// A tail knows no norm. Its forward takes what the norm's forward gave, and its backward makes of
/// dy what the norm's backward takes for dy, which is the gradient of the residual too:
///
/// ```
/// use wgnorm::{Shape, reference};
///
/// let shape = Shape::from([2, 1]);
/// let layer = reference::BatchNorm {
///     shape: &shape,
///     axis: 1,
///     gamma: None,
///     beta: None,
///     eps: 9.0,
/// };
/// let residual = [0.5, -1.0];
/// let tail = reference::Tail {
///     residual: Some(&residual),
///     relu: true,
/// };
/// let x = [1.0, 9.0]; // normed: -0.8 and 0.8
/// let y = tail.apply(&layer.forward(&x).y);
/// assert_eq!(y, [0.0, 0.0]);
///
/// let dresidual = tail.gate(&y, &[3.0, 4.0]);
/// assert_eq!(dresidual, [0.0, 0.0]);
/// let gradients = layer.backward(&x, &dresidual);
/// assert_eq!(gradients.dbeta, [0.0]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tail<'a> {
    /// What is added to the norm's result (the shape of x); none adds nothing.
    pub residual: Option<&'a [f64]>,
    /// Whether the activation is relu. If not, there is none.
    pub relu: bool,
}

impl Tail<'_> {
    /// The forward: `normed + residual`, of which relu turns what is negative into 0. NaN stays.
    ///
    /// # Panics
    ///
    /// If the residual has another length than `normed`.
    #[must_use]
    pub fn apply(&self, normed: &[f64]) -> Vec<f64> {
        let mut y = normed.to_vec();
        if let Some(residual) = self.residual {
            expect_len("residual", residual.len(), normed.len());
            for (y, residual) in y.iter_mut().zip(residual) {
                *y += residual;
            }
        }
        if self.relu {
            for y in &mut y {
                if *y < 0.0 {
                    *y = 0.0;
                }
            }
        }
        y
    }

    /// The backward: dy where the gate is open, which is everywhere without relu and where `y > 0`
    /// with it, and 0 elsewhere. At `y = 0` the gate is closed, as PyTorch has it, and at NaN too.
    ///
    /// This is the gradient of Σ dy·y with respect to the residual, and with respect to the norm's
    /// result. `y` is what [`apply`](Self::apply) gave, or what a device did, whose rounding may
    /// have opened the gate where float64 closes it.
    ///
    /// # Panics
    ///
    /// If the two lengths differ.
    #[must_use]
    pub fn gate(&self, y: &[f64], dy: &[f64]) -> Vec<f64> {
        expect_len("dy", dy.len(), y.len());
        let mut gated = Vec::with_capacity(dy.len());
        for (y, dy) in y.iter().zip(dy) {
            let open = !self.relu || *y > 0.0;
            gated.push(if open { *dy } else { 0.0 });
        }
        gated
    }
}

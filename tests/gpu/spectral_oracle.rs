//! Spectral norm in plain float64 loops, until `wgnorm::reference` has it: to be replaced by that.

use wgnorm::Shape;

/// W by rows, whatever dimension of the weight they lie along.
pub(crate) struct Matrix {
    shape: Shape,
    dim: usize,
    rows: Vec<Vec<f64>>,
}

/// What a forward gives.
pub(crate) struct Forward {
    pub(crate) w: Vec<f64>,
    pub(crate) u: Vec<f64>,
    pub(crate) v: Vec<f64>,
    pub(crate) sigma: f64,
}

const EPS: f64 = 1e-12;

fn normalize(vector: &[f64]) -> Vec<f64> {
    let norm = dot(vector, vector).sqrt().max(EPS);
    vector.iter().map(|value| value / norm).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Matrix {
    pub(crate) fn new(weight: &[f64], shape: &Shape, dim: usize) -> Self {
        let height = shape.dims()[dim];
        let mut rows = vec![Vec::new(); height];
        for (i, &value) in weight.iter().enumerate() {
            rows[row_of(i, shape, dim)].push(value);
        }
        let shape = shape.clone();
        Self { shape, dim, rows }
    }

    /// Back in the weight's order.
    fn flat(&self, rows: &[Vec<f64>]) -> Vec<f64> {
        let mut next = vec![0; rows.len()];
        (0..self.shape.numel())
            .map(|i| {
                let row = row_of(i, &self.shape, self.dim);
                next[row] += 1;
                rows[row][next[row] - 1]
            })
            .collect()
    }

    fn times_rows(&self, u: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.rows[0].len()];
        for (row, u) in self.rows.iter().zip(u) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value * u;
            }
        }
        sums
    }

    fn times_columns(&self, v: &[f64]) -> Vec<f64> {
        self.rows.iter().map(|row| dot(row, v)).collect()
    }

    pub(crate) fn forward(&self, u: &[f64], v: &[f64], iterations: u32) -> Forward {
        let (mut u, mut v) = (u.to_vec(), v.to_vec());
        for _ in 0..iterations {
            v = normalize(&self.times_rows(&u));
            u = normalize(&self.times_columns(&v));
        }
        let sigma = dot(&u, &self.times_columns(&v));
        let divided: Vec<Vec<f64>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|value| value / sigma).collect())
            .collect();
        Forward {
            w: self.flat(&divided),
            u,
            v,
            sigma,
        }
    }

    pub(crate) fn backward(&self, u: &[f64], v: &[f64], sigma: f64, dw: &[f64]) -> Vec<f64> {
        let gradient = Self::new(dw, &self.shape, self.dim);
        let pairs = gradient.rows.iter().zip(&self.rows);
        let along: f64 = pairs.map(|(dw, w)| dot(dw, w)).sum::<f64>() / sigma;
        let rows: Vec<Vec<f64>> = gradient
            .rows
            .iter()
            .zip(u)
            .map(|(dw, u)| {
                let pairs = dw.iter().zip(v);
                pairs.map(|(dw, v)| (dw - along * u * v) / sigma).collect()
            })
            .collect();
        self.flat(&rows)
    }
}

/// The row of W that element i of the weight lies in.
fn row_of(i: usize, shape: &Shape, dim: usize) -> usize {
    let behind: usize = shape.dims()[dim + 1..].iter().product();
    i / behind % shape.dims()[dim]
}

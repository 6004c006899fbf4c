//! Cases with random values, and their files.

use wgnorm::Shape;
use wgnorm::reference;

use crate::{Request, normals, wide};

/// A case by what is special about it.
pub(crate) struct Case {
    pub(crate) shape: &'static [usize],
    pub(crate) metadata: &'static [(&'static str, &'static str)],
    /// Of weight, bias, running and dy.
    pub(crate) tensors: &'static str,
    /// How far the channels lie from 0.
    pub(crate) offset: f32,
}

/// The file of a case, with the values that the reference needs.
pub(crate) struct Inputs {
    pub(crate) request: Request,
    pub(crate) x: Vec<f64>,
    pub(crate) dy: Vec<f64>,
    pub(crate) weight: Option<Vec<f64>>,
    pub(crate) bias: Option<Vec<f64>>,
    pub(crate) running_mean: Vec<f64>,
    pub(crate) running_var: Vec<f64>,
}

impl Case {
    pub(crate) fn option<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        let given = self.metadata.iter().find(|(name, _)| *name == key);
        given.map_or(default, |(_, value)| value)
    }

    pub(crate) fn has(&self, tensor: &str) -> bool {
        self.tensors.split(' ').any(|name| name == tensor)
    }

    pub(crate) fn axis(&self) -> usize {
        self.option("channel_axis", "1").parse().unwrap()
    }

    pub(crate) fn channels(&self) -> usize {
        self.shape[self.axis()]
    }

    pub(crate) fn inputs(&self) -> Inputs {
        let shape = Shape::from(self.shape);
        let channels = self.channels();
        let mut x = normals(1, shape.numel());
        for (x, c) in x.iter_mut().zip(reference::channels(&shape, self.axis())) {
            *x = self.offset + c as f32 + *x * (1.0 + 0.5 * c as f32);
        }
        let dy = normals(2, shape.numel());
        let (weight, bias) = (normals(3, channels), normals(4, channels));
        let mean: Vec<f32> = normals(5, channels);
        let mean: Vec<f32> = mean.iter().map(|mean| self.offset + mean).collect();
        let var: Vec<f32> = normals(6, channels).iter().map(|v| 0.5 + v * v).collect();
        let mut request = Request::new(self.metadata, self.shape, &x);
        for (tensor, name, values) in [
            ("weight", "weight", &weight),
            ("bias", "bias", &bias),
            ("running", "running_mean", &mean),
            ("running", "running_var", &var),
        ] {
            if self.has(tensor) {
                request = request.f32(name, &[channels], values);
            }
        }
        if self.has("dy") {
            request = request.f32("dy", self.shape, &dy);
        }
        Inputs {
            request,
            x: wide(&x),
            dy: wide(&dy),
            weight: self.has("weight").then(|| wide(&weight)),
            bias: self.has("bias").then(|| wide(&bias)),
            running_mean: wide(&mean),
            running_var: wide(&var),
        }
    }
}

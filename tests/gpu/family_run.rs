//! A case of any norm on the GPU: guarded tensors in, what came out.

use wgnorm::functional::{self, Backward, Forward, NormOptions, Running};
use wgnorm::{DType, Device, Shape, Statistics, Wanted};

use crate::family_case::{Case, Inputs, Norm, Values, with_options};
use crate::guarded::Guarded;

/// Where a run writes y and dx.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In tensors of their own.
    Apart,
    /// y in the place of x, and dx too.
    OnX,
    /// y in the place of x, and dx in that of dy.
    OnDy,
    /// y in the place of the residual.
    OnResidual,
    /// The residual is x.
    ResidualIsX,
    /// So it is, and y in its place.
    AllOnX,
}

impl Values<f32> {
    /// All bits, since NaN does not equal itself.
    pub(crate) fn bits(&self) -> Vec<u32> {
        let all = [
            &self.y,
            &self.mean,
            &self.rstd,
            &self.running_mean,
            &self.running_var,
            &self.dx,
            &self.dgamma,
            &self.dbeta,
            &self.dresidual,
        ];
        all.into_iter().flatten().map(|v| v.to_bits()).collect()
    }
}

impl Case {
    /// Runs the case, checks canaries and poison, and that a second run gives the same bits.
    pub(crate) fn run(&self, device: &Device, inputs: &Inputs) -> Values<f32> {
        with_options!(&self.norm, options => {
            let first = self.run_once(device, inputs, options, Place::Apart);
            let again = self.run_once(device, inputs, options, Place::Apart);
            assert!(first.bits() == again.bits(), "{self:?}: two runs differ");
            first
        })
    }

    /// Holds runs with several tensors in one place against the bits of one where all lie apart.
    pub(crate) fn check_in_place(&self, device: &Device) {
        let inputs = self.inputs();
        let places = [Place::OnX, Place::OnDy, Place::OnResidual];
        let few = if self.residual { 3 } else { 2 };
        self.check_places(device, &inputs, &places[..few]);
        if self.residual {
            let doubled = Inputs {
                residual: inputs.x.clone(),
                ..inputs
            };
            self.check_places(device, &doubled, &[Place::ResidualIsX, Place::AllOnX]);
        }
    }

    fn check_places(&self, device: &Device, inputs: &Inputs, places: &[Place]) {
        let apart = self.run(device, inputs);
        with_options!(&self.norm, options => {
            for &place in places {
                let within = self.run_once(device, inputs, options, place);
                assert!(within.bits() == apart.bits(), "{self:?}: {place:?}");
            }
        });
    }

    /// The mask as a tensor of x's shape without its channels.
    fn guarded_mask(&self, device: &Device, inputs: &Inputs) -> Guarded {
        let (Norm::Batch(options), Some(_)) = (&self.norm, self.mask) else {
            return Guarded::new(device, &[0], Shape::from([1]), DType::U32);
        };
        let mut dims = self.shape.dims().to_vec();
        dims.remove(options.channel_axis);
        Guarded::new(device, &inputs.mask, Shape::from(dims), DType::U32)
    }

    /// What the backward is asked for.
    pub(crate) fn gradients(&self) -> Wanted {
        Wanted {
            dbeta: self.wanted.dbeta && !matches!(self.norm, Norm::Weight(_)),
            dresidual: self.wanted.dresidual && self.residual,
            ..self.wanted
        }
    }

    /// How many f32 the state needs, or an error where one binding does not hold them.
    pub(crate) fn state_len(&self, device: &Device) -> wgnorm::Result<usize> {
        match &self.norm {
            Norm::Batch(options) if self.mask.is_some() => {
                functional::masked_state_len(device, &self.shape, options)
            }
            norm => with_options!(norm, options => {
                functional::state_len(device, &self.shape, options)
            }),
        }
    }

    fn run_once(
        &self,
        device: &Device,
        inputs: &Inputs,
        options: &impl NormOptions,
        place: Place,
    ) -> Values<f32> {
        let dtype = self.dtype;
        let [x, dy, residual] = [&inputs.x, &inputs.dy, &inputs.residual]
            .map(|v| Guarded::stored(device, v, &self.shape, dtype));
        let [own_y, own_dx, dresidual] =
            [(); 3].map(|()| Guarded::output_of(device, &self.shape, dtype));
        let copy = Guarded::stored(device, &inputs.x, &self.shape, dtype);
        let (forward_x, added, y, dx) = match place {
            Place::Apart => (&x, &residual, &own_y, &own_dx),
            Place::OnX => (&copy, &residual, &copy, &x),
            Place::OnDy => (&copy, &residual, &copy, &dy),
            Place::OnResidual => (&x, &residual, &residual, &own_dx),
            Place::ResidualIsX => (&x, &x, &own_y, &own_dx),
            Place::AllOnX => (&copy, &copy, &copy, &own_dx),
        };
        let [gamma, beta] = [&inputs.gamma, &inputs.beta].map(|v| Guarded::vector(device, v));
        let parameters = Shape::from([inputs.gamma.len()]);
        let [dgamma, dbeta] = [(); 2].map(|()| Guarded::poisoned(device, &parameters));
        let running = [&inputs.running_mean, &inputs.running_var].map(|v| {
            let placeholder = vec![0.0];
            Guarded::vector(device, if v.is_empty() { &placeholder } else { v })
        });
        let tracked = Guarded::new(device, &[3], Shape::from([1]), DType::U32);
        let len = self.state_len(device).unwrap();
        let state = Guarded::poisoned(device, &Shape::from([len]));
        let mask = self.guarded_mask(device, inputs);
        let has_running = !inputs.running_mean.is_empty();
        let wanted = self.gradients();
        let forward = Forward {
            state: Some(&state.tensor),
            gamma: self.gamma.then_some(&gamma.tensor),
            beta: self.beta.then_some(&beta.tensor),
            running: has_running.then_some(Running {
                mean: &running[0].tensor,
                var: &running[1].tensor,
                num_batches_tracked: Some(&tracked.tensor),
            }),
            residual: self.residual.then_some(&added.tensor),
            mask: self.mask.map(|_| &mask.tensor),
            ..Forward::new(&forward_x.tensor, &y.tensor)
        };
        let backward = Backward {
            gamma: self.gamma.then_some(&gamma.tensor),
            dx: wanted.dx.then_some(&dx.tensor),
            dgamma: wanted.dgamma.then_some(&dgamma.tensor),
            dbeta: wanted.dbeta.then_some(&dbeta.tensor),
            beta: self.beta.then_some(&beta.tensor),
            residual: self.residual,
            masked: self.mask.is_some(),
            dresidual: wanted.dresidual.then_some(&dresidual.tensor),
            ..Backward::new(&x.tensor, &dy.tensor, &state.tensor)
        };
        let mut recorder = device.recorder();
        functional::forward(&mut recorder, &forward, options, self.mode).unwrap();
        functional::backward(&mut recorder, &backward, options, self.mode.statistics).unwrap();
        recorder.submit().unwrap();
        for (name, input) in [
            ("x", &x),
            ("dy", &dy),
            ("gamma", &gamma),
            ("beta", &beta),
            ("residual", &residual),
            ("mask", &mask),
        ] {
            let is_output = (std::ptr::eq(input, dx) && wanted.dx) || std::ptr::eq(input, y);
            if !is_output {
                input.expect_untouched(device, name);
            }
        }
        let valid = inputs.mask.iter().filter(|&&valid| valid != 0).count();
        let has_two = self.mask.is_none() || valid >= 2;
        let moved = self.mode.update_running && has_running && has_two;
        assert_eq!(tracked.words(device)[0], 3 + u32::from(moved), "{self:?}");
        let state: Vec<f32> = state
            .words(device)
            .into_iter()
            .map(f32::from_bits)
            .collect();
        let count = match self.mode.statistics {
            Statistics::Running => inputs.running_mean.len(),
            Statistics::Batch => self.statistics().iter().max().map_or(0, |most| most + 1),
        };
        let saved = functional::statistics(&state, count);
        // What is not wanted is not bound either.
        let output = |wanted: bool, gradient: &Guarded| {
            if wanted {
                gradient.output(device)
            } else {
                Vec::new()
            }
        };
        Values {
            y: y.output(device),
            mean: saved.mean,
            rstd: saved.rstd,
            running_mean: running[0].output(device)[..inputs.running_mean.len()].to_vec(),
            running_var: running[1].output(device)[..inputs.running_var.len()].to_vec(),
            dx: output(wanted.dx, dx),
            dgamma: output(wanted.dgamma, &dgamma),
            dbeta: output(wanted.dbeta, &dbeta),
            dresidual: output(wanted.dresidual, &dresidual),
        }
    }
}

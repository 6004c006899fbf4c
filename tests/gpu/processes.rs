//! A batch that two devices share, which see nothing of each other but downloaded moments and sums: what
//! synchronized batch norm does between processes.

use wgnorm::functional::{Backward, Forward};
use wgnorm::moments;
use wgnorm::{BatchNormOptions, DType, Device, Shape, Tensor};

use crate::bounds::{SUM, hold_all, l2, worst};
use crate::case::Case;
use crate::device;
use crate::others::BINDS_4096;

/// One of those who train together, with its part of the batch.
struct Process<'a> {
    device: &'a Device,
    options: BatchNormOptions,
    x: Tensor,
    dy: Tensor,
    y: Tensor,
    dx: Tensor,
    gamma: Tensor,
    state: Tensor,
    channels: usize,
}

impl<'a> Process<'a> {
    fn new(device: &'a Device, case: &Case, shape: &Shape, [x, dy, gamma]: [&[f32]; 3]) -> Self {
        let options = case.options;
        let len = moments::state_len(device, shape, &options).unwrap();
        let empty = |shape: &Shape| device.empty(shape, DType::F32).unwrap();
        Self {
            device,
            options,
            x: device.upload(x, shape).unwrap(),
            dy: device.upload(dy, shape).unwrap(),
            y: empty(shape),
            dx: empty(shape),
            gamma: device.upload(gamma, [gamma.len()]).unwrap(),
            state: empty(&Shape::from([len])),
            channels: gamma.len(),
        }
    }

    fn backward<'t>(&'t self, parameters: Option<[&'t Tensor; 2]>) -> Backward<'t> {
        Backward {
            gamma: Some(&self.gamma),
            dx: parameters.map(|_| &self.dx),
            dgamma: parameters.map(|[dgamma, _]| dgamma),
            dbeta: parameters.map(|[_, dbeta]| dbeta),
            ..Backward::new(&self.x, &self.dy, &self.state)
        }
    }

    fn vectors(&self, values: usize) -> Tensor {
        let shape = [self.channels, values];
        self.device.empty(shape, DType::F32).unwrap()
    }

    /// What it sends of its forward.
    fn own_moments(&self) -> Vec<f32> {
        let own = self.vectors(4);
        let mut step = self.device.recorder();
        moments::partial(&mut step, &self.x, &self.state, &own, &self.options).unwrap();
        step.submit().unwrap();
        self.device.download(&own).unwrap()
    }

    /// The forward, given what all have sent; the statistics that it takes.
    fn forward(&self, gathered: &[f32], all: usize) -> Vec<f32> {
        let shape = [all, self.channels, 4];
        let gathered = self.device.upload(gathered, shape).unwrap();
        let total = self.vectors(4);
        let mut step = self.device.recorder();
        moments::merge(&mut step, &[&gathered], &total).unwrap();
        let state = Some(&self.state);
        moments::finalize(&mut step, &total, None, state, &self.options).unwrap();
        let forward = Forward {
            state,
            gamma: Some(&self.gamma),
            ..Forward::new(&self.x, &self.y)
        };
        moments::normalize(&mut step, &forward, &self.options).unwrap();
        step.submit().unwrap();
        self.device.download(&total).unwrap()
    }

    /// What it sends of its backward.
    fn own_sums(&self) -> Vec<f32> {
        let own = self.vectors(2);
        let mut step = self.device.recorder();
        moments::partial_sums(&mut step, &self.backward(None), &own, &self.options).unwrap();
        step.submit().unwrap();
        self.device.download(&own).unwrap()
    }

    /// The gradients, given what all have sent: dgamma and dbeta of all.
    fn gradients(&self, gathered: &[f32], all: usize) -> [Vec<f32>; 2] {
        let shape = [all, self.channels, 2];
        let gathered = self.device.upload(gathered, shape).unwrap();
        let sums = self.vectors(2);
        let [dgamma, dbeta] = [(); 2].map(|()| self.vectors(1));
        let mut step = self.device.recorder();
        moments::merge_sums(&mut step, &[&gathered], &sums).unwrap();
        let backward = self.backward(Some([&dgamma, &dbeta]));
        moments::backward(&mut step, &backward, &sums, &self.options).unwrap();
        step.submit().unwrap();
        [dgamma, dbeta].map(|gradient| self.device.download(&gradient).unwrap())
    }
}

#[test]
fn two_devices_have_the_statistics_of_both() {
    let (Some(one), Some(other)) = (&device(), &BINDS_4096.get()) else {
        return;
    };
    for (dims, axis) in [([10, 3, 40], 1), ([9, 20, 6], 2)] {
        let case = Case {
            beta: false,
            offset: 1e4,
            ..Case::new(dims, axis)
        };
        let inputs = case.inputs();
        let entry = dims[1] * dims[2];
        let (first, second) = (Shape::from([4, dims[1], dims[2]]), dims[0] - 4);
        let second = Shape::from([second, dims[1], dims[2]]);
        let (x, dy) = (inputs.x.split_at(4 * entry), inputs.dy.split_at(4 * entry));
        let processes = [
            Process::new(one, &case, &first, [x.0, dy.0, &inputs.gamma]),
            Process::new(other, &case, &second, [x.1, dy.1, &inputs.gamma]),
        ];
        let gathered = processes.each_ref().map(Process::own_moments).concat();
        let statistics = processes.each_ref().map(|p| p.forward(&gathered, 2));
        assert_eq!(statistics[0], statistics[1], "{case:?}: they differ");
        let gathered = processes.each_ref().map(Process::own_sums).concat();
        let gradients = processes.each_ref().map(|p| p.gradients(&gathered, 2));
        assert_eq!(gradients[0], gradients[1], "{case:?}: they differ");

        let get = |of: &dyn Fn(&Process<'_>) -> Vec<f32>| -> Vec<f32> {
            processes.iter().flat_map(of).collect()
        };
        let y = get(&|p| p.device.download(&p.y).unwrap());
        let dx = get(&|p| p.device.download(&p.dx).unwrap());
        let want = case.expected(&inputs);
        let [dgamma, dbeta] = &gradients[0];
        let (own, terms) = (&want.gradients, (&want.dgamma_terms, &want.dbeta_terms));
        hold_all(
            &case,
            &[
                ("y", (l2(&y, &want.y, &want.y), 3e-7)),
                ("dx", (l2(&dx, &own.dx, &own.dx), 3e-7)),
                ("dgamma", (l2(dgamma, &own.dgamma, terms.0), SUM)),
                ("dbeta", (worst(dbeta, &own.dbeta, terms.1), SUM)),
            ],
        );
    }
}

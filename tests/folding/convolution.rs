//! A convolution and a transposed one as their definitions read, in float64: one loop per index, over
//! two spatial dimensions. A linear layer is one of a single pixel, and one dimension is a height of 1.

use wgnorm::folding::Layer;

/// What a layer does; a height of 1 has a kernel, stride and dilation of 1 and no padding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    pub(crate) transposed: bool,
    /// How many spatial dimensions its weight has: 0 is a linear layer.
    pub(crate) dims: usize,
    pub(crate) groups: usize,
    /// Input and output channels of each group.
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
}

impl Convolution {
    pub(crate) fn layer(&self) -> Layer {
        match (self.dims, self.transposed) {
            (0, _) => Layer::Linear,
            (_, false) => Layer::Convolution,
            (_, true) => Layer::Transposed {
                groups: self.groups,
            },
        }
    }

    /// The shape of its weight in PyTorch's layout.
    pub(crate) fn weight_shape(&self) -> Vec<usize> {
        let channels = if self.transposed {
            [self.groups * self.inputs, self.outputs]
        } else {
            [self.groups * self.outputs, self.inputs]
        };
        [&channels, &self.kernel[2 - self.dims..]].concat()
    }

    pub(crate) fn channels(&self) -> usize {
        self.groups * self.outputs
    }

    /// Height and width of the output of an input of that height and width.
    pub(crate) fn output(&self, input: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|d| {
            let reach = self.dilation[d] * (self.kernel[d] - 1);
            if self.transposed {
                (input[d] - 1) * self.stride[d] + reach + 1 - 2 * self.padding[d]
            } else {
                (input[d] + 2 * self.padding[d] - reach - 1) / self.stride[d] + 1
            }
        })
    }

    /// Where along dimension d of its output a value of the larger side is met: the input's for a
    /// convolution, the output's for a transposed one. None in the padding.
    fn meets(&self, d: usize, small: usize, tap: usize, large: usize) -> Option<usize> {
        let padded = small * self.stride[d] + tap * self.dilation[d];
        padded.checked_sub(self.padding[d]).filter(|&at| at < large)
    }

    /// The layer on samples of `[groups * inputs, height, width]`; without a bias it is all zeros.
    pub(crate) fn run(
        &self,
        samples: usize,
        size: [usize; 2],
        x: &[f64],
        weight: &[f64],
        bias: &[f64],
    ) -> Vec<f64> {
        let out = self.output(size);
        let area = out[0] * out[1];
        let mut y: Vec<f64> = Vec::new();
        for _ in 0..samples {
            for bias in bias {
                y.extend(vec![*bias; area]);
            }
        }
        // The pixels of the side that is walked over by the stride.
        let [rows, columns] = if self.transposed { size } else { out };
        for sample in 0..samples {
            for group in 0..self.groups {
                for (i, o) in pairs(self.inputs, self.outputs) {
                    let into = (sample * self.groups + group) * self.outputs + o;
                    let from = (sample * self.groups + group) * self.inputs + i;
                    for (row, column) in pairs(rows, columns) {
                        for (tap_y, tap_x) in pairs(self.kernel[0], self.kernel[1]) {
                            let large = if self.transposed { out } else { size };
                            let Some(at_y) = self.meets(0, row, tap_y, large[0]) else {
                                continue;
                            };
                            let Some(at_x) = self.meets(1, column, tap_x, large[1]) else {
                                continue;
                            };
                            let w = weight[self.weight_at(group, i, o, tap_y, tap_x)];
                            let (small, met) = (row * columns + column, at_y * large[1] + at_x);
                            let (to, of) = if self.transposed {
                                (met, small)
                            } else {
                                (small, met)
                            };
                            y[into * area + to] += w * x[from * size[0] * size[1] + of];
                        }
                    }
                }
            }
        }
        y
    }

    fn weight_at(&self, group: usize, i: usize, o: usize, tap_y: usize, tap_x: usize) -> usize {
        let channels = if self.transposed {
            (group * self.inputs + i) * self.outputs + o
        } else {
            (group * self.outputs + o) * self.inputs + i
        };
        (channels * self.kernel[0] + tap_y) * self.kernel[1] + tap_x
    }
}

fn pairs(first: usize, second: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..first).flat_map(move |a| (0..second).map(move |b| (a, b)))
}

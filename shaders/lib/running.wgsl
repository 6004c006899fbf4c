// The running statistics, [C] each; placeholders that nobody reads where a layer has none.
@group(0) @binding(7) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(8) var<storage, read_write> running_var: array<f32>;

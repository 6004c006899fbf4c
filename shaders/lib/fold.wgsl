// What has a value for every sample, folded to one for each gain or channel: `count` of them in each of
// `batches` samples. The host half of Params is src/kernels/params.rs.
struct Params {
    grid_width: u32,
    groups: u32,
    count: u32,
    batches: u32,
    saved: u32, // vectors of the state before the partials
    partials: u32, // of one slot
    slot_step: u32, // partials from a slot to its next
    partial_step: u32, // from one partial of a slot to its next
    eps: f32,
    old_weight: f32,
    new_weight: f32,
    correction: f32, // what a sample's variance is multiplied by for running_var
}
@group(0) @binding(0) var<uniform> params: Params;

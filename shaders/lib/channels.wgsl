// What every channel has some of, folded to one or finished: no kernel of these sees an activation.
// The host half of Params is src/kernels/channels.rs.
struct Params {
    grid_width: u32,
    groups: u32,
    count: u32, // channels
    saved: u32, // vectors of the state before the partials
    parts: u32, // of each channel
    kept: u32, // 1 where what is merged already is one more part
    first: u32, // part of the first channel
    channel_step: u32, // parts from a channel to its next
    part_step: u32, // from one part of a channel to its next
    first_merged: u32, // where the first channel's goes
    eps: f32,
    old_weight: f32,
    new_weight: f32,
    uncounted: f32, // 1 where running_var takes the unbiased variance, else 0
}
@group(0) @binding(0) var<uniform> params: Params;

fn part_index(channel: u32, i: u32) -> u32 {
    return params.first + channel * params.channel_step + i * params.part_step;
}

// Where the state has how many values the statistics of a channel are of.
fn n_index(channel: u32) -> u32 {
    return 1u + params.count + channel;
}

// Adds up the sums (sum dy, sum dy * xhat) of each channel.
// Host half: src/kernels/merge_sums.rs. Lib: channels, workgroup, reduce_*, barrier_*.
//   parts [parts][count], or the partials of a state, each of which is two   read
//   merged [rows][count]                        one row written; read first where it is a part
// Grid: one workgroup per channel.
@group(0) @binding(3) var<storage, read_write> merged: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> parts: array<vec2<f32>>;

fn sums_of(channel: u32, i: u32) -> vec2<f32> {
    if i < params.kept {
        return merged[params.first_merged + channel];
    }
    return parts[part_index(channel, i - params.kept)];
}

// The lane's share of all parts. Sums of 32 stay apart from the total, which keeps the rounding of
// long sums small.
fn share(channel: u32, lane: u32) -> vec2<f32> {
    var total = vec2<f32>(0.0);
    for (var begin = lane; begin < params.parts; begin += 32u * WORKGROUP) {
        var sums = vec2<f32>(0.0);
        let end = min(begin + 32u * WORKGROUP, params.parts);
        for (var i = begin; i < end; i += WORKGROUP) {
            sums += sums_of(channel, i);
        }
        total += sums;
    }
    return total;
}

@compute @workgroup_size(WORKGROUP)
fn merge_sums(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let channel = group_index(group_id);
    if channel >= params.groups {
        return;
    }
    let sums = workgroup_sum(share(channel, here.lane), here);
    if here.lane == 0u {
        merged[params.first_merged + channel] = sums;
    }
}

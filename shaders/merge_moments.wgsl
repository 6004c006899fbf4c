// Merges the moments (n, K, s, q) of each channel into one, see moments.wgsl.
// Host half: src/kernels/merge_moments.rs. Lib: channels, workgroup, reduce_*, barrier_*.
//   parts [parts][count] or the partials of a state   read
//   merged [rows][count]                              one row written; read first where it is a part
// Grid: one workgroup per channel.
// A moment of no values merges as nothing, whatever its pivot. The new pivot is that of the part which
// lies nearest to the mean: so no part that is unlike the others takes it far from there, the sums from
// it cancel little, and those of small integers stay exact, as they would not from a rounded mean.
@group(0) @binding(3) var<storage, read_write> merged: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> parts: array<vec4<f32>>;

// Farther than any pivot is.
const FAR: f32 = 3.4028234e38;

// Each lane's distance and pivot.
var<workgroup> nearest: array<vec2<f32>, WORKGROUP>;

fn moment_of(channel: u32, i: u32) -> vec4<f32> {
    if i < params.kept {
        return merged[params.first_merged + channel];
    }
    return parts[part_index(channel, i - params.kept)];
}

// The pivot nearest to a value of all parts that have any, the first of equals; the same for all lanes.
fn nearest_pivot(channel: u32, lane: u32, wanted: f32) -> f32 {
    var own = vec2<f32>(FAR, 0.0);
    for (var i = lane; i < params.parts; i += WORKGROUP) {
        let part = moment_of(channel, i);
        let distance = abs(part.y - wanted);
        if part.x > 0.0 && distance < own.x {
            own = vec2<f32>(distance, part.y);
        }
    }
    nearest[lane] = own;
    sync();
    var all = nearest[0];
    for (var i = 1u; i < WORKGROUP; i++) {
        if nearest[i].x < all.x {
            all = nearest[i];
        }
    }
    // The next call writes where this one still reads.
    sync();
    return all.y;
}

// A part as seen from another pivot: (n, sum(x - k), sum((x - k)^2)).
fn moved(part: vec4<f32>, k: f32) -> vec3<f32> {
    if !(part.x > 0.0) {
        return vec3<f32>(0.0);
    }
    let off = part.y - k;
    let step = part.x * off;
    return vec3<f32>(part.x, part.z + step, part.w + off * (2.0 * part.z + step));
}

// The lane's share of all parts. Sums of 32 stay apart from the total, which keeps the rounding of
// long sums small.
fn share(channel: u32, lane: u32, k: f32) -> vec3<f32> {
    var total = vec3<f32>(0.0);
    for (var begin = lane; begin < params.parts; begin += 32u * WORKGROUP) {
        var sums = vec3<f32>(0.0);
        let end = min(begin + 32u * WORKGROUP, params.parts);
        for (var i = begin; i < end; i += WORKGROUP) {
            sums += moved(moment_of(channel, i), k);
        }
        total += sums;
    }
    return total;
}

@compute @workgroup_size(WORKGROUP)
fn merge_moments(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let channel = group_index(group_id);
    if channel >= params.groups {
        return;
    }
    let any = nearest_pivot(channel, here.lane, 0.0);
    let about = workgroup_sum(share(channel, here.lane, any).xy, here);
    let mean = any + select(0.0, about.y / about.x, about.x > 0.0);
    let k = nearest_pivot(channel, here.lane, mean);
    let own = share(channel, here.lane, k);
    let sums = workgroup_sum(own.xy, here);
    let squares = workgroup_sum(vec2<f32>(own.z, 0.0), here).x;
    if here.lane == 0u {
        merged[params.first_merged + channel] = vec4<f32>(sums.x, k, sums.y, squares);
    }
}

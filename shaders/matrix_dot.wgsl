// Partial sums of x * dy.
// Host half: src/kernels/matrix_dot.rs. Lib: element_*, io_x*, io_dy*, reduce_*, barrier_*, workgroup,
// matrix.
//   x, dy [total]      read
//   partials [slices]  written
// Grid: one workgroup per slice of the words.
// No geometry: how the matrix lies does not matter here, so that tensors of whole words are read in
// them even where their rows are none.
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;

// The sum over this lane's words. Sums of 128 words, and of 32 such sums, stay apart from the total.
fn lane_sum(share: Share, lane: u32) -> f32 {
    var i = share.begin + lane;
    var sum = Word(0.0);
    while i < share.end {
        let long_end = min(i + 4096u * WORKGROUP, share.end);
        var long = Word(0.0);
        while i < long_end {
            let end = min(i + 128u * WORKGROUP, long_end);
            var part = Word(0.0);
            for (; i < end; i += 2u * WORKGROUP) {
                let exists = i + WORKGROUP < end;
                let next = select(i, i + WORKGROUP, exists);
                let x0 = load_x(i);
                let x1 = load_x(next);
                let dy0 = load_dy(i);
                let dy1 = load_dy(next);
                part += x0 * dy0 + select(Word(0.0), x1 * dy1, exists);
            }
            long += part;
        }
        sum += long;
    }
    return word_sum(sum);
}

@compute @workgroup_size(WORKGROUP)
fn matrix_dot(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let own = lane_sum(share_of(group), here.lane);
    let sum = workgroup_sum(vec2<f32>(own, 0.0), here).x;
    if here.lane == 0u {
        partials[group] = sum;
    }
}

// First dispatch of a backward, split rows: sum dy and sum dy * xhat per slice.
// Host half: src/kernels/backward_sums.rs. Lib: element_*, io_x*, io_dy*, rows, workgroup, state,
// reduce_*.
//   x, dy [outer][count][inner]  read
//   state                        saved statistics read, partial sums written
// Grid: one workgroup per slice, slices of a slot beside each other.
@compute @workgroup_size(WORKGROUP)
fn backward_sums_rows(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group);
    let walk = walk_of(lane, slice);
    let saved = state[saved_index(slice.slot)];
    let k = saved.x;
    let d = saved.y;

    var sum_dy = Word(0.0);
    var sum_dy_x = Word(0.0);
    for (var row = walk.first_row; row < slice.row_end; row += walk.row_step) {
        let base = row_base(slice.slot, row);
        // Sums of at most 64 words of a row stay apart from the total, see moments_rows.wgsl.
        for (var begin = walk.first_word; begin < slice.word_end; begin += 64u * walk.lanes) {
            let end = min(begin + 64u * walk.lanes, slice.word_end);
            var part_dy = Word(0.0);
            var part_dy_x = Word(0.0);
            for (var i = begin; i < end; i += 2u * walk.lanes) {
                let i1 = i + walk.lanes;
                let x0 = load_x(base + i);
                let x1 = load_x(base + within(i1, i, slice));
                let dy0 = load_dy(base + i);
                let dy1 = select(Word(0.0), load_dy(base + within(i1, i, slice)), i1 < slice.word_end);
                let dy1_x = select(Word(0.0), dy1 * ((x1 - k) - d), i1 < slice.word_end);
                part_dy += dy0 + dy1;
                part_dy_x += dy0 * ((x0 - k) - d) + dy1_x;
            }
            sum_dy += part_dy;
            sum_dy_x += part_dy_x;
        }
    }
    let sums = workgroup_sum(vec2<f32>(word_sum(sum_dy), word_sum(sum_dy_x)), lane);
    if lane == 0u {
        // rstd is the slot's, so it leaves the sum.
        state[slot_partial(slice.slot, slice.index)] =
            vec4<f32>(sums.x, sums.y * saved.z, 0.0, 0.0);
    }
}

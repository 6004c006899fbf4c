// Second dispatch of a backward, split rows:
// dx = gamma * rstd * (dy - dbeta / n - xhat * dgamma / n), or gamma * rstd * dy where the running
// statistics normalized. Derivation: src/derivation.md.
// Host half: src/kernels/backward_dx.rs. Lib: element_*, io_x*, io_dy*, io_dx, rows, workgroup, state,
// flags, partial_sums, reduce_*.
//   x, dy, dx [outer][count][inner]  read, read, written; x is not bound (io_x_none) where the
//                                    running statistics normalized
//   state                            saved statistics and partial sums read
//   gamma [count]                    read where there is one
//   dgamma, dbeta [count]            written where wanted
// Grid: one workgroup per slice, last slice first; where dx is not wanted only a slot's first works.
@group(0) @binding(5) var<storage, read_write> gamma: array<f32>;
@group(0) @binding(6) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(7) var<storage, read_write> dbeta: array<f32>;

// (dbeta, dgamma) of the slot from its partials.
fn merge_sums(slot: u32, lane: u32) -> vec2<f32> {
    return workgroup_sum(share_of_sums(slot, lane, WORKGROUP), lane);
}

@compute @workgroup_size(WORKGROUP)
fn backward_dx_rows(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(params.groups - 1u - group);
    if !has(WANT_DX) && slice.index != 0u {
        return;
    }
    let walk = walk_of(lane, slice);
    var sums = vec2<f32>(0.0);
    if !has(USE_RUNNING) || has(WANT_DGAMMA) || has(WANT_DBETA) {
        sums = merge_sums(slice.slot, lane);
    }
    if slice.index == 0u && lane == 0u {
        if has(WANT_DBETA) {
            dbeta[slice.slot] = sums.x;
        }
        if has(WANT_DGAMMA) {
            dgamma[slice.slot] = sums.y;
        }
    }
    if !has(WANT_DX) {
        return;
    }
    let saved = state[saved_index(slice.slot)];
    let k = saved.x;
    let d = saved.y;
    var scale = saved.z;
    if has(HAS_GAMMA) {
        scale *= gamma[slice.slot];
    }
    // Nothing flows through statistics that were not computed from x.
    let from_batch = select(1.0, 0.0, has(USE_RUNNING));
    let mean_dy = from_batch * sums.x / params.n;
    let slope = from_batch * saved.z * sums.y / params.n;
    for (var row = walk.first_row; row < slice.row_end; row += walk.row_step) {
        let base = row_base(slice.slot, row);
        for (var i = walk.first_word; i < slice.word_end; i += 2u * walk.lanes) {
            let i1 = i + walk.lanes;
            let x0 = load_x(base + i);
            let x1 = load_x(base + within(i1, i, slice));
            let dy0 = load_dy(base + i);
            let dy1 = load_dy(base + within(i1, i, slice));
            store_dx(base + i, scale * ((dy0 - mean_dy) - ((x0 - k) - d) * slope));
            if i1 < slice.word_end {
                store_dx(base + i1, scale * ((dy1 - mean_dy) - ((x1 - k) - d) * slope));
            }
        }
    }
}

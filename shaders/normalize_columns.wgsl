// Second dispatch of a training forward and the only one of inference, split columns:
// y = ((x - K) - d) * rstd * gamma + beta.
// Host half: src/kernels/normalize.rs. Lib: element_*, io_x*, io_y, columns, workgroup, state, flags,
// running, moments, partial_moments, statistics, merge_tree.
//   x, y [rows][row_words]     read and written
//   state                      partial moments read, saved statistics written; see SAVE
//   gamma, beta [count]        read where there are any
//   running_mean, running_var  [count] read or moved
// Grid: one workgroup per block of columns and slice of rows, last slice first: what the first
// dispatch read last is still in cache. Each workgroup merges its channels' partials itself.
@group(0) @binding(5) var<storage, read_write> gamma: array<f32>;
@group(0) @binding(6) var<storage, read_write> beta: array<f32>;

var<workgroup> pivots: array<f32, TILE>;

// Merges the partials of every merged column around one pivot, which goes to `pivots`; merge_scratch
// gets (M2, d). The sums give the mean, and only then the squares are taken from it.
fn merge_partials(slice: Slice, lane: u32) {
    let columns = merged_columns();
    let ways = merge_ways();
    for (var i = lane; i < columns; i += WORKGROUP) {
        pivots[i] = slot_pivot(channel_of(slice.first_column + i));
    }
    workgroupBarrier();
    for (var i = lane; i < ways * columns; i += WORKGROUP) {
        let channel = channel_of(slice.first_column + i % columns);
        let k = pivots[i % columns];
        let sum = share_of_moments(channel, i / columns, ways, k, 0.0, false);
        merge_scratch[i] = vec2<f32>(sum, 0.0);
    }
    merge_tree(ways, columns, lane);
    // A lane has at most WIDTH entries of the scratch; d leaves it before M2 comes in.
    var ds: array<f32, 4>;
    for (var j = 0u; j < WIDTH; j++) {
        ds[j] = merge_scratch[(lane + j * WORKGROUP) % columns].x / params.n;
    }
    workgroupBarrier();
    for (var j = 0u; j < WIDTH; j++) {
        let i = lane + j * WORKGROUP;
        if i < ways * columns {
            let channel = channel_of(slice.first_column + i % columns);
            let k = pivots[i % columns];
            let m2 = share_of_moments(channel, i / columns, ways, k, ds[j], true);
            // The tree adds the d of the first copy to nothing but zeros.
            merge_scratch[i] = vec2<f32>(m2, select(0.0, ds[j], i < columns));
        }
    }
    merge_tree(ways, columns, lane);
}

fn merged_moment(column: u32) -> vec4<f32> {
    let merged = merge_scratch[column];
    return vec4<f32>(params.n, pivots[column], merged.y, merged.x);
}

// The first slice's workgroups save the statistics of their channels and move the running ones.
fn finish_channels(slice: Slice, lane: u32) {
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        let channel = slice.first_column + i;
        if channel < params.count {
            if has(SAVE) {
                state[saved_index(channel)] = channel_statistics(channel, i);
            }
            if has(UPDATE_RUNNING) {
                update_running(channel, merged_moment(i));
            }
        }
    }
}

fn channel_statistics(channel: u32, column: u32) -> vec4<f32> {
    if !has(USE_RUNNING) {
        return statistics_of(merged_moment(column));
    }
    if has(UPDATE_RUNNING) {
        return state[saved_index(channel)];
    }
    return running_statistics(channel);
}

@compute @workgroup_size(WORKGROUP)
fn normalize_columns(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(params.groups - 1u - group);
    if !has(USE_RUNNING) || (has(UPDATE_RUNNING) && slice.index == 0u) {
        merge_partials(slice, lane);
    }
    if slice.index == 0u {
        finish_channels(slice, lane);
    }
    let walk = walk_of(slice, lane);
    if walk.row_begin >= walk.row_end {
        return;
    }
    var ks: array<f32, 4>;
    var ds: array<f32, 4>;
    var scales: array<f32, 4>;
    var shifts: array<f32, 4>;
    for (var j = 0u; j < WIDTH; j++) {
        let channel = channel_of(walk.word * WIDTH + j);
        let statistics = channel_statistics(channel, merged_column(lane, j));
        ks[j] = statistics.x;
        ds[j] = statistics.y;
        scales[j] = statistics.z;
        if has(HAS_GAMMA) {
            scales[j] *= gamma[channel];
        }
        if has(HAS_BETA) {
            shifts[j] = beta[channel];
        }
    }
    let k = word_from(ks);
    let d = word_from(ds);
    let scale = word_from(scales);
    let shift = word_from(shifts);
    let step = walk.row_step;
    for (var row = walk.row_begin; row < walk.row_end; row += 4u * step) {
        let row1 = row + step;
        let row2 = row1 + step;
        let row3 = row2 + step;
        let i0 = row * params.row_words + walk.word;
        let i1 = select(row, row1, row1 < walk.row_end) * params.row_words + walk.word;
        let i2 = select(row, row2, row2 < walk.row_end) * params.row_words + walk.word;
        let i3 = select(row, row3, row3 < walk.row_end) * params.row_words + walk.word;
        let x0 = load_x(i0);
        let x1 = load_x(i1);
        let x2 = load_x(i2);
        let x3 = load_x(i3);
        store_y(i0, ((x0 - k) - d) * scale + shift);
        if row1 < walk.row_end {
            store_y(i1, ((x1 - k) - d) * scale + shift);
        }
        if row2 < walk.row_end {
            store_y(i2, ((x2 - k) - d) * scale + shift);
        }
        if row3 < walk.row_end {
            store_y(i3, ((x3 - k) - d) * scale + shift);
        }
    }
}

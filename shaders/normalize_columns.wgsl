// Second dispatch of a training forward and the only one of inference, split columns:
// y = ((x - K) - d) * rstd * gamma + beta.
// Host half: src/kernels/normalize.rs. Lib: element_*, io_x*, io_y, columns, workgroup, state, flags,
// running, moments, statistics, merge_moments.
//   x, y [rows][row_words]     read and written
//   state                      partial moments read, saved statistics written; see SAVE
//   gamma, beta [count]        read where there are any
//   running_mean, running_var  [count] read or moved
// Grid: one workgroup per block of columns and slice of rows, last slice first: what the first
// dispatch read last is still in cache. Each workgroup merges its channels' partials itself.
@group(0) @binding(5) var<storage, read_write> gamma: array<f32>;
@group(0) @binding(6) var<storage, read_write> beta: array<f32>;

// Leaves the moment of every column of this workgroup in the first copy of the scratch.
fn merge_partials(slice: Slice, lane: u32) {
    let columns = merge_columns();
    let ways = select(1u, min(params.copies, params.partials), params.blocks == 1u);
    for (var i = lane; i < ways * columns; i += WORKGROUP) {
        let channel = channel_of(slice.first_column + i % columns);
        var moment = vec4<f32>(0.0);
        for (var p = i / columns; p < params.partials; p += ways) {
            moment = moment_merge(moment, state[channel_partial(channel, p)]);
        }
        merge_scratch[i] = moment;
    }
    merge_tree(ways, columns, lane);
}

// The first slice's workgroups save the statistics of their channels and move the running ones.
fn finish_channels(slice: Slice, lane: u32) {
    for (var i = lane; i < merge_columns(); i += WORKGROUP) {
        let channel = slice.first_column + i;
        if channel < params.count {
            if has(SAVE) {
                state[saved_index(channel)] = channel_statistics(channel, i);
            }
            if has(UPDATE_RUNNING) {
                update_running(channel, merge_scratch[i]);
            }
        }
    }
}

fn channel_statistics(channel: u32, column: u32) -> vec4<f32> {
    if !has(USE_RUNNING) {
        return statistics_of(merge_scratch[column]);
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
    let word = word_of(slice, lane);
    let row_end = lane_row_end(slice, word);
    if row_end == slice.row_begin {
        return;
    }
    var ks: vec4<f32>;
    var ds: vec4<f32>;
    var scales: vec4<f32>;
    var shifts = vec4<f32>(0.0);
    for (var j = 0u; j < WIDTH; j++) {
        let channel = channel_of(word * WIDTH + j);
        let statistics = channel_statistics(channel, merge_column(word, lane, j));
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
    let last = row_end - 1u;
    for (var row = slice.row_begin; row < row_end; row += 4u) {
        let i0 = row * params.row_words + word;
        let i1 = min(row + 1u, last) * params.row_words + word;
        let i2 = min(row + 2u, last) * params.row_words + word;
        let i3 = min(row + 3u, last) * params.row_words + word;
        let x0 = load_x(i0);
        let x1 = load_x(i1);
        let x2 = load_x(i2);
        let x3 = load_x(i3);
        store_y(i0, ((x0 - k) - d) * scale + shift);
        if row + 1u < row_end {
            store_y(i1, ((x1 - k) - d) * scale + shift);
        }
        if row + 2u < row_end {
            store_y(i2, ((x2 - k) - d) * scale + shift);
        }
        if row + 3u < row_end {
            store_y(i3, ((x3 - k) - d) * scale + shift);
        }
    }
}

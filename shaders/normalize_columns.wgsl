// Second dispatch of a training forward and the only one of inference, split columns:
// y = ((x - K) - d) * rstd * gamma + beta.
// Host half: src/kernels/normalize.rs. Lib: element_*, io_x*, io_y, columns, workgroup, state, flags,
// running, moments, statistics, merge_tree.
//   x, y [rows][row_words]     read and written
//   state                      partial moments read, saved statistics written; see SAVE
//   gamma, beta [count]        read where there are any
//   running_mean, running_var  [count] read or moved
// Grid: one workgroup per block of columns and slice of rows, last slice first: what the first
// dispatch read last is still in cache. Each workgroup merges its channels' partials itself.
@group(0) @binding(5) var<storage, read_write> gamma: array<f32>;
@group(0) @binding(6) var<storage, read_write> beta: array<f32>;

var<workgroup> means: array<f32, TILE>;

// Merges the partials of every merged column around its first one's pivot: d goes to `means`, and
// M2, taken from the finished mean, to merge_scratch[].x.
fn merge_partials(slice: Slice, lane: u32) {
    let columns = merged_columns();
    let ways = merge_ways();
    for (var i = lane; i < ways * columns; i += WORKGROUP) {
        let channel = channel_of(slice.first_column + i % columns);
        let k = state[channel_partial(channel, 0u)].y;
        var sum = 0.0;
        for (var p = i / columns; p < params.partials; p += ways) {
            sum += moment_sum(state[channel_partial(channel, p)], k);
        }
        merge_scratch[i] = vec2<f32>(sum, 0.0);
    }
    merge_tree(ways, columns, lane);
    for (var i = lane; i < columns; i += WORKGROUP) {
        means[i] = merge_scratch[i].x / params.n;
    }
    workgroupBarrier();
    for (var i = lane; i < ways * columns; i += WORKGROUP) {
        let channel = channel_of(slice.first_column + i % columns);
        let k = state[channel_partial(channel, 0u)].y;
        let d = means[i % columns];
        var m2 = 0.0;
        for (var p = i / columns; p < params.partials; p += ways) {
            m2 += moment_squares(state[channel_partial(channel, p)], k, d);
        }
        merge_scratch[i] = vec2<f32>(m2, 0.0);
    }
    merge_tree(ways, columns, lane);
}

fn merged_moment(channel: u32, column: u32) -> vec4<f32> {
    let k = state[channel_partial(channel, 0u)].y;
    return vec4<f32>(params.n, k, means[column], merge_scratch[column].x);
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
                update_running(channel, merged_moment(channel, i));
            }
        }
    }
}

fn channel_statistics(channel: u32, column: u32) -> vec4<f32> {
    if !has(USE_RUNNING) {
        return statistics_of(merged_moment(channel, column));
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
        let statistics = channel_statistics(channel, merged_column(word, lane, j));
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

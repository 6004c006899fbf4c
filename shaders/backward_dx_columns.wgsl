// Second dispatch of a backward, split columns:
// dx = gamma * rstd * (dy - dbeta / n - xhat * dgamma / n), or gamma * rstd * dy where the running
// statistics normalized. Derivation: src/derivation.md.
// Host half: src/kernels/backward_dx.rs. Lib: element_*, io_x*, io_dy*, io_dx, columns, workgroup,
// state, flags, partial_sums, merge_tree.
//   x, dy, dx [rows][row_words]  read, read, written; x is not bound (io_x_none) where the running
//                                statistics normalized
//   state                        saved statistics and partial sums read
//   gamma [count]                read where there is one
//   dgamma, dbeta [count]        written where wanted
// Grid: one workgroup per block of columns and slice of rows, last slice first; where dx is not
// wanted only the first slice's work.
@group(0) @binding(5) var<storage, read_write> gamma: array<f32>;
@group(0) @binding(6) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(7) var<storage, read_write> dbeta: array<f32>;

// Leaves (dbeta, dgamma) of every column of this workgroup in the first copy of the scratch.
fn merge_partials(slice: Slice, lane: u32) {
    let columns = merged_columns();
    let ways = merge_ways();
    for (var i = lane; i < ways * columns; i += WORKGROUP) {
        let channel = channel_of(slice.first_column + i % columns);
        merge_scratch[i] = share_of_sums(channel, i / columns, ways);
    }
    merge_tree(ways, columns, lane);
}

fn write_parameters(slice: Slice, lane: u32) {
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        let channel = slice.first_column + i;
        if channel < params.count {
            if has(WANT_DBETA) {
                dbeta[channel] = merge_scratch[i].x;
            }
            if has(WANT_DGAMMA) {
                dgamma[channel] = merge_scratch[i].y;
            }
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward_dx_columns(
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
    let merges = !has(USE_RUNNING) || has(WANT_DGAMMA) || has(WANT_DBETA);
    if merges {
        merge_partials(slice, lane);
    }
    if slice.index == 0u {
        write_parameters(slice, lane);
    }
    let walk = walk_of(slice, lane);
    if !has(WANT_DX) || walk.row_begin >= walk.row_end {
        return;
    }
    var ks: array<f32, 4>;
    var ds: array<f32, 4>;
    var scales: array<f32, 4>;
    // The means of dy and the slopes along x; zero where the statistics were not computed from x.
    var means: array<f32, 4>;
    var slopes: array<f32, 4>;
    for (var j = 0u; j < WIDTH; j++) {
        let channel = channel_of(walk.word * WIDTH + j);
        let saved = state[saved_index(channel)];
        ks[j] = saved.x;
        ds[j] = saved.y;
        scales[j] = saved.z;
        if has(HAS_GAMMA) {
            scales[j] *= gamma[channel];
        }
        if !has(USE_RUNNING) {
            let sums = merge_scratch[merged_column(lane, j)];
            means[j] = sums.x / params.n;
            slopes[j] = saved.z * sums.y / params.n;
        }
    }
    let k = word_from(ks);
    let d = word_from(ds);
    let scale = word_from(scales);
    let mean_dy = word_from(means);
    let slope = word_from(slopes);
    let step = walk.row_step;
    for (var row = walk.row_begin; row < walk.row_end; row += 2u * step) {
        let row1 = row + step;
        let i0 = row * params.row_words + walk.word;
        let i1 = select(row, row1, row1 < walk.row_end) * params.row_words + walk.word;
        let x0 = load_x(i0);
        let x1 = load_x(i1);
        let dy0 = load_dy(i0);
        let dy1 = load_dy(i1);
        store_dx(i0, scale * ((dy0 - mean_dy) - ((x0 - k) - d) * slope));
        if row1 < walk.row_end {
            store_dx(i1, scale * ((dy1 - mean_dy) - ((x1 - k) - d) * slope));
        }
    }
}

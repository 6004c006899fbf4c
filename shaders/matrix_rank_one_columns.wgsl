// dx = (dy - dot / sigma * row_vector * column_vector) / sigma, where dot = sum x * dy: a matrix without
// its part along one of rank one.
// Host half: src/kernels/matrix_rank_one.rs. Lib: element_*, span_*, io_dy*, io_dx, reduce_*, barrier_*,
// workgroup, matrix, matrix_tiles, matrix_dot_sum.
//   dy, dx [outer][rows][row_words]  read and written
//   row_vector [rows]                read
//   column_vector [columns]          read
//   partials [partials]              read: partial sums of x * dy
//   sigma [1]                        read
// Grid: one workgroup per tile of columns and slice of rows, last one first: what the dispatch before
// read last is still in cache. Each adds up the few partial sums itself, which saves a launch.
// For rows of short runs, which are written together with those of the next rows here, where a walk along
// them would share their cache lines with other workgroups and take twice as long on lavapipe.
@group(0) @binding(4) var<storage, read_write> row_vector: array<f32>;
@group(0) @binding(5) var<storage, read_write> column_vector: array<Stored>;
@group(0) @binding(7) var<storage, read_write> sigma: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn matrix_rank_one_columns(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let turned = params.groups - 1u - group;
    let slice = turned / params.tiles;
    let tile = turned - slice * params.tiles;
    let scale = 1.0 / sigma[0];
    let along = dot_of(here) * scale;
    let starts = starts_of(tile, here.lane);
    var columns: array<Word, SPAN>;
    var exists: array<bool, SPAN>;
    for (var j = 0u; j < SPAN; j++) {
        let column = column_of(tile, here.lane, j);
        exists[j] = column < params.columns;
        columns[j] = unpack(column_vector[min(column, params.columns - 1u)]) * along;
    }
    let row_words = params.row_words;
    let step = WORKGROUP / params.tile_lanes;
    let share = share_of(slice);
    let end = share.end;
    for (var row = share.begin + here.lane / params.tile_lanes; row < end; row += ROWS * step) {
        var loaded = array<Word, ROWS * SPAN>();
        for (var i = 0u; i < ROWS * SPAN; i++) {
            let at = row + i / SPAN * step;
            loaded[i] = load_dy(starts[i % SPAN] + select(row, at, at < end) * row_words);
        }
        for (var i = 0u; i < ROWS * SPAN; i++) {
            let at = row + i / SPAN * step;
            if at < end && exists[i % SPAN] {
                let part = row_vector[at] * columns[i % SPAN];
                store_dx(starts[i % SPAN] + at * row_words, (loaded[i] - part) * scale);
            }
        }
    }
}

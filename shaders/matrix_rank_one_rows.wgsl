// dx = (dy - dot / sigma * row_vector * column_vector) / sigma, where dot = sum x * dy: a matrix without
// its part along one of rank one.
// Host half: src/kernels/matrix_rank_one.rs. Lib: element_*, io_dy*, io_dx, reduce_*, barrier_*,
// workgroup, matrix, matrix_walk, matrix_dot_sum.
//   dy, dx [outer][rows][row_words]  read and written
//   row_vector [rows]                read
//   column_vector [columns]          read
//   partials [partials]              read: partial sums of x * dy
//   sigma [1]                        read
// Grid: one workgroup per four rows and slice of their words, last one first: what the dispatch before
// read last is still in cache. Each adds up the few partial sums itself, which saves a launch.
// Long runs of four rows stream through memory; short ones are for the walk down.
@group(0) @binding(4) var<storage, read_write> row_vector: array<f32>;
@group(0) @binding(5) var<storage, read_write> column_vector: array<Stored>;
@group(0) @binding(7) var<storage, read_write> sigma: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn matrix_rank_one_rows(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let turned = params.groups - 1u - group;
    let quad = turned / params.slices;
    let share = share_of(turned - quad * params.slices);
    let first_row = quad * ROWS;
    let scale = 1.0 / sigma[0];
    let along = dot_of(here) * scale;
    let rows = params.rows;
    let starts = row_starts(first_row);
    var weights: array<f32, ROWS>;
    for (var k = 0u; k < ROWS; k++) {
        weights[k] = along * row_vector[min(first_row + k, rows - 1u)];
    }
    let stride = stride_of();
    let end = share.end;
    for (var c = cursor_at(share.begin + here.lane); c.at < end; c = advance(c, stride)) {
        let column = unpack(column_vector[c.at]);
        let at = c.block + c.word;
        var loaded = array<Word, ROWS>();
        for (var k = 0u; k < ROWS; k++) {
            loaded[k] = load_dy(starts[k] + at);
        }
        for (var k = 0u; k < ROWS; k++) {
            if first_row + k < rows {
                store_dx(starts[k] + at, (loaded[k] - weights[k] * column) * scale);
            }
        }
    }
}

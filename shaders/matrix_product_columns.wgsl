// The product of a row vector of norm 1 with a matrix: partial sums of each column.
// Host half: src/kernels/matrix_product.rs. Lib: element_*, span_*, io_x*, reduce_*, barrier_*,
// workgroup, matrix, matrix_norm, matrix_factor, matrix_tiles.
//   x [outer][rows][row_words]  read
//   row_vector [rows]           read; not yet divided by its norm
//   partials [slices][columns]  written, words
//   sums [partials]             read: what the squares of row_vector add up to
// Grid: one workgroup per tile of columns and slice of rows, tiles beside each other.
// Lanes that share a column add up at the end, so that a workgroup leaves one partial of each.
@group(0) @binding(4) var<storage, read_write> row_vector: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<Stored>;

var<workgroup> scratch: array<Word, WORKGROUP>;

// The sums of this lane's columns, in three levels as in matrix_product_rows.wgsl.
fn lane_sums(share: Share, tile: u32, lane: u32) -> array<Word, SPAN> {
    let row_words = params.row_words;
    let step = WORKGROUP / params.tile_lanes;
    let starts = starts_of(tile, lane);
    var row = share.begin + lane / params.tile_lanes;
    var sums: array<Word, SPAN>;
    while row < share.end {
        let long_end = min(row + 1024u * step, share.end);
        var long = array<Word, SPAN>();
        while row < long_end {
            let end = min(row + 32u * step, long_end);
            var part = array<Word, SPAN>();
            for (; row < end; row += ROWS * step) {
                for (var k = 0u; k < ROWS; k++) {
                    let exists = row + k * step < end;
                    let at = select(row, row + k * step, exists);
                    let factor = select(0.0, row_vector[at], exists);
                    for (var j = 0u; j < SPAN; j++) {
                        part[j] += load_x(starts[j] + at * row_words) * factor;
                    }
                }
            }
            for (var j = 0u; j < SPAN; j++) {
                long[j] += part[j];
            }
        }
        for (var j = 0u; j < SPAN; j++) {
            sums[j] += long[j];
        }
    }
    return sums;
}

// Adds up the lanes of each column where there are several, in a tree of fixed order; the first one's
// sum is right.
fn column_sum(own: Word, lane: u32) -> Word {
    scratch[lane] = own;
    sync();
    for (var live = WORKGROUP >> 1u; live >= params.tile_lanes; live = live >> 1u) {
        if lane < live {
            scratch[lane] += scratch[lane + live];
        }
        sync();
    }
    return scratch[lane];
}

@compute @workgroup_size(WORKGROUP)
fn matrix_product_columns(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = group / params.tiles;
    let tile = group - slice * params.tiles;
    var sums = lane_sums(share_of(slice), tile, here.lane);
    if SPAN == 1u {
        sums[0] = column_sum(sums[0], here.lane);
    }
    let scale = factor_scale(here);
    for (var j = 0u; j < SPAN; j++) {
        let column = column_of(tile, here.lane, j);
        if here.lane < params.tile_lanes && column < params.columns {
            partials[slice * params.columns + column] = pack(sums[j] * scale);
        }
    }
}

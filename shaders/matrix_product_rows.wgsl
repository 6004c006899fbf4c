// The product of a matrix with a column vector of norm 1: partial sums of each row.
// Host half: src/kernels/matrix_product.rs. Lib: element_*, io_x*, reduce_*, barrier_*, workgroup,
// matrix, matrix_norm, matrix_factor, matrix_walk.
//   x [outer][rows][row_words]  read
//   column_vector [columns]     read; not yet divided by its norm
//   partials [slices][rows]     written, f32
//   sums [partials]             read: what the squares of column_vector add up to
// Grid: one workgroup per four rows and slice of their words, slices beside each other.
// Four rows are walked at once: a word of the vector costs as much to load as one of the matrix.
@group(0) @binding(4) var<storage, read_write> column_vector: array<Stored>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;

// The sums of this lane's words of each row. Sums of 32 words, and of 32 such sums, stay apart from the
// total: that keeps the rounding of long sums small.
fn lane_sums(share: Share, first_row: u32, lane: u32) -> vec4<f32> {
    let stride = stride_of();
    let starts = row_starts(first_row);
    var c = cursor_at(share.begin + lane);
    var sums: array<Word, ROWS>;
    while c.at < share.end {
        let long_end = min(c.at + 1024u * WORKGROUP, share.end);
        var long = array<Word, ROWS>();
        while c.at < long_end {
            let end = min(c.at + 32u * WORKGROUP, long_end);
            var part = array<Word, ROWS>();
            while c.at < end {
                let factor = unpack(column_vector[c.at]);
                let at = c.block + c.word;
                for (var k = 0u; k < ROWS; k++) {
                    part[k] += load_x(starts[k] + at) * factor;
                }
                c = advance(c, stride);
            }
            for (var k = 0u; k < ROWS; k++) {
                long[k] += part[k];
            }
        }
        for (var k = 0u; k < ROWS; k++) {
            sums[k] += long[k];
        }
    }
    return vec4<f32>(word_sum(sums[0]), word_sum(sums[1]), word_sum(sums[2]), word_sum(sums[3]));
}

@compute @workgroup_size(WORKGROUP)
fn matrix_product_rows(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let quad = group / params.slices;
    let slice = group - quad * params.slices;
    let first_row = quad * ROWS;
    let own = lane_sums(share_of(slice), first_row, here.lane);
    let front = workgroup_sum(own.xy, here);
    let back = workgroup_sum(own.zw, here);
    let scale = factor_scale(here);
    if here.lane == 0u {
        let products = array<f32, ROWS>(front.x, front.y, back.x, back.y);
        for (var k = 0u; k < ROWS; k++) {
            if first_row + k < params.rows {
                partials[slice * params.rows + first_row + k] = products[k] * scale;
            }
        }
    }
}

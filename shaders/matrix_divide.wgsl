// y = x / sigma, and the vectors that sigma is the product with: those of a power iteration get norm 1,
// and sigma is the norm of the last one; those that are FIXED stay.
// Host half: src/kernels/matrix_divide.rs. Lib: element_*, io_x*, io_y, reduce_*, barrier_*, workgroup,
// matrix, matrix_norm.
//   x, y [total]                      read and written
//   row_vector, column_vector         f32: without their norm before, with it afterwards; written alone
//                                     where FIXED
//   sums                              read: partial sums of the squares of both, or of sigma
//   sigma [1]                         written
//   row_state, column_state           f32: written, or read where FIXED
// Grid: one workgroup per slice of the words, which also sees to some elements of the vectors.
// Each workgroup adds up the few partial sums itself, which saves a launch.
@group(0) @binding(4) var<storage, read_write> row_vector: array<f32>;
@group(0) @binding(5) var<storage, read_write> column_vector: array<f32>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;
@group(0) @binding(7) var<storage, read_write> sigma: array<f32>;
@group(0) @binding(8) var<storage, read_write> row_state: array<f32>;
@group(0) @binding(9) var<storage, read_write> column_state: array<f32>;

override FIXED: u32 = 0u;

// The sums of the squares of the row and of the column vector.
fn squares_of(here: Invocation) -> vec2<f32> {
    var share = vec2<f32>(0.0);
    for (var i = here.lane; i < params.row_sums; i += WORKGROUP) {
        share.x += sums[i];
    }
    for (var i = here.lane; i < params.column_sums; i += WORKGROUP) {
        share.y += sums[params.column_sums_at + i];
    }
    return workgroup_sum(share, here);
}

// Sees to this lane's elements of the vectors.
fn keep_vectors(squares: vec2<f32>, first: u32) {
    let step = params.groups * WORKGROUP;
    let row_divisor = divisor_of(squares.x);
    for (var i = first; i < params.rows; i += step) {
        if FIXED == 1u {
            row_vector[i] = row_state[i];
        } else {
            let value = row_vector[i] / row_divisor;
            row_vector[i] = value;
            row_state[i] = value;
        }
    }
    let column_divisor = divisor_of(squares.y);
    for (var i = first; i < params.column_elements; i += step) {
        if FIXED == 1u {
            column_vector[i] = column_state[i];
        } else {
            let value = column_vector[i] / column_divisor;
            column_vector[i] = value;
            column_state[i] = value;
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn matrix_divide(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let squares = squares_of(here);
    var divisor = select(squares.x, squares.y, params.columns_last == 1u);
    if FIXED == 0u {
        // The last vector divided by its norm, times the vector itself.
        divisor = divisor / divisor_of(divisor);
    }
    keep_vectors(squares, group * WORKGROUP + here.lane);
    if group == 0u && here.lane == 0u {
        sigma[0] = divisor;
    }
    let scale = 1.0 / divisor;
    let share = share_of(group);
    let end = share.end;
    for (var i = share.begin + here.lane; i < end; i += 4u * WORKGROUP) {
        let i1 = i + WORKGROUP;
        let i2 = i1 + WORKGROUP;
        let i3 = i2 + WORKGROUP;
        let x0 = load_x(i);
        let x1 = load_x(select(i, i1, i1 < end));
        let x2 = load_x(select(i, i2, i2 < end));
        let x3 = load_x(select(i, i3, i3 < end));
        store_y(i, x0 * scale);
        if i1 < end {
            store_y(i1, x1 * scale);
        }
        if i2 < end {
            store_y(i2, x2 * scale);
        }
        if i3 < end {
            store_y(i3, x3 * scale);
        }
    }
}

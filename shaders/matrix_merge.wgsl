// Adds up the partial results of a product, and the squares of the vector that this gives; or, where
// FIXED, its products with a vector that stays as it is.
// Host half: src/kernels/matrix_merge.rs. Lib: element_*, reduce_*, barrier_*, workgroup, matrix.
//   vector [total]              written, but where FIXED
//   partials [partials][total]  read
//   sums [slices]               written, one by each workgroup
//   fixed [total]               read where FIXED
// Grid: one workgroup per slice of the vector.
// A dispatch of its own: were each workgroup of the next product to merge what it needs, a GPU would
// read the partials some hundred times.
@group(0) @binding(4) var<storage, read_write> vector: array<Stored>;
@group(0) @binding(5) var<storage, read_write> partials: array<Stored>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;
@group(0) @binding(7) var<storage, read_write> fixed: array<Stored>;

override FIXED: u32 = 0u;

fn partial(p: u32, last: u32, i: u32) -> Word {
    let loaded = unpack(partials[min(p, last) * params.total + i]);
    return select(Word(0.0), loaded, p <= last);
}

// Word i of the vector. Sums of 32 partials stay apart from the total, which keeps the rounding of
// long sums small.
fn merged(i: u32) -> Word {
    let last = params.partials - 1u;
    var total = Word(0.0);
    for (var begin = 0u; begin <= last; begin += 32u) {
        let end = min(begin + 31u, last);
        var part = Word(0.0);
        for (var p = begin; p <= end; p += 4u) {
            part += (partial(p, end, i) + partial(p + 1u, end, i))
                + (partial(p + 2u, end, i) + partial(p + 3u, end, i));
        }
        total += part;
    }
    return total;
}

@compute @workgroup_size(WORKGROUP)
fn matrix_merge(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let share = share_of(group);
    var i = share.begin + here.lane;
    var total = 0.0;
    while i < share.end {
        let end = min(i + 64u * WORKGROUP, share.end);
        var part = 0.0;
        for (; i < end; i += WORKGROUP) {
            let value = merged(i);
            if FIXED == 1u {
                part += word_sum(value * unpack(fixed[i]));
            } else {
                vector[i] = pack(value);
                part += word_sum(value * value);
            }
        }
        total += part;
    }
    let sum = workgroup_sum(vec2<f32>(total, 0.0), here).x;
    if here.lane == 0u {
        sums[group] = sum;
    }
}

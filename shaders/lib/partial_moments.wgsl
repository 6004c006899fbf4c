// What becomes of the partial moments of one slot, in either strategy: each provides
// `slot_partial(slot, i)`, where partial i lies, and `slot_partials()`, how many there are.

// The pivot of a whole slot: slices that are nothing like the others do not move it.
fn slot_pivot(slot: u32) -> f32 {
    var samples: array<f32, 10>;
    for (var i = 0u; i < 10u; i++) {
        samples[i] = state[slot_partial(slot, i * slot_partials() / 10u)].y;
    }
    return pivot_of(samples);
}

// The share of partials `first`, `first + ways` and so on of sum(x - k) or, given d, of
// sum((x - mean)^2) of a slot. Sums of 32 partials stay apart from the total, which keeps the
// rounding of long sums small.
fn share_of_moments(slot: u32, first: u32, ways: u32, k: f32, d: f32, squares: bool) -> f32 {
    var total = 0.0;
    for (var begin = first; begin < slot_partials(); begin += 32u * ways) {
        var sum = 0.0;
        let end = min(begin + 32u * ways, slot_partials());
        for (var i = begin; i < end; i += ways) {
            let part = state[slot_partial(slot, i)];
            sum += select(moment_sum(part, k), moment_squares(part, k, d), squares);
        }
        total += sum;
    }
    return total;
}

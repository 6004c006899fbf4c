// What becomes of the partial moments of one statistic, in either strategy: each provides
// `statistic_partial(statistic, i)`, where partial i lies, and `statistic_partials()`, how many there
// are.

// The pivot of a whole statistic: slices that are nothing like the others do not move it.
fn statistic_pivot(statistic: u32) -> f32 {
    var samples: array<f32, 10>;
    for (var i = 0u; i < 10u; i++) {
        samples[i] = state_at(statistic_partial(statistic, i * statistic_partials() / 10u)).y;
    }
    return pivot_of(samples);
}

// The share of partials `first`, `first + ways` and so on of sum(x - k) or, given d, of
// sum((x - mean)^2) of a statistic. Sums of 32 partials stay apart from the total, which keeps the
// rounding of long sums small.
fn share_of_moments(statistic: u32, first: u32, ways: u32, k: f32, d: f32, squares: bool) -> f32 {
    var total = 0.0;
    for (var begin = first; begin < statistic_partials(); begin += 32u * ways) {
        var sum = 0.0;
        let end = min(begin + 32u * ways, statistic_partials());
        for (var i = begin; i < end; i += ways) {
            let part = state_at(statistic_partial(statistic, i));
            sum += select(moment_sum(part, k), moment_squares(part, k, d), squares);
        }
        total += sum;
    }
    return total;
}

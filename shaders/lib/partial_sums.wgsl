// What becomes of the backward's partial sums of one statistic, in either strategy: each provides
// `statistic_partial(statistic, i)`, where partial i lies, `statistic_partials()`, how many there are,
// and `partial_slot(statistic, i)`, the slot that one is of. Uses gains_*.wgsl.

// The share of partials `first`, `first + ways` and so on of the sums of a statistic: (dbeta, dgamma)
// of its slot, or those of all its slots weighed by their gains. Sums of 32 partials stay apart from
// the total, which keeps the rounding of long sums small.
fn share_of_sums(statistic: u32, first: u32, ways: u32) -> vec2<f32> {
    var total = vec2<f32>(0.0);
    for (var begin = first; begin < statistic_partials(); begin += 32u * ways) {
        var sums = vec2<f32>(0.0);
        let end = min(begin + 32u * ways, statistic_partials());
        for (var i = begin; i < end; i += ways) {
            var part = state_at(statistic_partial(statistic, i)).xy;
            if has(GROUPED) && has(HAS_GAMMA) {
                part *= gain(partial_slot(statistic, i));
            }
            sums += part;
        }
        total += sums;
    }
    return total;
}

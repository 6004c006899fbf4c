// What becomes of the backward's partial sums of one slot, in either strategy: each provides
// `slot_partial(slot, i)`, where partial i lies, and `slot_partials()`, how many there are.

// The share of partials `first`, `first + ways` and so on of (dbeta, dgamma) of a slot. Sums of 32
// partials stay apart from the total, which keeps the rounding of long sums small.
fn share_of_sums(slot: u32, first: u32, ways: u32) -> vec2<f32> {
    var total = vec2<f32>(0.0);
    for (var begin = first; begin < slot_partials(); begin += 32u * ways) {
        var sums = vec2<f32>(0.0);
        let end = min(begin + 32u * ways, slot_partials());
        for (var i = begin; i < end; i += ways) {
            sums += state[slot_partial(slot, i)].xy;
        }
        total += sums;
    }
    return total;
}

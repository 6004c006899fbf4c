// num_batches_tracked, which a forward in one dispatch counts up itself.
@group(0) @binding(9) var<storage, read_write> tracked: array<u32>;

fn count_batch() {
    if has(HAS_TRACKED) {
        tracked[0] += 1u;
    }
}

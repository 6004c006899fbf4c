// num_batches_tracked is counted by a dispatch of its own: with a residual there is no binding left.
fn count_batch() {
}

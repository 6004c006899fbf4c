// What flows from h, the gradient by xhat, to x through statistics that were computed from x: h less its
// mean and its slope along x, which is centred. All of h where they were not: there neither x nor the sums
// need be finite. Uses flags.wgsl.
fn flow(h: Word, x: Word, mean_dy: Word, slope: Word) -> Word {
    if has(USE_RUNNING) {
        return h;
    }
    return (h - mean_dy) - x * slope;
}

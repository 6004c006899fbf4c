// x - mean, given x - K, where the mean is K + d. Metal and DirectX compile with fast math and may take
// (x - K) - d for x - (K + d), which loses d where |mean| is far above the standard deviation; an fma they
// leave as it is. Its product is exact, so that the bits are those of (x - K) - d.
fn less(x: Word, d: Word) -> Word {
    return fma(d, Word(-1.0), x);
}

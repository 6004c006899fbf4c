// A partial moment is vec4(n, K, s, q): n values x with s = sum(x - K) and q = sum((x - K)^2)
// around a pivot K. Unlike a mean and a variance these are sums, so small integers stay exact
// however a channel is cut; unlike plain sums of x they keep their accuracy when |mean| is far
// above the standard deviation. What is finished is vec4(n, K, d, M2): the mean is K + d, which is
// never rounded to one f32, and M2 is the sum of squared deviations from it.

fn median3(a: f32, b: f32, c: f32) -> f32 {
    return max(min(a, b), min(max(a, b), c));
}

fn median5(a: f32, b: f32, c: f32, d: f32, e: f32) -> f32 {
    return median3(e, max(min(a, b), min(c, d)), min(max(a, b), max(c, d)));
}

// The pivot of ten samples in order: the middle between the medians of their halves. No outlier
// moves it far, small integers keep it a multiple of a half, and a constant channel gives
// x - K = 0. A NaN may vanish here; it comes back with the x - K that it is part of.
fn pivot_of(v: array<f32, 10>) -> f32 {
    let a = median5(v[0], v[1], v[2], v[3], v[4]);
    let b = median5(v[5], v[6], v[7], v[8], v[9]);
    return a + (b - a) * 0.5;
}

// Sample i of ten among n places: one in each tenth, at a scattered place of it. Even steps would
// fall on one column of an image whose width divides them, and a border is nothing like the rest.
// Scattered by a product, since a software driver takes some 200 cycles for a remainder.
fn sample_at(i: u32, n: u32) -> u32 {
    let scattered = ((i + 1u) * 2654435761u) >> 23u;
    return (i * n + ((scattered * n) >> 9u)) / 10u;
}

// sum(x - k) of a partial, for another pivot k.
fn moment_sum(part: vec4<f32>, k: f32) -> f32 {
    return part.z + part.x * (part.y - k);
}

// sum((x - mean)^2) of a partial, for mean = k + d. Uses state.wgsl.
fn moment_squares(part: vec4<f32>, k: f32, d: f32) -> f32 {
    let off = mean_less(k, d, part.y);
    return part.w - off * (2.0 * part.z - part.x * off);
}

// The mean's distance from the pivot, given the sum of the distances; none where there is no mean, whose
// pivot is 0. Uses flags.wgsl.
fn mean_offset(s: f32, n: f32) -> f32 {
    if has(NO_MEAN) {
        return 0.0;
    }
    return s / n;
}

// The finished moment of a statistic that has one partial only.
fn finished(part: vec4<f32>) -> vec4<f32> {
    let d = mean_offset(part.z, part.x);
    return vec4<f32>(part.x, part.y, d, moment_squares(part, part.y, d));
}

// WGSL allows inverseSqrt an error of 2 ULP; one Newton step takes that to about 1 everywhere, and
// turns a variance that overflowed into NaN instead of a silent rstd of 0. What it adds is small, and so
// is what that rounds away.
fn rsqrt(v: f32) -> f32 {
    let r = inverseSqrt(v);
    return r + (0.5 * r) * (1.0 - (v * r) * r);
}

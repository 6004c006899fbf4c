// A moment is vec4(n, K, d, M2): n values with mean K + d and sum of squared deviations M2.
// K is a pivot, one of the values themselves; keeping d apart from it is what keeps the accuracy
// when |mean| is far above the standard deviation: K + d is never rounded to one f32.

fn median3(a: Word, b: Word, c: Word) -> Word {
    return max(min(a, b), min(max(a, b), c));
}

// The pivot of nine samples: a median of medians, so that no outlier moves it, and one of the
// values, so that sums of small integers stay exact and a constant channel gives x - K = 0.
// A NaN may vanish here; it comes back with the x - K that it is part of.
fn pivot_of(v: array<Word, 9>) -> Word {
    return median3(
        median3(v[0], v[1], v[2]),
        median3(v[3], v[4], v[5]),
        median3(v[6], v[7], v[8]),
    );
}

// The moment of n values from their pivot k, s = sum(x - k) and q = sum((x - k)^2).
fn moment_of(n: f32, k: f32, s: f32, q: f32) -> vec4<f32> {
    if n == 0.0 {
        return vec4<f32>(0.0);
    }
    let d = s / n;
    return vec4<f32>(n, k, d, q - s * d);
}

// Chan, Golub, LeVeque (1979), with both means relative to a's pivot.
fn moment_merge(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    if b.x == 0.0 {
        return a;
    }
    if a.x == 0.0 {
        return b;
    }
    let n = a.x + b.x;
    let delta = ((b.y - a.y) + b.z) - a.z;
    let share = b.x / n;
    return vec4<f32>(n, a.y, a.z + delta * share, a.w + b.w + delta * delta * (a.x * share));
}

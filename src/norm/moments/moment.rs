//! A channel's moment on the host, in float64.

/// The moment of some values: how many they are, and the sums of their distances from a pivot and of the
/// squares of those. On the device it is four f32, see [`moments`](super); here it is read, merged with
/// another process's and written again in float64.
///
/// ```
/// use wgnorm::Moment;
///
/// let here = Moment::of([1.0, 2.0, 6.0]);
/// let there = Moment::of([3.0]); // another process's, which sends its four numbers
/// let all = here.merge(Moment::from_f32(there.to_f32()));
/// assert_eq!((all.n, all.mean(), all.variance()), (4.0, 3.0, 3.5));
/// assert_eq!(all.merge(Moment::default()), all); // no values count as nothing
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// n, the number of values.
    pub n: f64,
    /// K, the pivot: a number among the values.
    pub pivot: f64,
    /// s, the sum of `x - K`.
    pub sum: f64,
    /// q, the sum of `(x - K)²`.
    pub squares: f64,
}

impl Moment {
    /// The moment of these values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let one = |pivot| Self {
            n: 1.0,
            pivot,
            ..Self::default()
        };
        values
            .into_iter()
            .fold(Self::default(), |all, value| all.merge(one(value)))
    }

    /// Reads the device's `(n, K, s, q)`.
    #[must_use]
    pub fn from_f32(values: [f32; 4]) -> Self {
        let [n, pivot, sum, squares] = values.map(f64::from);
        Self {
            n,
            pivot,
            sum,
            squares,
        }
    }

    /// The device's `(n, K, s, q)`, around the f32 nearest to the pivot.
    #[must_use]
    pub fn to_f32(self) -> [f32; 4] {
        let rounded = self.around(f64::from(self.pivot as f32));
        [rounded.n, rounded.pivot, rounded.sum, rounded.squares].map(|value| value as f32)
    }

    /// The moments in a tensor that was downloaded: of every channel, row after row.
    #[must_use]
    pub fn read(values: &[f32]) -> Vec<Self> {
        let moments = values.chunks_exact(4);
        moments
            .map(|m| Self::from_f32([m[0], m[1], m[2], m[3]]))
            .collect()
    }

    /// What to upload for these moments.
    #[must_use]
    pub fn write(moments: &[Self]) -> Vec<f32> {
        moments.iter().flat_map(|moment| moment.to_f32()).collect()
    }

    /// The moment of the values of both, around the pivot that is nearer to their mean.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        if other.n == 0.0 {
            return self;
        }
        if self.n == 0.0 {
            return other;
        }
        let about = self.joined(other.around(self.pivot));
        let offset = |pivot: f64| (about.mean() - pivot).abs();
        if offset(other.pivot) < offset(self.pivot) {
            return other.joined(self.around(other.pivot));
        }
        about
    }

    /// The mean, `K + s / n`; NaN of no values.
    #[must_use]
    pub fn mean(self) -> f64 {
        self.pivot + self.sum / self.n
    }

    /// The biased variance, `q / n - (s / n)²`, which normalizes; NaN of no values.
    #[must_use]
    pub fn variance(self) -> f64 {
        self.deviations() / self.n
    }

    /// The unbiased variance, which has `n - 1` for n; NaN of one value.
    #[must_use]
    pub fn unbiased_variance(self) -> f64 {
        self.deviations() / (self.n - 1.0)
    }

    /// The sum of `(x - mean)²`.
    fn deviations(self) -> f64 {
        self.squares - self.sum * self.sum / self.n
    }

    /// The same values seen from another pivot.
    fn around(self, pivot: f64) -> Self {
        let step = self.pivot - pivot;
        Self {
            n: self.n,
            pivot,
            sum: self.sum + self.n * step,
            squares: self.squares + step * (2.0 * self.sum + self.n * step),
        }
    }

    /// Both, which have one pivot.
    fn joined(self, other: Self) -> Self {
        Self {
            n: self.n + other.n,
            pivot: self.pivot,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;

    #[test]
    fn moments_merge_to_that_of_all_values() {
        let values: Vec<f64> = (0..300).map(|i| f64::from(i * i % 101) + 1e7).collect();
        let mean = values.iter().sum::<f64>() / 300.0;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let parts = values.chunks(77).map(|part| Moment::of(part.to_vec()));
        let sent = parts.map(|part| Moment::from_f32(part.to_f32()));
        let all = sent.fold(Moment::default(), Moment::merge);
        assert!(
            (all.mean() - mean).abs() < 1e-8,
            "{} is not {mean}",
            all.mean()
        );
        assert!((all.variance() * 300.0 / squares - 1.0).abs() < 1e-12);
        assert!((all.unbiased_variance() * 299.0 / squares - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_pivot_follows_the_mean() {
        let far = Moment::of([1e6]);
        let near = Moment::of((0..1000).map(f64::from));
        for all in [far.merge(near), near.merge(far)] {
            assert!(all.pivot < 1e3, "{all:?}");
            let [n, ..] = all.to_f32();
            assert_eq!((n, Moment::read(&all.to_f32()).len()), (1001.0, 1));
        }
    }

    #[test]
    fn a_pivot_that_no_f32_is_is_rounded_and_the_sums_with_it() {
        let moment = Moment::of([1.0 / 3.0, 1.0 / 3.0 + 1e-3]);
        let back = Moment::from_f32(moment.to_f32());
        assert!((back.mean() - moment.mean()).abs() < 1e-10);
        assert!((back.variance() / moment.variance() - 1.0).abs() < 1e-6);
    }
}

//! A channel's moment on the host, in float64.

/// How many values a channel has, their mean and how far they lie from it: all that statistics need of
/// data that may be anywhere. On the device a moment is four f32, see [`moments`](super).
///
/// ```
/// use wgnorm::Moment;
///
/// let here = Moment::of([1.0, 2.0, 6.0]);
/// let there = Moment::of([3.0]); // another process's, as long as it sends its four numbers
/// let all = here.merge(Moment::from_f32(there.to_f32()));
/// assert_eq!((all.n, all.mean, all.variance()), (4.0, 3.0, 3.5));
/// assert_eq!(all.merge(Moment::default()), all); // no values count as nothing
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// The number of values.
    pub n: f64,
    /// Their mean; 0 where there are none.
    pub mean: f64,
    /// The sum of `(x - mean)²` over them.
    pub squares: f64,
}

impl Moment {
    /// The moment of these values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let one = |mean| Self {
            n: 1.0,
            mean,
            squares: 0.0,
        };
        values
            .into_iter()
            .fold(Self::default(), |all, value| all.merge(one(value)))
    }

    /// Reads the device's `(n, K, s, q)`: n values whose distances from the pivot K have the sum s and
    /// the sum of squares q.
    #[must_use]
    pub fn from_f32([n, k, s, q]: [f32; 4]) -> Self {
        if n == 0.0 {
            return Self::default();
        }
        let [n, k, s, q] = [n, k, s, q].map(f64::from);
        Self {
            n,
            mean: k + s / n,
            squares: q - s * s / n,
        }
    }

    /// The moment as the device has it, with the mean's nearest f32 as the pivot.
    #[must_use]
    pub fn to_f32(self) -> [f32; 4] {
        let k = self.mean as f32;
        let offset = self.mean - f64::from(k);
        let s = self.n * offset;
        [
            self.n as f32,
            k,
            s as f32,
            (self.squares + s * offset) as f32,
        ]
    }

    /// The moments of every channel in a tensor of them that was downloaded, row after row.
    #[must_use]
    pub fn read(values: &[f32]) -> Vec<Self> {
        let (moments, _) = values.as_chunks::<4>();
        moments.iter().copied().map(Self::from_f32).collect()
    }

    /// What to upload for these moments.
    #[must_use]
    pub fn write(moments: &[Self]) -> Vec<f32> {
        moments.iter().flat_map(|moment| moment.to_f32()).collect()
    }

    /// The moment of the values of both (Chan, Golub & `LeVeque` 1979).
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let n = self.n + other.n;
        if n == 0.0 {
            return Self::default();
        }
        let apart = other.mean - self.mean;
        let share = other.n / n;
        Self {
            n,
            mean: self.mean + apart * share,
            squares: self.squares + other.squares + apart * apart * self.n * share,
        }
    }

    /// The biased variance, `squares / n`, which normalizes; NaN of no values.
    #[must_use]
    pub fn variance(self) -> f64 {
        self.squares / self.n
    }

    /// The unbiased variance, `squares / (n - 1)`; NaN of one value.
    #[must_use]
    pub fn unbiased_variance(self) -> f64 {
        self.squares / (self.n - 1.0)
    }
}

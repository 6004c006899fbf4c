//! How much memory this process has, and whether it becomes more.

use std::fs;

/// The bytes of this process that lie in memory; `None` where the system does not say.
pub(super) fn resident() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kib)
}

/// How far a series of samples rises: the median of its last tenth less that of its first.
///
/// An allocator goes up in steps, and what is under way comes and goes, so that a single sample is off by
/// megabytes in both directions. A median of many is not, while a leak of any size per step moves it by
/// nine tenths of all that leaks.
pub(super) fn growth(samples: &[i64]) -> i64 {
    let tenth = samples.len() / 10;
    assert!(tenth > 0, "{} samples are no series", samples.len());
    let median = |part: &[i64]| {
        let mut sorted = part.to_vec();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    median(&samples[samples.len() - tenth..]) - median(&samples[..tenth])
}

#[test]
fn growth_is_a_trend_and_no_step() {
    let noise = |i: i64| if i % 7 == 0 { 1_000_000 } else { 0 };
    let flat: Vec<i64> = (0..200).map(|i| 5_000_000 + noise(i)).collect();
    assert_eq!(growth(&flat), 0);
    let leaking: Vec<i64> = (0..200).map(|i| 1000 * i + noise(i)).collect();
    let (least, most) = (160_000, 200_000);
    assert!(
        (least..=most).contains(&growth(&leaking)),
        "{}",
        growth(&leaking)
    );
}

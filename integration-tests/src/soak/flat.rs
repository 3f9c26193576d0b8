//! Whether a figure grows. Pure. A line through noise always has some slope. So the slope is the median over
//! all pairs of samples (Theil and Sen), which outliers do not change. A figure grows only if the lower end
//! of that median's confidence interval (Sen, 95 %) exceeds the allowance.

use super::Sample;

/// Fewest samples of the second half for a verdict.
pub const FEWEST: usize = 8;
/// The normal distribution's two-sided 95 %.
const CONFIDENCE: f64 = 1.96;

/// A figure of the samples, and its allowed growth in the second half.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Name with unit.
    pub name: &'static str,
    /// Reads the figure from a sample.
    pub of: fn(&Sample) -> f64,
    /// Allowed absolute growth.
    pub allowed: f64,
    /// Allowed growth as a share of the median.
    pub share: f64,
}

/// All figures. Descriptors and tasks are counted at rest; two may belong to a task that is just ending.
/// Allocators keep memory and caches fill: 2 MiB and a twentieth. Processes at work are random.
pub const KINDS: [Kind; 4] = [
    Kind { name: "descriptors", of: |sample| sample.descriptors, allowed: 2.0, share: 0.0 },
    Kind { name: "memory, MiB", of: |sample| sample.memory, allowed: 2.0, share: 0.05 },
    Kind { name: "tasks", of: |sample| sample.tasks, allowed: 2.0, share: 0.0 },
    Kind { name: "processes at work", of: |sample| sample.processes, allowed: 2.0, share: 0.0 },
];

/// Verdict on a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Too few samples.
    TooShort,
    /// Growth in the second half is not certainly above the allowance.
    Flat(f64),
    /// Certain growth of at least this much, which is above the allowance.
    Grows(f64),
}

/// Judges the second half.
pub fn judge(kind: &Kind, samples: &[Sample]) -> Verdict {
    let half = samples.last().map_or(0.0, |last| last.at / 2.0);
    let points: Vec<(f64, f64)> = samples
        .iter()
        .filter(|sample| sample.at >= half)
        .map(|sample| (sample.at, (kind.of)(sample)))
        .collect();
    if points.len() < FEWEST {
        return Verdict::TooShort;
    }
    let span = points.last().map_or(0.0, |last| last.0) - points.first().map_or(0.0, |first| first.0);
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_by(f64::total_cmp);
    let usual = values.get(values.len() / 2).copied().unwrap_or_default();
    let (lower, median) = slope(&points);
    if lower * span > kind.allowed + kind.share * usual {
        Verdict::Grows(lower * span)
    } else {
        Verdict::Flat(median * span)
    }
}

/// The lower end of the confidence interval of the slope, and the slope itself.
fn slope(points: &[(f64, f64)]) -> (f64, f64) {
    let mut slopes = Vec::new();
    for (at, one) in points.iter().enumerate() {
        let later = points.iter().skip(at + 1).filter(|other| other.0 > one.0);
        slopes.extend(later.map(|other| (other.1 - one.1) / (other.0 - one.0)));
    }
    slopes.sort_by(f64::total_cmp);
    let count = super::figure(points.len());
    let spread = CONFIDENCE * (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    let lower = ((super::figure(slopes.len()) - spread) / 2.0).max(0.0) as usize;
    let at = |place: usize| slopes.get(place).copied().unwrap_or_default();
    (at(lower), at(slopes.len() / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(count: u32, value: impl Fn(f64) -> f64) -> Vec<Sample> {
        let sample = |at: f64| Sample { at, descriptors: value(at), memory: 0.0, tasks: 0.0, processes: 0.0 };
        (1..=count).map(|at| sample(f64::from(at))).collect()
    }

    #[test]
    fn a_leak_is_detected_through_noise_and_outliers() {
        let noise = |at: f64| (at * 7.3).sin() * 3.0 + if at % 11.0 == 0.0 { 50.0 } else { 0.0 };
        let leaks = samples(200, |at| 20.0 + at * 0.1 + noise(at));
        assert!(matches!(judge(&KINDS[0], &leaks), Verdict::Grows(by) if by > 5.0 && by < 12.0));
        let still = samples(200, |at| 20.0 + noise(at));
        assert!(matches!(judge(&KINDS[0], &still), Verdict::Flat(by) if by.abs() < 1.0));
    }

    #[test]
    fn a_warm_up_is_flat_and_a_short_run_gets_no_verdict() {
        let warms = samples(100, |at| if at < 40.0 { at } else { 40.0 });
        assert_eq!(judge(&KINDS[0], &warms), Verdict::Flat(0.0));
        assert_eq!(judge(&KINDS[0], &samples(10, |at| at * 100.0)), Verdict::TooShort);
        assert_eq!(judge(&KINDS[0], &[]), Verdict::TooShort);
    }
}

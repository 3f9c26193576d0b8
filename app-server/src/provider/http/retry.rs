//! When a request is made again: how often, and after how long. Pure, but for the dice.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::clock::WallMs;
use crate::policy;

/// Which of the two limits a failure counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There was no answer.
    Request,
    /// The answer had begun.
    Stream,
}

/// What is left of both limits.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    request: u32,
    stream: u32,
    done: u32,
}

impl Retries {
    /// None was used.
    pub fn new(request: u32, stream: u32) -> Self {
        Self { request, stream, done: 0 }
    }

    /// How often it was tried again.
    pub fn done(&self) -> u32 {
        self.done
    }

    /// How long to wait before the next try; `None` when there is none any more, or the wait would be too long. `asked` is what the provider wants, `dice` is
    /// between 0 and 1.
    pub fn next(&mut self, phase: Phase, asked: Option<Duration>, dice: f64) -> Option<Duration> {
        if asked.is_some_and(|asked| asked > policy::MODEL_RETRY_AFTER_MOST) {
            return None;
        }
        let left = match phase {
            Phase::Request => &mut self.request,
            Phase::Stream => &mut self.stream,
        };
        *left = left.checked_sub(1)?;
        let doubled = policy::MODEL_RETRY_FIRST.saturating_mul(2_u32.saturating_pow(self.done));
        self.done += 1;
        // Spread over the upper half: all that were cut off by one event do not come back at once.
        let spread = doubled.min(policy::MODEL_RETRY_MOST).mul_f64(0.5 + dice.clamp(0.0, 1.0) / 2.0);
        match asked {
            // Never before it, and not all at its end.
            Some(asked) => Some(asked + spread.mul_f64(0.1)),
            None => Some(spread),
        }
    }
}

/// Between 0 and 1. Not for secrets.
#[expect(clippy::cast_precision_loss, reason = "it is a die")]
pub fn dice() -> f64 {
    RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64
}

/// How long the provider wants us to wait, by the headers of its answer.
pub fn retry_after(headers: &HeaderMap, now: WallMs) -> Option<Duration> {
    let text = |value: &reqwest::header::HeaderValue| value.to_str().ok().map(|text| text.trim().to_owned());
    let exact = headers.get("retry-after-ms").and_then(text).and_then(|text| text.parse::<f64>().ok());
    if let Some(exact) = exact.and_then(|exact| Duration::try_from_secs_f64(exact / 1000.0).ok()) {
        return Some(exact);
    }
    let said = headers.get(RETRY_AFTER).and_then(text)?;
    if let Ok(seconds) = said.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let then = rfc2822::DateTimeParser::new().parse_timestamp(said.replace(" GMT", " +0000")).ok()?;
    let wait = then.as_millisecond().saturating_sub(now.0);
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
}

/// What stands before a time to wait in the messages of providers.
const WAITS: [&str; 5] = ["try again in ", "retry in ", "retry after ", "try again after ", "wait "];

/// How long a message asks to wait: "try again in 1.3s", "retry in 250ms", "retry after 20 seconds".
pub fn asked_in_words(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    WAITS.iter().find_map(|before| span(message.split_once(before)?.1))
}

/// The time that a text begins with: "34s", "1m2.5s", "250ms", "20 seconds". A number needs its unit.
pub fn span(text: &str) -> Option<Duration> {
    let (mut seconds, mut rest, mut found) = (0.0, text, false);
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(end);
        let behind = behind.trim_start();
        let unit = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (Ok(number), Some(unit_seconds)) = (number.parse::<f64>(), in_seconds(&behind[..unit])) else {
            break;
        };
        seconds += number * unit_seconds;
        (rest, found) = (&behind[unit..], true);
    }
    found.then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

fn in_seconds(unit: &str) -> Option<f64> {
    match unit {
        "ms" | "millisecond" | "milliseconds" => Some(0.001),
        "s" | "sec" | "secs" | "second" | "seconds" => Some(1.0),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(60.0),
        "h" | "hour" | "hours" => Some(3600.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_wait_that_is_asked_for_is_read_in_all_its_forms() {
        // 2026-01-02T03:04:05Z
        let now = WallMs(1_767_323_045_000);
        let after = |pairs: &[(&'static str, &str)]| retry_after(&headers(pairs), now);
        assert_eq!(after(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(after(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        assert_eq!(
            after(&[("retry-after", "9"), ("retry-after-ms", "250")]),
            Some(Duration::from_millis(250))
        );
        assert_eq!(after(&[("retry-after", "Fri, 02 Jan 2026 03:04:35 GMT")]), Some(Duration::from_secs(30)));
        assert_eq!(after(&[("retry-after", "Fri, 02 Jan 2026 03:00:00 GMT")]), Some(Duration::ZERO));
        assert_eq!(after(&[("retry-after", "soon")]), None);
        assert_eq!(after(&[("retry-after", "-1")]), None);
        assert_eq!(after(&[]), None);
        assert_eq!(asked_in_words("Please try again in 1.5s."), Some(Duration::from_millis(1500)));
        assert_eq!(asked_in_words("Please try again in 20ms"), Some(Duration::from_millis(20)));
        assert_eq!(asked_in_words("try again in a while"), None);
        assert_eq!(asked_in_words("Please retry in 34.5s."), Some(Duration::from_millis(34_500)));
        assert_eq!(asked_in_words("Please retry after 20 seconds, or wait."), Some(Duration::from_secs(20)));
        assert_eq!(asked_in_words("Please try again in 6m0s"), Some(Duration::from_mins(6)));
        assert_eq!(asked_in_words("try again in 5"), None);
        assert_eq!(span("1h2m3.5s"), Some(Duration::from_millis(3_723_500)));
        assert_eq!(span("34s"), Some(Duration::from_secs(34)));
        assert_eq!(span("soon"), None);
    }

    #[test]
    fn waits_double_up_to_a_bound_and_are_spread() {
        let mut retries = Retries::new(9, 0);
        let waits: Vec<u128> = std::iter::from_fn(|| retries.next(Phase::Request, None, 1.0))
            .map(|wait| wait.as_millis())
            .collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000]);
        let mut retries = Retries::new(1, 0);
        assert_eq!(retries.next(Phase::Request, None, 0.0), Some(Duration::from_millis(125)));
        assert!((0..100).map(|_| dice()).all(|dice| (0.0..=1.0).contains(&dice)));
    }

    #[test]
    fn each_phase_has_its_own_limit_and_a_provider_is_never_asked_too_early() {
        let mut retries = Retries::new(1, 2);
        let asked = Some(Duration::from_secs(3));
        assert!(retries.next(Phase::Request, asked, 0.0).is_some_and(|wait| wait >= Duration::from_secs(3)));
        assert_eq!(retries.next(Phase::Request, asked, 0.0), None);
        assert!(retries.next(Phase::Stream, None, 0.0).is_some());
        assert_eq!(retries.next(Phase::Stream, Some(Duration::from_secs(3600)), 0.0), None);
        assert_eq!(retries.done(), 2, "a wait that is too long is no try, and ends it all");
        assert!(retries.next(Phase::Stream, None, 0.0).is_some(), "it takes nothing of the limit");
    }
}

//! When to retry a request: how often, and after how long. Pure, except for the dice.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};
use skein_base::clock::WallMs;

use crate::policy;

/// The limit that a failure counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryPhase {
    /// No answer arrived.
    Request,
    /// The answer had begun.
    Stream,
}

/// How waits grow when the provider does not name one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryPace {
    /// A short outage.
    Usual,
    /// Limits are counted per minute.
    RateLimit,
}

/// The next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) wait: Duration,
    /// The number of this try within its limit, from 1.
    pub(crate) number: u32,
    /// The limit.
    pub(crate) of: u32,
}

#[derive(Debug, Clone, Copy)]
struct RetryLimit {
    used: u32,
    most: u32,
}

impl RetryLimit {
    /// The number of this try, and the limit.
    fn take(&mut self) -> Option<(u32, u32)> {
        (self.used < self.most).then(|| {
            self.used += 1;
            (self.used, self.most)
        })
    }
}

/// The tries used of both limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retries {
    request: RetryLimit,
    stream: RetryLimit,
    /// Waits so far, by pace.
    usual: u32,
    rate: u32,
}

impl Retries {
    pub(crate) fn new(request: u32, stream: u32) -> Self {
        let limit = |most| RetryLimit { used: 0, most };
        Self { request: limit(request), stream: limit(stream), usual: 0, rate: 0 }
    }

    /// The number of retries so far.
    pub(crate) fn done(&self) -> u32 {
        self.request.used + self.stream.used
    }

    /// The next try; `None` when the limit is used up or the wait would be too long. `asked` is the provider's wish;
    /// `dice` is between 0 and 1.
    pub(crate) fn next(
        &mut self,
        phase: RetryPhase,
        pace: RetryPace,
        asked: Option<Duration>,
        dice: f64,
    ) -> Option<Retry> {
        if asked.is_some_and(|asked| asked > policy::MODEL_RETRY_AFTER_MOST) {
            return None;
        }
        let (number, of) = match (phase, pace) {
            (RetryPhase::Stream, _) => self.stream.take()?,
            (RetryPhase::Request, RetryPace::RateLimit) => self.request.take()?,
            // As with the peer: after its own limit, a failing server uses the limit of broken streams.
            (RetryPhase::Request, RetryPace::Usual) => {
                self.request.take().or_else(|| self.stream.take())?;
                (self.done(), self.request.most.saturating_add(self.stream.most))
            }
        };
        // Spread over the upper half, so that clients cut off by one event do not return at once.
        let spread = self.grown(pace).mul_f64(0.5 + dice.clamp(0.0, 1.0) / 2.0);
        // Never before the requested time, and not all clients right at its end.
        let wait = asked.map_or(spread, |asked| asked + spread.mul_f64(0.1));
        Some(Retry { wait, number, of })
    }

    fn grown(&mut self, pace: RetryPace) -> Duration {
        let (first, growth, most, waits) = match pace {
            RetryPace::Usual => (policy::MODEL_RETRY_FIRST, 2_u32, policy::MODEL_RETRY_MOST, &mut self.usual),
            RetryPace::RateLimit => {
                (policy::MODEL_RATE_FIRST, policy::MODEL_RATE_GROWTH, policy::MODEL_RATE_MOST, &mut self.rate)
            }
        };
        let grown = first.saturating_mul(growth.saturating_pow(*waits));
        *waits += 1;
        grown.min(most)
    }
}

/// A number between 0 and 1. Not for secrets.
#[expect(clippy::cast_precision_loss, reason = "it is a die")]
pub(crate) fn dice() -> f64 {
    RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64
}

/// The wait that the answer's headers ask for.
pub(crate) fn retry_after(headers: &HeaderMap, now: WallMs) -> Option<Duration> {
    let text = |value: &reqwest::header::HeaderValue| value.to_str().ok().map(|text| text.trim().to_owned());
    let exact = headers.get("retry-after-ms").and_then(text).and_then(|text| text.parse::<f64>().ok());
    if let Some(exact) = exact.and_then(|exact| Duration::try_from_secs_f64(exact / 1000.0).ok()) {
        return Some(exact);
    }
    let text = headers.get(RETRY_AFTER).and_then(text)?;
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let then = rfc2822::DateTimeParser::new().parse_timestamp(text.replace(" GMT", " +0000")).ok()?;
    let wait = then.as_millisecond().saturating_sub(now.0);
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
}

/// When a used-up limit resets, by the headers of an answer: `x-ratelimit-reset-tokens: 6m0s`,
/// `anthropic-ratelimit-requests-reset: 2026-01-02T03:04:05Z`, `ratelimit-reset: 30`, or a time in seconds or
/// milliseconds since 1970.
pub(crate) fn reset(headers: &HeaderMap, now: WallMs) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let resets = headers.keys().map(HeaderName::as_str).filter(|name| name.contains("ratelimit"));
    let used_up = resets.filter(|name| name.contains("reset")).filter(|name| {
        let left = text(&name.replacen("reset", "remaining", 1)).and_then(|left| left.parse::<f64>().ok());
        left.is_none_or(|left| left <= 0.0)
    });
    used_up.filter_map(|name| until(text(name)?, now)).max()
}

fn until(text: &str, now: WallMs) -> Option<Duration> {
    /// A larger number is a time in seconds since 1970; a thousand times larger, one in milliseconds.
    const ERA: f64 = 1e9;
    let from_now = |then: f64| {
        Duration::try_from_secs_f64(((then * 1000.0).round() - now_ms(now)).max(0.0) / 1000.0).ok()
    };
    match text.parse::<f64>() {
        Ok(number) if number >= ERA * 1000.0 => from_now(number / 1000.0),
        Ok(number) if number >= ERA => from_now(number),
        Ok(number) => Duration::try_from_secs_f64(number).ok(),
        Err(_) => span(text).or_else(|| {
            let then: jiff::Timestamp = text.parse().ok()?;
            let wait = then.as_millisecond().saturating_sub(now.0);
            Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
        }),
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
fn now_ms(now: WallMs) -> f64 {
    now.0 as f64
}

/// Phrases before a wait in providers' messages.
const WAITS: [&str; 5] = ["try again in ", "retry in ", "retry after ", "try again after ", "wait "];

/// The wait in a message: "try again in 1.3s", "retry in 250ms", "retry after 20 seconds".
pub(crate) fn asked_in_words(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    WAITS.iter().find_map(|before| span(message.split_once(before)?.1))
}

/// The duration at the start of a text: "34s", "1m2.5s", "250ms", "20 seconds". A number needs its unit.
pub(crate) fn span(text: &str) -> Option<Duration> {
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
    fn a_limit_that_is_used_up_says_when_it_begins_anew() {
        // 2026-01-02T03:04:05Z
        let now = WallMs(1_767_323_045_000);
        let after = |pairs: &[(&'static str, &str)]| reset(&headers(pairs), now);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let openai = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "12s"),
            ("x-ratelimit-remaining-tokens", "149"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        assert_eq!(after(&openai), seconds(12));
        assert_eq!(after(&openai[2..]), None, "there is something left of it");
        assert_eq!(after(&openai[3..]), seconds(360), "what is left is not said");
        let anthropic = [
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-01-02T03:04:45Z"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-01-02T03:04:15Z"),
        ];
        assert_eq!(after(&anthropic), seconds(40));
        assert_eq!(after(&[("x-ratelimit-reset", "1767323105000")]), seconds(60));
        assert_eq!(after(&[("x-ratelimit-reset", "1767323075")]), seconds(30));
        assert_eq!(after(&[("ratelimit-reset", "7")]), seconds(7));
        assert_eq!(after(&[("x-ratelimit-reset-tokens", "soon"), ("x-ratelimit-limit-tokens", "9")]), None);
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_are_spread() {
        let waits = |pace| -> Vec<u128> {
            let mut retries = Retries::new(9, 0);
            std::iter::from_fn(|| retries.next(RetryPhase::Request, pace, None, 1.0))
                .map(|retry| retry.wait.as_millis())
                .collect()
        };
        assert_eq!(waits(RetryPace::Usual), [250, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000]);
        let rate = [2000, 8000, 32_000, 60_000, 60_000, 60_000, 60_000, 60_000, 60_000];
        assert_eq!(waits(RetryPace::RateLimit), rate);
        let mut retries = Retries::new(2, 0);
        let first = Retry { wait: Duration::from_millis(125), number: 1, of: 2 };
        assert_eq!(retries.next(RetryPhase::Request, RetryPace::Usual, None, 0.0), Some(first));
        let second = Retry { wait: Duration::from_secs(1), number: 2, of: 2 };
        assert_eq!(
            retries.next(RetryPhase::Request, RetryPace::RateLimit, None, 0.0),
            Some(second),
            "each pace from its beginning"
        );
        assert!((0..100).map(|_| dice()).all(|dice| (0.0..=1.0).contains(&dice)));
    }

    #[test]
    fn each_phase_has_its_own_limit_and_a_provider_is_never_asked_too_early() {
        let mut retries = Retries::new(1, 2);
        let asked = Some(Duration::from_secs(3));
        let mut next = |phase, asked| retries.next(phase, RetryPace::Usual, asked, 0.0);
        assert!(next(RetryPhase::Request, asked).is_some_and(|retry| retry.wait >= Duration::from_secs(3)));
        assert!(next(RetryPhase::Stream, None).is_some_and(|retry| (retry.number, retry.of) == (1, 2)));
        assert_eq!(next(RetryPhase::Stream, Some(Duration::from_secs(3600))), None);
        assert_eq!(retries.done(), 2, "a wait that is too long is no try, and ends it all");
        assert_eq!(
            retries.next(RetryPhase::Request, RetryPace::RateLimit, None, 0.0),
            None,
            "requests have none left"
        );
        let last = retries.next(RetryPhase::Request, RetryPace::Usual, None, 0.0);
        assert!(
            last.is_some_and(|retry| (retry.number, retry.of) == (3, 3)),
            "one of the other limit is left"
        );
        assert_eq!(retries.next(RetryPhase::Stream, RetryPace::Usual, None, 0.0), None);
    }
}

//! The use of models by the turns of a thread.

use serde::{Deserialize, Serialize};
use skein_base::clock::WallMs;
use skein_protocol::ids::TurnId;

/// `model.asked`: a request to a model begins, under a limit of tokens. Without a report of the usage, the estimate counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelAsked {
    /// The turn.
    pub turn_id: TurnId,
    /// The tokens of the request by an estimate.
    pub tokens: i64,
}

/// The use so far, with the additions of the user to the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spent {
    /// Tokens since its creation.
    pub tokens: i64,
    /// The addition of the user to the limit of the thread.
    pub more: i64,
    /// Its last day.
    pub day: DaySpent,
}

/// The use on the last day of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DaySpent {
    /// The day, counted from the beginning of 1970 (UTC).
    pub day: i64,
    /// Tokens.
    pub tokens: i64,
    /// The addition of the user to the limit of the day.
    pub more: i64,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl DaySpent {
    /// The day of a time.
    pub fn day_of(at: WallMs) -> i64 {
        at.0.div_euclid(DAY_MS)
    }

    /// The beginning of a day.
    pub fn begin_of(day: i64) -> WallMs {
        WallMs(day.saturating_mul(DAY_MS))
    }

    /// The use on this day.
    #[must_use]
    pub fn on(self, day: i64) -> Self {
        if self.day == day { self } else { Self { day, ..Self::default() } }
    }
}

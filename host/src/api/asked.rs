//! What queries may ask for.

use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use crate::contract::PreviewRange;

/// Milliseconds of a day.
const DAY: u64 = 24 * 3_600_000;
/// The longest text to look for, bytes.
const LONGEST: usize = 1_000;

/// What to look for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Sought {
    /// The provider's id of a message, its Message-ID, or a contact's address.
    #[param(min_length = 1, max_length = 1000)]
    subject: String,
}

impl Sought {
    /// The text itself.
    pub(super) fn text(&self) -> Result<&str, Problem> {
        let text = self.subject.trim();
        if text.is_empty() || self.subject.len() > LONGEST {
            return Err(Problem::invalid(
                "There is nothing to look for.",
                "Give a message's id, its Message-ID, or a contact's address, up to 1,000 bytes.",
            ));
        }
        Ok(text)
    }
}

/// How much mail to look at.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Range {
    /// Mail of so many days.
    #[serde(default = "week")]
    #[param(minimum = 1, maximum = 365, default = 7)]
    days: u32,
    /// So many messages at most, the newest. Each costs a request to the provider.
    #[serde(default = "hundred")]
    #[param(minimum = 1, maximum = 100, default = 100)]
    most: u32,
}

fn week() -> u32 {
    7
}

fn hundred() -> u32 {
    100
}

impl Range {
    /// The mail that is meant, now.
    pub(super) fn until(self, now: u64) -> Result<PreviewRange, Problem> {
        if !(1..=365).contains(&self.days) || !(1..=100).contains(&self.most) {
            return Err(Problem::invalid(
                "This range cannot be looked at.",
                "days is 1 to 365, most is 1 to 100.",
            ));
        }
        Ok(PreviewRange {
            since: now.saturating_sub(u64::from(self.days) * DAY),
            most: self.most,
        })
    }
}

/// How far back to count.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Hours {
    /// So many hours.
    #[serde(default = "day")]
    #[param(minimum = 1, maximum = 168, default = 24)]
    hours: u32,
}

fn day() -> u32 {
    24
}

impl Hours {
    /// How many.
    pub(super) fn count(self) -> Result<u32, Problem> {
        if !(1..=168).contains(&self.hours) {
            return Err(Problem::invalid(
                "So many hours cannot be counted.",
                "hours is 1 to 168.",
            ));
        }
        Ok(self.hours)
    }
}

//! How long a grant lasts, and whether it ended because its time was over.
//!
//! Google ends refresh tokens of an app whose publishing status is "Testing" seven days after consent
//! (<https://developers.google.com/identity/protocols/oauth2#expiration>), and those of an access that
//! the user gave for a limited time. A token answer may say so ahead (`refresh_token_expires_in`); the
//! end itself looks like every other one (`invalid_grant`), and is known by its time.

/// Seven days, in milliseconds.
const WEEK: u64 = 7 * 24 * HOUR;
/// An hour, in milliseconds: how exact times are taken to be.
const HOUR: u64 = 3_600_000;
/// How much later than it came an end may be noticed, in milliseconds: access tokens live an hour longer,
/// and between two passes there may be many.
const NOTICED_WITHIN: u64 = 24 * HOUR;

/// What is known of a grant's time. All in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lasting {
    /// When consent was given.
    pub granted_at: Option<u64>,
    /// Until when the refresh token lasts, where the provider has said so.
    pub until: Option<u64>,
    /// When it was noticed that the grant is gone (S07).
    pub lost_at: Option<u64>,
}

/// Why a grant lasts only for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The OAuth app is being tested: seven days.
    Testing,
    /// The user gave access for a limited time.
    TimeLimited,
}

impl Lasting {
    /// Why it lasts only for a while, if that is what the provider said, or how it ended.
    pub fn limit(&self) -> Option<Limit> {
        let lived = |end: u64| end.saturating_sub(self.granted_at.unwrap_or(end));
        match (self.until, self.lost_at) {
            (Some(until), _) if lived(until).abs_diff(WEEK) <= HOUR => Some(Limit::Testing),
            (Some(_), _) => Some(Limit::TimeLimited),
            (None, Some(lost)) if (WEEK - HOUR..=WEEK + NOTICED_WITHIN).contains(&lived(lost)) => {
                Some(Limit::Testing)
            }
            (None, _) => None,
        }
    }

    /// Why it ended, if it did because its time was over.
    pub fn ended_by(&self) -> Option<Limit> {
        let lost = self.lost_at?;
        let in_time = self.until.is_none_or(|until| lost.saturating_add(HOUR) >= until);
        self.limit().filter(|_| in_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * HOUR;

    fn lasting(until: Option<u64>, lost_at: Option<u64>) -> Lasting {
        Lasting {
            granted_at: Some(DAY),
            until: until.map(|days| DAY + days * DAY),
            lost_at: lost_at.map(|hours| DAY + hours * HOUR),
        }
    }

    #[test]
    fn s07_a_grant_that_ends_after_seven_days_was_an_apps_in_testing() {
        for (hours, expected) in [
            (166, None),
            (167, Some(Limit::Testing)),
            (169, Some(Limit::Testing)),
            (192, Some(Limit::Testing)),
            (193, None),
        ] {
            assert_eq!(lasting(None, Some(hours)).ended_by(), expected, "{hours}");
        }
        assert_eq!(lasting(None, None).limit(), None);
        assert_eq!(Lasting::default().limit(), None);
    }

    #[test]
    fn s07_what_the_provider_said_ahead_is_known_ahead_and_an_earlier_end_has_another_reason() {
        assert_eq!(lasting(Some(7), None).limit(), Some(Limit::Testing));
        assert_eq!(lasting(Some(30), None).limit(), Some(Limit::TimeLimited));
        assert_eq!(lasting(Some(7), None).ended_by(), None);
        assert_eq!(lasting(Some(7), Some(48)).ended_by(), None);
        assert_eq!(lasting(Some(7), Some(168)).ended_by(), Some(Limit::Testing));
        assert_eq!(lasting(Some(7), Some(1_000)).ended_by(), Some(Limit::Testing));
        assert_eq!(lasting(Some(30), Some(721)).ended_by(), Some(Limit::TimeLimited));
    }
}

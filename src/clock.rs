//! The only place that reads a clock. Everything that decides takes [`Now`] as an argument.

#![expect(clippy::disallowed_methods, reason = "this is the module that reads the clocks")]

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// An instant for people and the store: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time from `earlier` to this instant; zero when the clock was set back in between.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The instant `duration` later; far futures saturate.
    #[must_use]
    pub fn after(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add_unsigned(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The instant `duration` earlier; the far past saturates.
    #[must_use]
    pub fn before(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub_unsigned(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// RFC 3339 in UTC with milliseconds, as every result on the wire shows it.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_epoch = Duration::from_millis(u64::try_from(self.0).unwrap_or(0));
        humantime::format_rfc3339_millis(UNIX_EPOCH + since_epoch).fmt(f)
    }
}

/// An instant for deadlines: the time since this process first asked. It never goes backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub Duration);

impl Moment {
    /// The instant `duration` later; far futures saturate.
    #[must_use]
    pub fn after(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(duration))
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub moment: Moment,
    /// For records and results.
    pub wall: Timestamp,
}

fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// Reads both clocks.
pub fn now() -> Now {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now {
        moment: Moment(Instant::now().saturating_duration_since(origin())),
        wall: Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)),
    }
}

/// The runtime's instant for `moment`, to sleep until.
pub fn instant(moment: Moment) -> Instant {
    origin().checked_add(moment.0).unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400 * 365))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_read_as_rfc_3339_with_milliseconds() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(1_700_000_000_123).to_string(), "2023-11-14T22:13:20.123Z");
    }

    #[test]
    fn a_clock_set_back_gives_no_negative_duration() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
    }
}

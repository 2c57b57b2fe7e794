//! What the machine and its sessions used, at a time or over a span of it.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::SessionId;

/// What the machine or a session used. One look, or the roll-up of several.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Which session; the machine when absent.
    pub session: Option<SessionId>,
    /// When it was looked at; of a roll-up, when its span begins.
    pub at: Timestamp,
    /// How many looks are in it. None at a session that ended between two of them: then only what it ran
    /// counts.
    pub looks: u32,
    /// Percent of all processors for the machine, of one core for a session; the mean.
    pub cpu: f64,
    /// The highest.
    pub cpu_max: f64,
    /// Percent of the machine's memory, or a session's megabytes; the mean.
    pub memory: f64,
    /// The highest.
    pub memory_max: f64,
    /// The most live sessions of the server that looked, or the most processes of a session.
    pub members: u32,
    /// Commands that ended.
    pub commands: u32,
    /// Those of them that failed.
    pub failed: u32,
}

/// In which steps samples are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// As they were taken.
    Raw,
    /// By the minute.
    Minute,
    /// By the quarter of an hour.
    Quarter,
}

impl Resolution {
    /// All of them, finest first.
    pub const ALL: [Resolution; 3] = [Resolution::Raw, Resolution::Minute, Resolution::Quarter];

    /// The span of a sample; nothing for one that is a single look.
    pub fn span(self) -> Duration {
        match self {
            Self::Raw => Duration::ZERO,
            Self::Minute => Duration::from_secs(60),
            Self::Quarter => Duration::from_secs(900),
        }
    }

    /// How long samples are kept in these steps.
    pub fn kept(self) -> Duration {
        match self {
            Self::Raw => Duration::from_secs(3_600),
            Self::Minute => Duration::from_secs(86_400),
            Self::Quarter => Duration::from_secs(31 * 86_400),
        }
    }
}

//! The server's defaults while it runs: what they are, what the load says of them, and how they change.
//! They last as long as the server does.

use std::time::Duration;

use super::Engine;
use super::samples::Summary;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::RecoverySettings;

/// What a session or a run falls back on where its creator named nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The timeout of commands.
    pub command_timeout: Duration,
    /// After how long without use a session is closed; none stays for as long as the server.
    pub idle_timeout: Option<Duration>,
    /// Bytes of output kept on disk.
    pub output_bytes: u64,
    /// Slots of runs.
    pub max_concurrent: u32,
    /// Whether runs are [attended](crate::model::Run::attended).
    pub attended: bool,
    /// How sessions are recovered.
    pub recovery: RecoverySettings,
    /// How long after its end a session is removed; never when absent.
    pub cleanup_after: Option<Duration>,
}

/// Changes of defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Slots of runs.
    pub max_concurrent: Option<u32>,
    /// The timeout of commands.
    pub command_timeout: Option<Duration>,
    /// After how long without use a session is closed; zero for never.
    pub idle_timeout: Option<Duration>,
}

/// What the load of late says of the defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Analysis {
    /// Mean percent of all processors.
    pub avg_cpu: f64,
    /// The highest.
    pub max_cpu: f64,
    /// Commands that outlived their timeout.
    pub timeouts: usize,
    /// Looks that the figures are made of.
    pub looks: u32,
}

/// Fewer looks than this, half a minute at the usual pace, say nothing about slots.
const ENOUGH_LOOKS: u32 = 6;
/// By `auto`, slots grow to so many for each processor and no further: tasks wait for disks and networks too.
const SLOTS_PER_CORE: u32 = 4;
/// By `auto`, timeouts grow to this and no further. What takes longer is meant to, and says so.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(3_600);

impl Analysis {
    /// An analysis of what was measured, and of the timeouts in the same time.
    pub fn new(summary: Option<&Summary>, looks: u32, timeouts: usize) -> Self {
        let (avg_cpu, max_cpu) = summary.map_or((0.0, 0.0), |summary| (summary.avg_cpu, summary.max_cpu));
        Self { avg_cpu, max_cpu, timeouts, looks }
    }

    /// Whether the processors are what work waits for.
    pub fn high_cpu_pressure(&self) -> bool {
        self.looks > 0 && (self.avg_cpu > 70.0 || self.max_cpu > 90.0)
    }

    /// Whether most of the processors' time is unused.
    pub fn low_utilization(&self) -> bool {
        self.looks > 0 && self.avg_cpu < 30.0
    }

    /// Whether commands outlive their timeouts too often.
    pub fn frequent_timeouts(&self) -> bool {
        self.timeouts > 5
    }

    /// What to change, and why. A peak alone frees no slots while the mean is low: then it was short.
    /// What is `given` is somebody's choice, and needs none.
    pub fn advice(&self, now: &Defaults, given: &Tuning, cores: u32) -> (Tuning, Vec<String>) {
        let mut tuning = Tuning::default();
        let mut reasons = Vec::new();
        let slots = now.max_concurrent;
        let most = cores.saturating_mul(SLOTS_PER_CORE).clamp(1, limits::MOST_CONCURRENT);
        if given.max_concurrent.is_some() {
            reasons.push("maxConcurrent as given".to_owned());
        } else if self.looks < ENOUGH_LOOKS {
            reasons.push(format!("maxConcurrent stays: {} looks at the load are too few", self.looks));
        } else if self.low_utilization() && slots < most {
            let more = slots.saturating_add(slots.div_ceil(2)).min(most);
            tuning.max_concurrent = Some(more);
            reasons.push(format!(
                "maxConcurrent from {slots} to {more}: the processors were used by {:.0} % on average",
                self.avg_cpu
            ));
        } else if self.high_cpu_pressure() && !self.low_utilization() && slots > 1 {
            let fewer = (slots - slots.div_ceil(4)).max(1);
            tuning.max_concurrent = Some(fewer);
            reasons.push(format!(
                "maxConcurrent from {slots} to {fewer}: the processors were used by {:.0} % on average and {:.0} % \
                 at most",
                self.avg_cpu, self.max_cpu
            ));
        } else {
            reasons.push(format!("maxConcurrent stays: it suits a use of {:.0} % on average", self.avg_cpu));
        }
        if given.command_timeout.is_some() {
            reasons.push("commandTimeout as given".to_owned());
        } else if self.frequent_timeouts() && now.command_timeout < LONGEST_TIMEOUT {
            let longer = (now.command_timeout * 2).min(LONGEST_TIMEOUT);
            tuning.command_timeout = Some(longer);
            reasons.push(format!(
                "commandTimeout from {} to {}: {} commands outlived theirs",
                humantime::format_duration(now.command_timeout),
                humantime::format_duration(longer),
                self.timeouts
            ));
        }
        (tuning, reasons)
    }
}

impl Engine {
    /// What applies now where nothing else is named.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    /// Changes defaults, all or none; returns those from before. What exists already keeps what it has.
    pub fn tune(&mut self, tuning: Tuning) -> Result<Defaults> {
        if tuning.max_concurrent.is_some_and(|slots| !(1..=limits::MOST_CONCURRENT).contains(&slots)) {
            return Err(Error::invalid(format!(
                "'maxConcurrent' must be from 1 to {}",
                limits::MOST_CONCURRENT
            )));
        }
        if tuning.command_timeout.is_some_and(|timeout| timeout.is_zero() || timeout > limits::LONGEST) {
            return Err(Error::invalid("'commandTimeout' must be more than nothing and at most 7 days"));
        }
        if tuning.idle_timeout.is_some_and(|timeout| timeout > limits::LONGEST) {
            return Err(Error::invalid("'idleTimeout' must be at most 7 days, or 0 for never"));
        }
        let previous = self.defaults.clone();
        let defaults = &mut self.defaults;
        defaults.max_concurrent = tuning.max_concurrent.unwrap_or(defaults.max_concurrent);
        defaults.command_timeout = tuning.command_timeout.unwrap_or(defaults.command_timeout);
        if let Some(timeout) = tuning.idle_timeout {
            defaults.idle_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        }
        Ok(previous)
    }

    /// Commands that began to outlive their timeout and are over since then.
    pub fn timeouts(&self, since: Timestamp) -> usize {
        let commands = self.commands.values().map(|entry| &entry.command);
        let ended = |at: Option<Timestamp>| at.is_none_or(|at| at >= since);
        commands.filter(|command| command.timed_out && ended(command.ended_at)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        Defaults {
            command_timeout: Duration::from_secs(300),
            idle_timeout: None,
            output_bytes: 1 << 20,
            max_concurrent: 10,
            attended: false,
            recovery: RecoverySettings::DEFAULT,
            cleanup_after: None,
        }
    }

    fn analysis(avg_cpu: f64, max_cpu: f64, timeouts: usize) -> Analysis {
        Analysis { avg_cpu, max_cpu, timeouts, looks: 100 }
    }

    #[test]
    fn the_words_of_an_analysis_have_their_bounds() {
        let words = |analysis: Analysis| {
            (analysis.high_cpu_pressure(), analysis.low_utilization(), analysis.frequent_timeouts())
        };
        assert_eq!(words(analysis(70.0, 90.0, 5)), (false, false, false));
        assert_eq!(words(analysis(70.1, 80.0, 6)), (true, false, true));
        assert_eq!(words(analysis(29.9, 90.1, 0)), (true, true, false));
        assert_eq!(words(Analysis { looks: 0, ..analysis(0.0, 0.0, 0) }), (false, false, false));
    }

    #[test]
    fn advice_follows_the_load_within_bounds() {
        let advised = |analysis: Analysis, slots| {
            analysis.advice(&Defaults { max_concurrent: slots, ..defaults() }, &Tuning::default(), 4).0
        };
        let slots = |analysis, slots| advised(analysis, slots).max_concurrent;
        assert_eq!(slots(analysis(80.0, 85.0, 0), 10), Some(7));
        assert_eq!(slots(analysis(80.0, 85.0, 0), 1), None, "one slot is the least");
        assert_eq!(slots(analysis(10.0, 20.0, 0), 10), Some(15));
        assert_eq!(slots(analysis(10.0, 20.0, 0), 15), Some(16), "four for each of four cores");
        assert_eq!(slots(analysis(10.0, 20.0, 0), 40), None, "more than that was somebody's choice");
        assert_eq!(slots(analysis(10.0, 95.0, 0), 10), Some(15), "a short peak");
        assert_eq!(slots(analysis(50.0, 60.0, 0), 10), None);
        assert_eq!(slots(Analysis { looks: 5, ..analysis(90.0, 99.0, 0) }, 10), None, "too few looks");
        assert_eq!(advised(analysis(50.0, 60.0, 6), 10).command_timeout, Some(Duration::from_secs(600)));
        assert_eq!(advised(analysis(50.0, 60.0, 5), 10).command_timeout, None);
        let (_, reasons) = analysis(50.0, 60.0, 6).advice(&defaults(), &Tuning::default(), 4);
        assert!(reasons.iter().any(|reason| reason.contains("from 5m to 10m")), "{reasons:?}");
        let given = Tuning { max_concurrent: Some(3), ..Tuning::default() };
        let (advised, reasons) = analysis(10.0, 20.0, 6).advice(&defaults(), &given, 4);
        assert_eq!((advised.max_concurrent, advised.command_timeout.is_some()), (None, true));
        assert_eq!(reasons[0], "maxConcurrent as given");
    }

    #[test]
    fn tuning_changes_all_or_nothing() {
        let mut engine = Engine::new(defaults());
        let wrong =
            Tuning { max_concurrent: Some(3), command_timeout: Some(Duration::ZERO), idle_timeout: None };
        assert!(engine.tune(wrong).is_err());
        assert_eq!(*engine.defaults(), defaults());
        let minute = Some(Duration::from_secs(60));
        let tuning = Tuning { max_concurrent: Some(3), idle_timeout: minute, command_timeout: None };
        assert_eq!(engine.tune(tuning).unwrap(), defaults());
        assert_eq!(*engine.defaults(), Defaults { max_concurrent: 3, idle_timeout: minute, ..defaults() });
        engine.tune(Tuning { idle_timeout: Some(Duration::ZERO), ..Tuning::default() }).unwrap();
        assert_eq!(engine.defaults().idle_timeout, None);
    }
}

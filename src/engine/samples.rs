//! Samples over time: rolled up into longer spans, chosen for a question, and summed up. It knows no store.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::id::SessionId;
use crate::model::{Resolution, Sample};

/// What a series of samples comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Mean, over time.
    pub avg_cpu: f64,
    /// The highest look.
    pub max_cpu: f64,
    /// What 95 in 100 of the samples do not exceed.
    pub p95_cpu: f64,
    /// Mean, over time.
    pub avg_memory: f64,
    /// The highest look.
    pub max_memory: f64,
    /// Where the CPU figures go.
    pub trend: Trend,
}

/// Where figures go over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// Up.
    Increasing,
    /// Down.
    Decreasing,
    /// Neither, or there are too few to tell.
    Stable,
}

impl Trend {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Increasing => "increasing",
            Self::Decreasing => "decreasing",
            Self::Stable => "stable",
        }
    }
}

/// A line through the figures must rise or fall by so many percent points, and by this part of their
/// mean, from the first to the last, or it is level.
const TREND_POINTS: f64 = 5.0;
const TREND_PART: f64 = 0.1;

/// When the span that holds `at` begins. Spans are counted from the epoch, so that those of two servers, or
/// of two questions, are the same.
pub fn begin(at: Timestamp, span: Duration) -> Timestamp {
    let length = i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(1);
    Timestamp(at.0 - at.0.rem_euclid(length))
}

/// One sample for each span and session in which there is any, in the order of time. Means count by looks,
/// maxima stay maxima, commands add up.
pub fn roll_up(samples: impl IntoIterator<Item = Sample>, span: Duration) -> Vec<Sample> {
    let mut spans: BTreeMap<(Timestamp, Option<SessionId>), Sample> = BTreeMap::new();
    for sample in samples {
        let at = begin(sample.at, span);
        match spans.get_mut(&(at, sample.session.clone())) {
            Some(into) => merge(into, &sample),
            None => {
                spans.insert((at, sample.session.clone()), Sample { at, ..sample });
            }
        }
    }
    spans.into_values().collect()
}

fn merge(into: &mut Sample, sample: &Sample) {
    let (before, added) = (f64::from(into.looks), f64::from(sample.looks));
    let mean = |a: f64, b: f64| (a * before + b * added) / (before + added).max(1.0);
    into.cpu = mean(into.cpu, sample.cpu);
    into.memory = mean(into.memory, sample.memory);
    into.looks = into.looks.saturating_add(sample.looks);
    into.cpu_max = into.cpu_max.max(sample.cpu_max);
    into.memory_max = into.memory_max.max(sample.memory_max);
    into.members = into.members.max(sample.members);
    into.commands = into.commands.saturating_add(sample.commands);
    into.failed = into.failed.saturating_add(sample.failed);
}

/// The steps in which a series over `duration` can be shown: those asked for, or longer ones where samples
/// that old are only kept so, or where there would be more than `most` points.
pub fn step(duration: Duration, asked: Duration, most: usize) -> Duration {
    let kept = Resolution::ALL.into_iter().find(|resolution| duration <= resolution.kept());
    let least = kept.unwrap_or(Resolution::Quarter).span();
    let most = u32::try_from(most).unwrap_or(u32::MAX).max(1);
    let step = asked.max(least);
    if duration <= step * most {
        return step;
    }
    // Whole seconds read better, and so do multiples of what was asked for.
    let unit = step.max(Duration::from_secs(1));
    let units = duration.div_duration_f64(unit * most).ceil();
    unit.mul_f64(units)
}

/// Where to look for the samples of steps of this length, the coarsest first: each tells of the time up to
/// its last sample, and the next of the time behind that.
pub fn sources(step: Duration) -> impl Iterator<Item = Resolution> {
    Resolution::ALL.into_iter().rev().filter(move |resolution| resolution.span() <= step)
}

/// What a series comes to; nothing for one without any look.
pub fn summary(samples: &[Sample]) -> Option<Summary> {
    let samples: Vec<&Sample> = samples.iter().filter(|sample| sample.looks > 0).collect();
    let looks: f64 = samples.iter().map(|sample| f64::from(sample.looks)).sum();
    let mean = |figure: fn(&Sample) -> f64| {
        samples.iter().map(|sample| figure(sample) * f64::from(sample.looks)).sum::<f64>() / looks
    };
    let highest =
        |figure: fn(&Sample) -> f64| samples.iter().map(|sample| figure(sample)).fold(0.0, f64::max);
    (looks > 0.0).then(|| Summary {
        avg_cpu: mean(|sample| sample.cpu),
        max_cpu: highest(|sample| sample.cpu_max),
        p95_cpu: percentile(samples.iter().map(|sample| sample.cpu).collect(), 95),
        avg_memory: mean(|sample| sample.memory),
        max_memory: highest(|sample| sample.memory_max),
        trend: trend(samples.iter().map(|sample| (sample.at, sample.cpu))),
    })
}

/// The smallest figure that so many in a hundred do not exceed; zero of none.
fn percentile(mut figures: Vec<f64>, hundredths: usize) -> f64 {
    figures.sort_by(f64::total_cmp);
    let rank = (figures.len() * hundredths).div_ceil(100);
    figures.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// By the line with the least squared distance from the figures; what is missing between two of them
/// bends it in no direction.
fn trend(figures: impl Iterator<Item = (Timestamp, f64)>) -> Trend {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds are below 2^52 for 100,000 years")]
    let points: Vec<(f64, f64)> = figures.map(|(at, figure)| (at.0 as f64, figure)).collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Trend::Stable };
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let count = points.len() as f64;
    let mean_at = points.iter().map(|point| point.0).sum::<f64>() / count;
    let mean = points.iter().map(|point| point.1).sum::<f64>() / count;
    let spread: f64 = points.iter().map(|point| (point.0 - mean_at).powi(2)).sum();
    if points.len() < 3 || spread == 0.0 {
        return Trend::Stable;
    }
    let slope = points.iter().map(|point| (point.0 - mean_at) * (point.1 - mean)).sum::<f64>() / spread;
    let change = slope * (last.0 - first.0);
    if change.abs() < TREND_POINTS.max(mean * TREND_PART) {
        Trend::Stable
    } else if change > 0.0 {
        Trend::Increasing
    } else {
        Trend::Decreasing
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look(session: Option<&str>, seconds: i64, cpu: f64) -> Sample {
        Sample {
            session: session.map(SessionId::from_text),
            at: Timestamp(seconds * 1_000),
            looks: 1,
            cpu,
            cpu_max: cpu,
            memory: cpu * 2.0,
            memory_max: cpu * 2.0,
            members: 1,
            commands: 1,
            failed: 0,
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_roll_up_keeps_sessions_apart_and_leaves_gaps() {
        let looks =
            [look(None, 1, 10.0), look(Some("a"), 2, 50.0), look(None, 59, 30.0), look(None, 121, 7.0)];
        let rolled = roll_up(looks, seconds(60));
        let shown: Vec<_> = rolled
            .iter()
            .map(|sample| {
                (sample.at.0 / 1_000, sample.session.is_some(), sample.looks, sample.cpu, sample.cpu_max)
            })
            .collect();
        assert_eq!(shown, [(0, false, 2, 20.0, 30.0), (0, true, 1, 50.0, 50.0), (120, false, 1, 7.0, 7.0)]);
        assert_eq!(rolled[0].commands, 2);
    }

    #[test]
    fn what_was_only_counted_does_not_change_a_mean() {
        let counted = Sample { looks: 0, cpu: 0.0, failed: 1, ..look(None, 3, 0.0) };
        let rolled = roll_up([counted, look(None, 4, 40.0)], seconds(60));
        assert!((rolled[0].cpu - 40.0).abs() < 1e-9 && rolled[0].failed == 1, "{rolled:?}");
    }

    proptest! {
        /// Rolling up by way of minutes gives what rolling up at once does.
        #[test]
        fn roll_ups_compose(looks in proptest::collection::vec((0_i64..7_200, 0.0..100.0_f64), 1..60)) {
            let looks: Vec<Sample> = looks.into_iter().map(|(at, cpu)| look(None, at, cpu)).collect();
            let at_once = roll_up(looks.clone(), seconds(900));
            let by_minutes = roll_up(roll_up(looks, seconds(60)), seconds(900));
            prop_assert_eq!(at_once.len(), by_minutes.len());
            for (a, b) in at_once.iter().zip(&by_minutes) {
                prop_assert_eq!((a.at, a.looks, a.commands), (b.at, b.looks, b.commands));
                prop_assert!((a.cpu - b.cpu).abs() < 1e-6 && (a.cpu_max - b.cpu_max).abs() < 1e-9);
            }
        }

        #[test]
        fn a_step_is_kept_and_gives_few_enough_points(
            duration in 1_u64..31 * 86_400, asked in 1_u64..86_400, most in 1_usize..2_000,
        ) {
            let step = step(seconds(duration), seconds(asked), most);
            prop_assert!(step >= seconds(asked));
            prop_assert!(step * u32::try_from(most).unwrap() >= seconds(duration));
            prop_assert!(step >= seconds(60) || duration <= 3_600);
        }
    }

    #[test]
    fn steps_are_as_asked_where_that_is_possible() {
        assert_eq!(step(seconds(3_600), seconds(60), 100), seconds(60));
        assert_eq!(step(seconds(3_600), seconds(5), 1_000), seconds(5));
        assert_eq!(step(seconds(7_200), seconds(5), 1_000), seconds(60), "raw ones are kept for an hour");
        assert_eq!(step(seconds(2 * 86_400), seconds(60), 1_000), seconds(900));
        assert_eq!(step(seconds(3_600), seconds(60), 13), seconds(300));
        assert_eq!(sources(seconds(60)).collect::<Vec<_>>(), [Resolution::Minute, Resolution::Raw]);
    }

    #[test]
    fn a_summary_has_means_maxima_and_a_percentile() {
        let looks: Vec<Sample> = (1..=100).map(|n| look(None, 60, f64::from(n))).collect();
        let summary = summary(&looks).unwrap();
        assert_eq!((summary.avg_cpu, summary.max_cpu, summary.p95_cpu), (50.5, 100.0, 95.0));
        assert_eq!((summary.avg_memory, summary.max_memory), (101.0, 200.0));
        assert_eq!(super::summary(&[]), None);
        assert_eq!(super::summary(&[Sample { looks: 0, ..look(None, 1, 5.0) }]), None);
    }

    #[test]
    fn a_trend_is_a_line_that_is_steep_enough() {
        let of = |figures: &[f64]| trend((0..).step_by(60_000).map(Timestamp).zip(figures.iter().copied()));
        assert_eq!(of(&[10.0, 20.0, 30.0, 40.0]), Trend::Increasing);
        assert_eq!(of(&[40.0, 30.0, 35.0, 10.0]), Trend::Decreasing);
        assert_eq!(of(&[10.0, 12.0, 9.0, 13.0]), Trend::Stable);
        assert_eq!(of(&[100.0, 102.0, 104.0, 107.0]), Trend::Stable, "seven points of a hundred");
        assert_eq!(of(&[0.0, 100.0]), Trend::Stable, "two are too few");
    }
}

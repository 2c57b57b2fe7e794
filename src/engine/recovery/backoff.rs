//! How long it is until the next attempt.

use std::time::Duration;

use super::super::commands::backoff;
use super::super::schedule::mix;
use crate::limits;

/// The factor from one pause to the next.
const FACTOR: f64 = 2.0;
/// The share of a pause that is up to chance, so that sessions that failed together do not come back
/// together. It only shortens: the bounds of a caller hold.
const JITTER: f64 = 0.25;

/// The pause after this many failed attempts, the first of which comes without one. The same seed gives
/// the same pauses.
pub(super) fn pause(base_ms: u64, failed: u32, seed: u64) -> Duration {
    let Some(exponent) = failed.checked_sub(1) else { return Duration::ZERO };
    let whole = backoff(base_ms, FACTOR, exponent).min(limits::LONGEST_RECOVERY_DELAY);
    #[expect(clippy::cast_precision_loss, reason = "53 random bits are enough")]
    let chance = (mix(seed ^ u64::from(failed)) >> 11) as f64 / (1_u64 << 53) as f64;
    whole.mul_f64(1.0 - JITTER * chance)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_pause_stays_within_its_bounds(base_ms in 0_u64..10_000_000, failed in 0_u32..1_000, seed: u64) {
            let pause = pause(base_ms, failed, seed);
            let whole = (failed.checked_sub(1))
                .map_or(Duration::ZERO, |exponent| backoff(base_ms, FACTOR, exponent))
                .min(limits::LONGEST_RECOVERY_DELAY);
            prop_assert!(pause <= whole && pause >= whole.mul_f64(1.0 - JITTER), "{pause:?} of {whole:?}");
        }

        #[test]
        fn the_shortest_second_pause_is_longer_than_the_longest_first(seed: u64, other: u64) {
            prop_assert!(pause(2_000, 2, seed) > pause(2_000, 1, other));
        }

        #[test]
        fn a_seed_gives_the_same_pauses(seed: u64, failed in 0_u32..20) {
            prop_assert_eq!(pause(2_000, failed, seed), pause(2_000, failed, seed));
        }
    }

    #[test]
    fn the_first_attempt_comes_at_once() {
        assert_eq!(pause(2_000, 0, 1), Duration::ZERO);
        assert!(pause(2_000, 1, 1) >= Duration::from_millis(1_500));
    }
}

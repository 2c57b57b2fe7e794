//! What a circuit must always do.
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SETTINGS: RecoverySettings = RecoverySettings { circuit_failures: 3, ..RecoverySettings::DEFAULT };

fn at(ms: u64) -> Now {
    Now { moment: Moment(Duration::from_millis(ms)), wall: Timestamp(1_000_000 + i64::try_from(ms).unwrap()) }
}

fn key() -> Key {
    Key::of_command("make")
}

#[test]
fn a_circuit_opens_half_opens_and_closes() {
    let open = u64::try_from(SETTINGS.circuit_open.as_millis()).unwrap();
    let (mut circuits, key) = (Circuits::new(SETTINGS), key());
    let state = |circuits: &Circuits, ms| circuits.state(at(ms), &key);
    for source in 0..2 {
        circuits.failed(at(0), &key, source);
    }
    assert_eq!(state(&circuits, 0), (CircuitState::Closed, 2, None));
    assert_eq!(circuits.admit(at(0), &key), Ok(()));
    circuits.failed(at(0), &key, 2);
    let until = Timestamp(1_000_000 + i64::try_from(open).unwrap());
    assert_eq!(state(&circuits, 1), (CircuitState::Open, 3, Some(until)));
    assert_eq!(circuits.admit(at(1), &key).unwrap_err().until, at(open).moment);
    assert_eq!(state(&circuits, open).0, CircuitState::HalfOpen);
    assert_eq!(circuits.admit(at(open), &key), Ok(()), "the trial");
    assert!(circuits.admit(at(open), &key).is_err(), "one is enough");
    assert_eq!(state(&circuits, open + 1).0, CircuitState::HalfOpen);
    circuits.failed(at(open + 1), &key, 9);
    assert_eq!(state(&circuits, open + 2).0, CircuitState::Open);
    assert_eq!(circuits.admit(at(3 * open), &key), Ok(()), "the second trial");
    circuits.succeeded(&key);
    assert_eq!(state(&circuits, 3 * open), (CircuitState::Closed, 0, None));
}

#[test]
fn one_that_fails_again_and_again_opens_nothing() {
    let (mut circuits, key) = (Circuits::new(SETTINGS), key());
    for _ in 0..100 {
        circuits.failed(at(0), &key, 7);
    }
    assert_eq!(circuits.state(at(0), &key), (CircuitState::Closed, 100, None));
}

#[test]
fn long_command_lines_have_short_keys_of_their_own() {
    let long = |end: &str| Key::of_command(&format!("{}{end}", "é".repeat(5_000)));
    assert!(long("a") != long("b") && long("a") == long("a"));
    assert!(long("a").as_str().chars().count() < 220);
    assert_eq!(Key::of_command("  make \n"), Key::of_command("make"));
}

#[test]
fn the_table_is_bounded() {
    let mut circuits = Circuits::new(SETTINGS);
    for number in 0..2 * limits::CIRCUITS as u64 {
        circuits.failed(at(number), &Key::of_command(&number.to_string()), 1);
    }
    assert_eq!(circuits.keys().count(), limits::CIRCUITS);
    assert!(circuits.keys().all(|key| key.as_str().parse::<u64>().unwrap() >= limits::CIRCUITS as u64));
}

#[derive(Clone, Debug)]
enum Input {
    Fail(u64),
    Succeed,
    Ask,
    Wait(u64),
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => (0_u64..6).prop_map(Input::Fail),
        1 => Just(Input::Succeed),
        4 => Just(Input::Ask),
        2 => (0_u64..40_000).prop_map(Input::Wait),
    ]
}

proptest! {
    /// Whatever happens: closed lets all through, open none, half open one for each open time; a refusal
    /// names a moment to come, no later than an open time away; and only a success closes.
    #[test]
    fn a_circuit_keeps_its_word(inputs in proptest::collection::vec(input(), 0..200)) {
        let (mut circuits, key) = (Circuits::new(SETTINGS), key());
        let mut ms = 0;
        let mut failing = std::collections::BTreeSet::new();
        for input in inputs {
            let (before, failures, _) = circuits.state(at(ms), &key);
            match input {
                Input::Fail(source) => {
                    failing.insert(source);
                    circuits.failed(at(ms), &key, source);
                    let (after, count, until) = circuits.state(at(ms), &key);
                    prop_assert_eq!(count, failures + 1);
                    prop_assert!(after != CircuitState::Closed || failing.len() < 3);
                    prop_assert_eq!(after == CircuitState::Open, until.is_some());
                }
                Input::Succeed => {
                    failing.clear();
                    circuits.succeeded(&key);
                    prop_assert_eq!(circuits.state(at(ms), &key), (CircuitState::Closed, 0, None));
                }
                Input::Ask => match circuits.admit(at(ms), &key) {
                    Ok(()) => {
                        prop_assert!(before != CircuitState::Open);
                        let again = circuits.admit(at(ms), &key);
                        prop_assert_eq!(again.is_ok(), before == CircuitState::Closed);
                    }
                    Err(refusal) => {
                        prop_assert!(before != CircuitState::Closed);
                        prop_assert!(refusal.until > at(ms).moment);
                        prop_assert!(refusal.until <= at(ms).moment.after(SETTINGS.circuit_open));
                        prop_assert_eq!(circuits.refusal(at(ms), &key), Some(refusal));
                    }
                },
                Input::Wait(more) => {
                    ms += more;
                    let (after, same, _) = circuits.state(at(ms), &key);
                    prop_assert_eq!(same, failures);
                    prop_assert_eq!(after == CircuitState::Closed, before == CircuitState::Closed);
                }
            }
        }
    }
}

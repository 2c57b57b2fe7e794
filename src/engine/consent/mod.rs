//! Whether a program that asks for a yes or a no gets its yes from the server (`autoAccept`).
//!
//! A worker tells of a question once its program has stopped for the answer: it is the last thing on the screen,
//! nothing was printed or typed for [`limits::PROMPT_SETTLE`], and the program
//! sleeps in a read of the terminal. What is then decided is committed as an event before a key is typed, and the
//! worker types it only if the question still stands there untouched. Each appearance is decided once. What a program
//! prints less than a millisecond before the key cannot be seen in time; `mishap` says what is told of it afterwards.
//!
//! # The risk
//!
//! `subject` says what the question is about (a file, a command that is shown, a host, or just going on with the
//! command that runs), `shell` and `program` what the commands do, `place` where the files lie. Each rule that
//! fires has a score, and the highest is the risk:
//!
//! | score | rules |
//! |---|---|
//! | 1, 2 | it only looks, inside or outside of the session's directory |
//! | 3 | it writes inside |
//! | 5 | nothing tells what it does |
//! | 6 | it deletes; may write over what it does not name; goes to the network; brings in code of others |
//! | 7 | it changes what lies outside; discards work; grants trust for good |
//! | 8 | it hides what it runs (`$(…)`, `sh -c`, `-exec`); deletes directories; acts as another user or on the machine; changes what others see; trusts a host |
//! | 9 | it changes directories of the machine; touches keys and passwords |
//! | 10 | it cannot be undone; touches what is protected; asks for a secret |
//!
//! Inside is the directory that the session was created in, or moved to by `session_migrate`, wherever its shell
//! has gone since; what was made after another session keeps that one's. A system directory is inside only if
//! the session was created in it. The answer is yes if the risk is at most the session's threshold, and in four cases never:
//! where a protected pattern is touched (also by what may take it along unnamed), where a secret is asked for, where
//! the question may begin above the screen, and where the same one comes again and again or too many come in a minute.
//!
//! Names are all that is judged: no file is looked at and nothing is run, so a script is unknown and a link is
//! where it stands. What a program shows can lie; the threshold says how far it is believed.

mod mishap;
mod place;
mod program;
mod risk;
mod rule;
mod shell;
mod subject;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use super::{EffectKind, Engine, Step};
use crate::clock::{Moment, Now};
use crate::id::SessionId;
use crate::limits;
use crate::model::{AutoAccept, EventKind};
pub use mishap::Mishap;
use place::Places;
use risk::Assessment;
pub use subject::Question;

/// Characters of a question that its event keeps.
const QUESTION: usize = 300;
const MINUTE: Duration = Duration::from_secs(60);

/// A question that a program waits to have answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it asks.
    pub question: Question,
    /// Where the program works.
    pub directory: Option<PathBuf>,
    /// Its command line, unless it is the shell.
    pub program: Option<String>,
}

/// What a session was asked of late, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Consent {
    last: Option<Decided>,
    /// Where the output stood at the last answer: until it goes on nothing is answered again.
    answered_at: Option<u64>,
    /// When it was answered, within the last minute.
    answers: VecDeque<Moment>,
}

#[derive(Debug)]
struct Decided {
    /// See [`Question::identity`].
    question: String,
    /// See [`Question::words`].
    words: String,
    settings: AutoAccept,
    /// How often this question was answered in a row; 0 when it was left.
    answers: u32,
    /// Whether anything was typed since.
    is_over: bool,
}

/// What becomes of a question.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Answer(&'static str),
    /// It is left to the caller, for this reason.
    Leave(String),
}

impl Consent {
    /// What becomes of a question that stands at `cursor`; none where that was decided.
    fn decide(
        &mut self,
        now: Moment,
        cursor: u64,
        question: &Question,
        settings: &AutoAccept,
        assessment: &Assessment,
    ) -> Option<Decision> {
        let yes = question.yes;
        let words = question.words();
        let question = question.identity();
        let same = self.last.as_ref().filter(|last| last.question == question);
        let is_decided = |last: &Decided| !last.is_over && last.settings == *settings;
        if self.answered_at == Some(cursor) || same.is_some_and(is_decided) {
            return None;
        }
        let in_a_row = same.filter(|last| last.words == words).map_or(0, |last| last.answers);
        self.answers.retain(|at| now < at.after(MINUTE));
        let decision = self.judge(yes, settings, assessment, in_a_row);
        let is_answer = matches!(decision, Decision::Answer(_));
        if is_answer {
            self.answered_at = Some(cursor);
            self.answers.push_back(now);
        }
        self.last = Some(Decided {
            question,
            words,
            settings: settings.clone(),
            answers: if is_answer { in_a_row + 1 } else { 0 },
            is_over: false,
        });
        Some(decision)
    }

    fn judge(
        &self,
        yes: Option<&'static str>,
        settings: &AutoAccept,
        assessment: &Assessment,
        in_a_row: u32,
    ) -> Decision {
        let leave = |why: String| Decision::Leave(why);
        let Some(yes) = yes else { return leave("a secret is never typed".to_owned()) };
        if let Some(what) = &assessment.protected {
            return leave(format!("protected: {what}"));
        }
        if assessment.is_cut {
            return leave("what is asked may begin above the screen".to_owned());
        }
        let threshold = settings.risk_threshold;
        if assessment.risk > threshold {
            return leave(format!("risk {} is above the threshold {threshold}", assessment.risk));
        }
        if in_a_row >= limits::SAME_ANSWERS {
            return leave(format!("the same was answered {in_a_row} times in a row"));
        }
        if self.answers.len() >= limits::ANSWERS_A_MINUTE {
            return leave(format!("{} answers were given within a minute", self.answers.len()));
        }
        Decision::Answer(yes)
    }

    /// Whether an answer to what shows at `cursor` is on its way.
    pub(super) fn answers_at(&self, cursor: u64) -> bool {
        self.answered_at == Some(cursor)
    }

    /// Something was typed: what is asked from now on is asked anew.
    pub(super) fn typed(&mut self) {
        if let Some(last) = &mut self.last {
            last.is_over = true;
        }
    }
}

impl Engine {
    /// A program in a session waits for a yes or a no.
    pub(super) fn asked(&mut self, now: Now, id: &SessionId, asked: &Asked, step: &mut Step) {
        let running = self.running(id).map(|command| command.text.clone());
        let Some(entry) = self.sessions.get_mut(id) else { return };
        let settings = &entry.session.auto_accept;
        if !settings.enabled || entry.going.is_some() {
            return;
        }
        let commands: Vec<&str> = running.iter().chain(&asked.program).map(String::as_str).collect();
        let places = Places {
            root: entry.session.root(),
            directory: asked.directory.as_ref().unwrap_or(&entry.session.working_directory),
            protected: &settings.protected_patterns,
        };
        let assessment = risk::assess(&asked.question, &commands, &places);
        let cursor = entry.cursor;
        let decided = entry.consent.decide(now.moment, cursor, &asked.question, settings, &assessment);
        let Some(decision) = decided else { return };
        let (answer, left) = match decision {
            Decision::Answer(keys) => {
                step.effect(id, EffectKind::Answer { keys, at: cursor });
                (Some(in_words(keys)), None)
            }
            Decision::Leave(why) => (None, Some(why)),
        };
        let question = asked.question.in_words().chars().take(QUESTION).collect();
        let Assessment { risk, rules, .. } = assessment;
        self.note(now, id, EventKind::Prompt { question, risk, rules, answer, left }, step);
    }
}

/// `y`, `yes`, `1`; Enter is understood where a word is typed, and named where it is all.
fn in_words(keys: &str) -> String {
    let word = keys.trim_end_matches('\r');
    if word.is_empty() { "enter".to_owned() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question(text: &str, yes: Option<&'static str>) -> Question {
        Question { text: text.to_owned(), yes, ..Question::default() }
    }

    fn settings(risk_threshold: u8) -> AutoAccept {
        AutoAccept { enabled: true, risk_threshold, protected_patterns: Vec::new() }
    }

    fn assessment(risk: u8) -> Assessment {
        Assessment { risk, rules: Vec::new(), protected: None, is_cut: false }
    }

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn an_appearance_is_decided_once() {
        let mut consent = Consent::default();
        let asked = question("Go on? [y/N]", Some("y\r"));
        let decide = |consent: &mut Consent, cursor, threshold| {
            consent.decide(at(1), cursor, &asked, &settings(threshold), &assessment(5))
        };
        let left = Some(Decision::Leave("risk 5 is above the threshold 3".to_owned()));
        assert_eq!(decide(&mut consent, 10, 3), left);
        assert_eq!(decide(&mut consent, 10, 3), None);
        assert_eq!(decide(&mut consent, 12, 3), None, "a program draws it once more");
        assert_eq!(decide(&mut consent, 12, 5), Some(Decision::Answer("y\r")), "it is allowed now");
        assert_eq!(decide(&mut consent, 12, 5), None);
        assert_eq!(decide(&mut consent, 12, 7), None, "the answer is on its way");
        consent.typed();
        assert_eq!(decide(&mut consent, 12, 7), None, "the program has not taken it yet");
        assert_eq!(decide(&mut consent, 20, 7), Some(Decision::Answer("y\r")), "it asks again");
        consent.typed();
        assert_eq!(decide(&mut consent, 30, 3), left);
        consent.typed();
        assert_eq!(decide(&mut consent, 40, 3), left, "the caller answered, and it asks again");
    }

    #[test]
    fn a_number_makes_no_other_question() {
        let same = |one: &Question, other: &Question| one.identity() == other.identity();
        let line = |text: &str, shown: &str, is_menu| Question {
            shown: vec![shown.to_owned()],
            is_menu,
            ..question(text, Some("y\r"))
        };
        assert!(same(
            &line("Retry? [y/N]", "attempt 1 failed", false),
            &line("Retry? [y/N]", "attempt 12 failed", false)
        ));
        assert!(!same(&line("Go on? [y/N]", "it deletes", false), &line("Go on? [y/N]", "it lists", false)));
        assert!(same(&line("Go in 10 s? [y/N]", "", false), &line("Go in 9 s? [y/N]", "", false)));
        assert!(!same(&line("Do it?", "ls", true), &line("Do it?", "rm x", true)), "another command");
        assert!(!same(&question("Go?", None), &question("Go?", Some("y\r"))));
    }

    #[test]
    fn answers_do_not_run_in_circles() {
        let mut consent = Consent::default();
        let mut answers = 0;
        for cursor in 0..10 {
            let asked = question("Go on? [y/N]", Some("y\r"));
            let decision = consent.decide(at(1), cursor, &asked, &settings(9), &assessment(1));
            answers += u32::from(matches!(decision, Some(Decision::Answer(_))));
            if answers == limits::SAME_ANSWERS && !matches!(decision, Some(Decision::Answer(_))) {
                let Some(Decision::Leave(why)) = decision else { panic!("{decision:?}") };
                assert_eq!(why, "the same was answered 3 times in a row");
                break;
            }
            consent.typed();
        }
        assert_eq!(answers, limits::SAME_ANSWERS);

        let mut consent = Consent::default();
        for number in 0..9 {
            let asked = question(&format!("rm: remove regular file 'log{number}'?"), Some("y\r"));
            let decision = consent.decide(at(1), number, &asked, &settings(9), &assessment(6));
            assert_eq!(decision, Some(Decision::Answer("y\r")), "another file each time");
            consent.typed();
        }

        let mut consent = Consent::default();
        let mut ask = |number: u64, seconds| {
            let asked = question(
                &format!("Remove {}? [y/N]", "x".repeat(usize::try_from(number).unwrap())),
                Some("y\r"),
            );
            consent.typed();
            consent.decide(at(seconds), number, &asked, &settings(9), &assessment(1))
        };
        let most = limits::ANSWERS_A_MINUTE as u64;
        for number in 0..most {
            assert_eq!(ask(number, 1), Some(Decision::Answer("y\r")));
        }
        assert!(matches!(ask(most, 60), Some(Decision::Leave(_))));
        assert_eq!(ask(most + 1, 61), Some(Decision::Answer("y\r")), "a minute has passed");
    }

    proptest! {
        #[test]
        fn nothing_is_answered_above_the_threshold_or_twice(
            asked in prop::collection::vec((0_u64..4, 0_u8..=10, 0_u8..=10, any::<bool>(), any::<bool>(), 0_u8..3), 1..60)
        ) {
            let mut consent = Consent::default();
            let (mut cursor, mut answered) = (0, std::collections::HashSet::new());
            for (number, (ahead, risk, threshold, is_secret, is_protected, typed)) in asked.into_iter().enumerate() {
                cursor += ahead;
                // Without output between, the screen shows the same.
                let text = ["a", "a", "b"][usize::try_from(cursor % 3).unwrap()];
                let asked = question(text, (!is_secret).then_some("y\r"));
                let protected = is_protected.then(|| "x".to_owned());
                let assessment = Assessment { protected, ..assessment(risk) };
                let decision = consent.decide(at(number as u64), cursor, &asked, &settings(threshold), &assessment);
                if matches!(decision, Some(Decision::Answer(_))) {
                    prop_assert!(risk <= threshold && !is_secret && !is_protected);
                    prop_assert!(answered.insert(cursor), "answered twice");
                    prop_assert!(consent.answers.len() <= limits::ANSWERS_A_MINUTE);
                    // The same question again, without anything that was typed or printed.
                    let again = consent.decide(at(number as u64), cursor, &asked, &settings(threshold), &assessment);
                    prop_assert_eq!(again, None);
                }
                if typed == 0 {
                    consent.typed();
                }
            }
        }
    }
}

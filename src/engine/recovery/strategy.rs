//! What is done first about a session, by what was asked for and by what is wrong.

use crate::model::{FailureCategory, RecoveryStrategy};

/// Where a session stands, as far as that decides what can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has no shell.
    Gone,
    /// Its shell has shown no prompt yet.
    Starting,
    /// A signal holds its shell.
    Stopped,
    /// It may not use any more processor time, whatever runs in it.
    Spent,
    /// Something runs.
    Busy,
    /// It waits for a command.
    AtPrompt,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Nothing is wrong with the session.
    Nothing,
    /// The shell is let go on.
    Resume,
    /// What runs in the foreground is interrupted, then killed.
    Interrupt,
    /// What runs in the foreground is asked to end.
    Terminate,
    /// A fresh shell as the old one was.
    Restart,
    /// A fresh shell as created.
    Reset,
    /// Another session takes over.
    TakeOver,
    /// What was asked for cannot help.
    GiveUp,
}

impl Move {
    /// The strategy that a move stands for, where it is one.
    pub(super) fn strategy(self) -> Option<RecoveryStrategy> {
        match self {
            Move::Nothing | Move::GiveUp | Move::Resume => None,
            Move::Interrupt => Some(RecoveryStrategy::Interrupt),
            Move::Terminate => Some(RecoveryStrategy::Graceful),
            Move::Restart => Some(RecoveryStrategy::Restart),
            Move::Reset => Some(RecoveryStrategy::Reset),
            Move::TakeOver => Some(RecoveryStrategy::Failover),
        }
    }
}

/// The first move. What category it is matters only where nothing is wrong with the session itself.
pub(super) fn first(
    strategy: RecoveryStrategy,
    category: Option<FailureCategory>,
    standing: Standing,
) -> Move {
    use RecoveryStrategy::{Auto, Failover, Graceful, Interrupt, Reset, Restart};
    match (strategy, standing) {
        (Failover, _) => Move::TakeOver,
        (Reset, _) => Move::Reset,
        (Restart, _) | (Auto | Graceful, Standing::Gone | Standing::Starting | Standing::Spent) => {
            Move::Restart
        }
        (Auto | Graceful | Interrupt, Standing::Stopped) => Move::Resume,
        (Auto | Interrupt, Standing::Busy) => Move::Interrupt,
        (Graceful, Standing::Busy) => Move::Terminate,
        // What runs there is no hang: only what ran is in question.
        (Auto, Standing::AtPrompt) if category.is_some_and(FailureCategory::is_hopeless) => Move::GiveUp,
        (Auto | Graceful | Interrupt, Standing::AtPrompt) => Move::Nothing,
        (Interrupt, Standing::Gone | Standing::Starting | Standing::Spent) => Move::GiveUp,
    }
}

/// What follows a move that did not help.
pub(super) fn next(strategy: RecoveryStrategy, tried: Move) -> Move {
    match (strategy, tried) {
        (
            RecoveryStrategy::Auto | RecoveryStrategy::Graceful,
            Move::Resume | Move::Interrupt | Move::Terminate,
        ) => Move::Restart,
        // A shell that would not start is started again, as often as the attempts allow.
        (_, Move::Restart | Move::Reset) => tried,
        (_, _) => Move::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FailureCategory::*;

    #[test]
    fn auto_takes_the_mildest_move_that_can_help() {
        use Standing::*;
        for (category, standing, expected) in [
            (Some(Crash), Gone, Move::Restart),
            (Some(ConnectionLost), Gone, Move::Restart),
            (Some(MissingDirectory), Gone, Move::Restart),
            (Some(SpawnFailed), Gone, Move::Restart),
            // By hand, what failed for want of a program is tried once: it may be there now.
            (Some(CommandNotFound), Gone, Move::Restart),
            (Some(Hang), Starting, Move::Restart),
            (Some(Hang), Stopped, Move::Resume),
            (Some(CpuLimit), Spent, Move::Restart),
            (Some(Timeout), Busy, Move::Interrupt),
            (Some(MemoryLimit), Busy, Move::Interrupt),
            (Some(CpuLimit), Busy, Move::Interrupt),
            (None, Busy, Move::Interrupt),
            (None, AtPrompt, Move::Nothing),
            (Some(RateLimit), AtPrompt, Move::Nothing),
            (Some(Timeout), AtPrompt, Move::Nothing),
            (Some(Unknown), AtPrompt, Move::Nothing),
            (Some(CommandNotFound), AtPrompt, Move::GiveUp),
            (Some(Authentication), AtPrompt, Move::GiveUp),
            (Some(PermissionDenied), AtPrompt, Move::GiveUp),
        ] {
            assert_eq!(
                first(RecoveryStrategy::Auto, category, standing),
                expected,
                "{category:?} {standing:?}"
            );
        }
    }

    #[test]
    fn what_does_not_help_is_followed_by_something_firmer_or_given_up() {
        use RecoveryStrategy::*;
        for (strategy, tried, expected) in [
            (Auto, Move::Resume, Move::Restart),
            (Auto, Move::Interrupt, Move::Restart),
            (Graceful, Move::Terminate, Move::Restart),
            (Interrupt, Move::Interrupt, Move::GiveUp),
            (Interrupt, Move::Resume, Move::GiveUp),
            (Restart, Move::Restart, Move::Restart),
            (Reset, Move::Reset, Move::Reset),
        ] {
            assert_eq!(next(strategy, tried), expected, "{strategy:?} {tried:?}");
        }
    }
}

//! What sessions ran of late, as far as the commands in memory tell.

use std::collections::HashMap;

use super::Engine;
use crate::clock::Timestamp;
use crate::id::SessionId;

/// Commands that ended with an exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// All of them.
    pub commands: u32,
    /// Those that failed.
    pub failed: u32,
}

/// Commands that a session's response time is the mean of.
const RESPONSES: u32 = 20;

impl Engine {
    /// What ended in each session at `since` or later.
    pub fn ended_since(&self, since: Timestamp) -> HashMap<SessionId, Ended> {
        let mut found: HashMap<SessionId, Ended> = HashMap::new();
        // They are in the order of their ends.
        let commands = self.ended_commands.iter().rev().filter_map(|id| self.command(id));
        let recent = commands.take_while(|command| command.ended_at.is_some_and(|at| at >= since));
        for command in recent.filter(|command| command.exit_code().is_some()) {
            let ended = found.entry(command.session.clone()).or_default();
            ended.commands += 1;
            ended.failed += u32::from(!command.is_success());
        }
        found
    }

    /// Milliseconds from the moment a command was given to a session's shell to the news of its end, less
    /// the time that it ran: nearly all of it passes before it begins. The mean over the latest twenty that
    /// this server ran.
    pub fn responses(&self) -> HashMap<SessionId, f64> {
        let mut found: HashMap<&SessionId, (f64, u32)> = HashMap::new();
        for entry in self.ended_commands.iter().rev().filter_map(|id| self.commands.get(id)) {
            let Some(response) = entry.response else { continue };
            let (sum, count) = found.entry(&entry.command.session).or_default();
            if *count < RESPONSES {
                *sum += response.as_secs_f64() * 1_000.0;
                *count += 1;
            }
        }
        found.into_iter().map(|(session, (sum, count))| (session.clone(), sum / f64::from(count))).collect()
    }
}

//! Which secrets a session knows, and what is written and told of it without them.

use std::sync::Arc;

use serde_json::Value;
use tracing::warn;

use super::{Dispatcher, Live, worker};
use crate::engine::report::RecoveryReport;
use crate::engine::{Effect, EffectKind, Reply};
use crate::error::Error;
use crate::id::SessionId;
use crate::model::{Command, Message, Record, Task, secret};
use crate::orchestrator::secrets::{Secrets, told_event};

impl Dispatcher {
    /// The secrets that a session knows.
    pub(super) fn secrets(&self, session: &SessionId) -> Secrets {
        match self.live.get(session) {
            Some(live) => live.secrets.clone(),
            None => Secrets::new(self.configured.clone()),
        }
    }

    /// What is written of a record.
    pub(super) fn redacted(&self, record: Record) -> Record {
        match record {
            Record::Session(session) => {
                Record::Session(Box::new(self.secrets(&session.id).session(*session)))
            }
            Record::Command(command) => {
                Record::Command(Box::new(self.secrets(&command.session).command(*command)))
            }
            Record::Event(event) => {
                let secrets =
                    event.session.as_ref().and_then(|id| self.live.get(id)).map(|live| &live.secrets);
                Record::Event(match secrets {
                    Some(secrets) => secrets.event(event),
                    None => told_event(event, &self.configured),
                })
            }
            Record::Graph { run, tasks } => {
                let tasks = tasks.iter().map(|task| self.redacted_task(task)).collect();
                Record::Graph { run, tasks }
            }
            Record::Agent(mut agent) => {
                agent.role.iter_mut().for_each(|role| self.blot_all(role));
                Record::Agent(agent)
            }
            Record::Message(message, receivers) => {
                let mut message = Message::clone(&message);
                self.blot_all(&mut message.payload);
                Record::Message(Arc::new(message), receivers)
            }
            Record::Pool { name, mut plan } => {
                self.blot_all(&mut plan);
                Record::Pool { name, plan }
            }
            Record::Run(_)
            | Record::Removed(_)
            | Record::PoolGone(_)
            | Record::Task { .. }
            | Record::Estimate { .. }
            | Record::AgentGone(_)
            | Record::Received(..) => record,
        }
    }

    /// Blots the secrets of all sessions out of what may be about any.
    pub(super) fn blot_all(&self, value: &mut Value) {
        Secrets::new(self.configured.clone()).blot_json(value);
        self.live.values().for_each(|live| live.secrets.blot_json(value));
    }

    /// A task without the values of variables that are named like secrets, wherever these stand.
    fn redacted_task(&self, task: &Task) -> Task {
        let secrets = Secrets::new(self.configured.clone());
        for value in secret::values(&task.env) {
            secrets.add(value.as_bytes());
        }
        let mut task = task.clone();
        secrets.blot(&mut task.text);
        task.stdin.iter_mut().for_each(|stdin| secrets.blot(stdin));
        task.env = secret::redacted(&task.env);
        task.env.values_mut().for_each(|value| secrets.blot(value));
        task.metadata
            .iter_mut()
            .flat_map(|labels| labels.values_mut())
            .for_each(|value| secrets.blot_json(value));
        task
    }

    /// What is told about a command.
    pub(super) fn told_command(&self, command: &Command) -> Command {
        self.secrets(&command.session).command(command.clone())
    }

    /// What is told of a change that was made.
    pub(super) fn told(&self, reply: Reply) -> Reply {
        match reply {
            Reply::Session(session) => Reply::Session(Box::new(self.secrets(&session.id).session(*session))),
            Reply::Commands(commands) => {
                let told =
                    commands.into_iter().map(|command| self.secrets(&command.session).command(command));
                Reply::Commands(told.collect())
            }
            Reply::Recovery(report) => Reply::Recovery(Box::new(self.told_report(*report))),
            Reply::Run(_)
            | Reply::Cancelled(_)
            | Reply::RunView(_)
            | Reply::Sessions(_)
            | Reply::Bus(_)
            | Reply::Pool(_)
            | Reply::Done => reply,
        }
    }

    /// What is told of a recovery.
    pub(super) fn told_report(&self, mut report: RecoveryReport) -> RecoveryReport {
        let secrets = self.secrets(&report.session);
        report.actions.iter_mut().for_each(|action| secrets.blot(action));
        report
    }

    /// What is told of an error. It may be about any session: it is searched for the secrets of all.
    pub(super) fn told_error(&self, mut error: Error) -> Error {
        self.blot_of_all(&mut error.message);
        for live in self.live.values() {
            error.details.iter_mut().for_each(|details| live.secrets.blot_json(details));
        }
        error
    }

    /// Takes the secrets of all sessions out of a text that may be about any.
    pub(super) fn blot_of_all(&self, text: &mut String) {
        for live in self.live.values() {
            live.secrets.blot(text);
        }
    }

    /// Learns the secrets of what is about to be carried out, before anything of it is written. What a
    /// session was told earlier it does not forget with a fresh shell.
    pub(super) fn learn(&mut self, effect: &Effect) {
        match &effect.kind {
            EffectKind::Spawn(spawn) => {
                let Some(session) = self.engine.session(&effect.session).cloned() else { return };
                let environment = worker::environment(spawn, &effect.session);
                let live = self.live_entry(&session);
                // The values in a session's environment must not reach its log either.
                environment
                    .iter()
                    .filter(|(name, _)| name.to_str().is_some_and(secret::is_secret_name))
                    .filter_map(|(_, value)| value.to_str())
                    .for_each(|value| keep_out(live, value));
            }
            EffectKind::Run(run) => {
                if let Some(live) = self.live.get(&effect.session) {
                    secret::values(run.command.env.iter().chain(&run.exports))
                        .for_each(|value| keep_out(live, value));
                }
            }
            EffectKind::Interrupt
            | EffectKind::Kill
            | EffectKind::Terminate
            | EffectKind::Resume
            | EffectKind::EndOffenders { .. }
            | EffectKind::Bound(_)
            | EffectKind::WatchPrompts(_)
            | EffectKind::Answer { .. }
            | EffectKind::Resize(_)
            | EffectKind::Close { .. }
            | EffectKind::Forget
            | EffectKind::Remove => {}
        }
    }
}

fn keep_out(live: &Live, value: &str) {
    if !live.secrets.add(value.as_bytes()) {
        warn!(session = %live.watch.borrow().id, "a variable named like a secret is one too many to keep out of the log");
    }
}

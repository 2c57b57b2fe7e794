//! A circuit closes, and what waited for it goes on at once: tasks between two attempts, sessions that were
//! not recovered, monitors that were refused. Who waits for an ordinary pause waits on.

use super::Key;
use crate::clock::Now;
use crate::engine::deadline::Deadline;
use crate::engine::schedule::TaskKey;
use crate::engine::{Engine, Reply, TimerKey};
use crate::id::{CommandId, SessionId};
use crate::limits;

impl Engine {
    /// Closes a circuit because a caller says so.
    pub(in crate::engine) fn reset_circuit(&mut self, now: Now, key: &str) -> Reply {
        let key = self.circuit_key(key);
        self.circuits.succeeded(&key);
        self.release(now, &key);
        Reply::Done
    }

    /// A command went well, and with it all that is of its circuit.
    pub(in crate::engine) fn close_circuit(&mut self, now: Now, id: &CommandId) {
        if self.circuits.is_empty() {
            return;
        }
        let Some(entry) = self.commands.get(id) else { return };
        let key = self.key_of(entry);
        if self.circuits.succeeded(&key) {
            self.release(now, &key);
        }
    }

    /// Lets go of what the circuit held back.
    pub(super) fn release(&mut self, now: Now, key: &Key) {
        let is_held = |task: TaskKey| {
            let run = self.schedule.run(task.0);
            run.is_some_and(|entry| Key::of_task(&entry.tasks[task.1 as usize]) == *key)
        };
        let held = self.deadlines.iter().filter_map(|(at, deadline)| match deadline {
            Deadline::Held(task) if is_held(*task) => Some((*at, *task)),
            _ => None,
        });
        let held: Vec<(TimerKey, TaskKey)> = held.collect();
        for (number, (at, task)) in (0_u32..).zip(held) {
            self.deadlines.remove(&at);
            self.next_number += 1;
            let at = now.moment.after(limits::RELEASE_PAUSE * (number / limits::RELEASED_AT_ONCE));
            self.deadlines.insert((at, self.next_number), Deadline::Held(task));
        }
        let waits = self.sessions.iter().filter(|(_, entry)| {
            let recovery = &entry.recovery;
            recovery.course.is_none() && (recovery.timer.is_some() || recovery.refused_until.is_some())
        });
        let waits = waits.map(|(id, _)| id.clone()).filter(|id| self.culprit(id).as_ref() == Some(key));
        for id in waits.collect::<Vec<SessionId>>() {
            let Some(entry) = self.sessions.get_mut(&id) else { continue };
            if let Some(until) = &mut entry.recovery.refused_until {
                *until = now.moment;
            }
            if entry.recovery.timer.is_some() {
                self.wake(now, &id, now.moment);
            }
        }
    }
}

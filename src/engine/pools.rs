//! Pools of warm sessions under a name. A member is a session with a capability of its own, and what a pool
//! executes is a task that requires it: so who waits for a member, how long, and what becomes of a command whose
//! member breaks, is the scheduler's matter. Here is only how many members there are: as many as were asked
//! for, whatever becomes of them. A pool outlives its server: the next one makes its members again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::heritage::known;
use super::report::PoolView;
use super::request::{CloseMode, NewPool};
use super::schedule::TaskKey;
use super::sessions::Creation;
use super::{Deadline, Engine, Reply, Step};
use crate::clock::Now;
use crate::error::{Error, ErrorCode, Result};
use crate::id::{CommandId, SessionId};
use crate::limits;
use crate::model::{EndReason, Record, SessionKind, Status, secret};

/// All pools.
#[derive(Debug, Default)]
pub(super) struct Pools {
    by_name: BTreeMap<String, Pool>,
    /// Whether a member may be missing.
    is_due: bool,
}

#[derive(Debug)]
struct Pool {
    plan: NewPool,
    /// Whether each has been at its prompt.
    members: BTreeMap<SessionId, bool>,
    /// Members made so far.
    made: usize,
    /// Members in a row that never came to their prompt.
    failures: u32,
}

impl Pool {
    /// Whether so many members in a row did not start that no more are made.
    fn has_failed(&self) -> bool {
        self.failures >= limits::POOL_FAILURES
    }
}

impl Pools {
    /// Whether this is a member that has not been at its prompt.
    pub(super) fn is_starting(&self, id: &SessionId) -> bool {
        self.by_name.values().any(|pool| pool.members.get(id) == Some(&false))
    }

    /// Whether one of these is what only the members of a pool can do: it gets others in their place.
    pub(super) fn replace(&self, requirements: &[String]) -> bool {
        self.by_name.keys().any(|name| requirements.contains(&pool_capability(name)))
    }

    fn is_member(&self, id: &SessionId) -> bool {
        self.by_name.values().any(|pool| pool.members.contains_key(id))
    }
}

/// What is written of a pool.
fn recorded(plan: &NewPool) -> Result<Value> {
    let mut plan = plan.clone();
    plan.new.env = secret::redacted(&plan.new.env);
    serde_json::to_value(plan).map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))
}

/// What the tasks of a pool require.
pub fn pool_capability(name: &str) -> String {
    format!("pool:{name}")
}

impl Engine {
    /// Makes a pool; its members start.
    pub(super) fn create_pool(&mut self, plan: NewPool, step: &mut Step) -> Result<Reply> {
        let name = plan.name.clone();
        if self.pools.by_name.contains_key(&name) {
            return Err(Error::new(ErrorCode::DuplicateId, format!("there is a pool '{name}'"))
                .with_hint("delete it with pool_delete, or choose another name"));
        }
        if self.pools.by_name.len() >= limits::POOLS {
            return Err(Error::new(
                ErrorCode::LimitExceeded,
                format!("{} pools are the most that one server has", limits::POOLS),
            )
            .with_hint("delete one with pool_delete"));
        }
        if plan.new.kind == SessionKind::Observer || plan.dialect == crate::model::Dialect::Plain {
            return Err(super::refusals::no_commands("a member of this pool"));
        }
        let wanted =
            self.pools.by_name.values().map(|pool| pool.plan.size - pool.members.len()).sum::<usize>();
        self.check_room_for(wanted + plan.size)?;
        step.note_shared(Record::Pool { name: name.clone(), plan: recorded(&plan)? });
        self.add_pool(plan);
        self.pool(&name).map(|view| Reply::Pool(Box::new(view)))
    }

    fn add_pool(&mut self, plan: NewPool) {
        let pool = Pool { plan, members: BTreeMap::new(), made: 0, failures: 0 };
        self.pools.by_name.insert(pool.plan.name.clone(), pool);
        self.pools.is_due = true;
    }

    /// Takes over the pools of an earlier server. What was redacted in their settings is lost.
    pub fn restore_pools(&mut self, plans: Vec<NewPool>) {
        for mut plan in plans {
            plan.new.env = known(&plan.new.env);
            self.add_pool(plan);
        }
    }

    /// Ends a pool and its members.
    pub(super) fn delete_pool(&mut self, now: Now, name: &str, step: &mut Step) -> Result<Reply> {
        let view = self.pool(name)?;
        self.pools.by_name.remove(name);
        step.note_shared(Record::PoolGone(name.to_owned()));
        for member in &view.members {
            let status = Status::Terminated;
            self.close(now, member, status, CloseMode::Graceful, None, "its pool was deleted", step);
        }
        Ok(Reply::Pool(Box::new(view)))
    }

    /// Makes the members that are missing.
    pub(super) fn fill_pools(&mut self, now: Now, step: &mut Step) {
        if self.schedule.is_frozen || !std::mem::take(&mut self.pools.is_due) {
            return;
        }
        let names: Vec<String> = self.pools.by_name.keys().cloned().collect();
        for name in names {
            while let Some(pool) = self.pools.by_name.get_mut(&name)
                && pool.members.len() < pool.plan.size
                && !pool.has_failed()
            {
                pool.made += 1;
                let (plan, number) = (pool.plan.clone(), pool.made);
                let mut new = plan.new;
                new.name = Some(format!("{name}-{number}"));
                new.capabilities.push(pool_capability(&name));
                new.metadata.insert("pool".to_owned(), json!(name));
                let uuid = self.draw(now, plan.uuid);
                let (shell, dialect, directory) = (plan.shell, plan.dialect, plan.directory);
                let creation = Creation { uuid, shell, dialect, directory, command_uuid: plan.uuid };
                // No room now: whatever makes some is the end of a session, and comes here again.
                let Ok(session) = self.create_session(now, creation, new, step) else {
                    self.pools.is_due = false;
                    return;
                };
                if let Some(pool) = self.pools.by_name.get_mut(&name) {
                    pool.members.insert(session.id.clone(), false);
                }
                self.next_number += 1;
                let due = now.moment.after(limits::POOL_START);
                self.deadlines.insert((due, self.next_number), Deadline::PoolStart(session.id));
            }
        }
    }

    /// A session came to its prompt, or is gone, which makes room in any case.
    pub(super) fn pool_member_changed(&mut self, id: &SessionId, status: Status) {
        if self.pools.by_name.is_empty() {
            return;
        }
        for pool in self.pools.by_name.values_mut() {
            if status == Status::Idle
                && let Some(is_ready) = pool.members.get_mut(id)
            {
                *is_ready = true;
                pool.failures = 0;
            } else if !status.is_live()
                && let Some(was_ready) = pool.members.remove(id)
                && !was_ready
            {
                pool.failures += 1;
            }
        }
        self.pools.is_due |= !status.is_live();
    }

    /// A member whose shell is held by a signal is of no use any more.
    pub(super) fn pool_member_stopped(&mut self, now: Now, id: &SessionId, step: &mut Step) {
        if self.pools.is_member(id) {
            let (status, mode) = (Status::Terminated, CloseMode::Emergency);
            self.close(now, id, status, mode, None, "a signal stopped it: another takes its place", step);
        }
    }

    /// What a pool executes and its member never began, because its end came first, was not attempted: another
    /// member runs it. Returns whether the task waits for one now.
    pub(super) fn deliver_elsewhere(
        &mut self,
        now: Now,
        task: TaskKey,
        command: &CommandId,
        step: &mut Step,
    ) -> bool {
        let never_began = self
            .commands
            .get(command)
            .is_some_and(|entry| entry.never_began && entry.command.reason == Some(EndReason::SessionLost));
        let is_of_a_pool = self.schedule.run(task.0).is_some_and(|run| {
            let wish = run.wish(task.1);
            wish.session.is_none() && run.run.sessions.is_empty() && self.pools.replace(&wish.requirements)
        });
        let is_withdrawn = never_began
            && is_of_a_pool
            && self.schedule.run_mut(task.0).is_some_and(|run| run.withdraw(now, task.1));
        if is_withdrawn {
            self.note_run(now, task.0, step);
            self.schedule.is_due = true;
        }
        is_withdrawn
    }

    /// All pools, by name.
    pub fn pools(&self) -> impl Iterator<Item = PoolView> {
        self.pools.by_name.values().map(|pool| self.pool_view(pool))
    }

    fn pool(&self, name: &str) -> Result<PoolView> {
        let pool = self.pools.by_name.get(name);
        pool.map(|pool| self.pool_view(pool)).ok_or_else(|| {
            let known: Vec<&String> = self.pools.by_name.keys().take(20).collect();
            let shown: String = name.chars().take(80).collect();
            Error::invalid(format!("there is no pool '{shown}'"))
                .with_hint("pool_status shows what there is, pool_create makes one")
                .with_details(json!({"known": known}))
        })
    }

    fn pool_view(&self, pool: &Pool) -> PoolView {
        let ready = pool.members.keys().filter(|id| self.is_free(id)).count();
        let starting = pool.members.values().filter(|is_ready| !**is_ready).count();
        PoolView {
            name: pool.plan.name.clone(),
            size: pool.plan.size,
            members: pool.members.keys().cloned().collect(),
            ready,
            starting,
            replaced: pool.made.saturating_sub(pool.plan.size),
            has_failed: pool.has_failed(),
            directory: pool.plan.directory.clone(),
        }
    }
}

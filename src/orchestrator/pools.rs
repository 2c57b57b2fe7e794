//! Pools of warm sessions, and what stands in for a session, as callers see them.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::dispatcher::Read;
use super::tasks::TasksUntil;
use super::{Orchestrator, sessions};
use crate::engine::report::{PoolView, TaskView};
use crate::engine::request::{CancelMode, NewAffinity, NewPool, NewRun, NewSession, TaskQuery};
use crate::engine::{Reply, Request, pool_capability};
use crate::error::{Error, ErrorCode, Result};
use crate::id::RunId;
use crate::limits;
use crate::model::{Priority, ResourceLimits, Session, Task, TaskKind};

/// Between two looks at a pool whose members start.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

impl Orchestrator {
    /// Lets other sessions run the tasks that name one.
    pub async fn set_affinity(&self, new: NewAffinity) -> Result<Session> {
        self.changed(Request::SetAffinity(new)).await
    }

    /// Makes a pool and waits until its members are at their prompts (at most [`limits::READY_WAIT`]).
    pub async fn create_pool(&self, name: String, size: usize, new: NewSession) -> Result<PoolView> {
        let (shell, dialect, directory) = sessions::looked_up(&new)?;
        let uuid = Uuid::new_v4();
        let plan = NewPool { name: name.clone(), size, new, shell, dialect, directory, uuid };
        self.pool_changed(Request::CreatePool(Box::new(plan))).await?;
        let started = async {
            loop {
                let view = self.pool(&name).await?;
                if view.has_failed || (view.starting == 0 && view.members.len() == view.size) {
                    return Ok(view);
                }
                for member in &view.members {
                    // One that is forgotten already is not awaited.
                    let _ = self.until_settled(member).await;
                }
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        let view = match tokio::time::timeout(limits::READY_WAIT, started).await {
            Ok(view) => view?,
            Err(_) => self.pool(&name).await?,
        };
        if view.has_failed {
            self.delete_pool(&name).await?;
            return Err(Error::new(
                ErrorCode::SpawnFailed,
                format!("the members of pool '{name}' do not start"),
            )
            .with_hint("try the same settings with session_create, and read what it prints"));
        }
        Ok(view)
    }

    /// Runs a command in the member that is free first, and waits for its end at most `wait`. It leaves nothing
    /// behind there.
    pub async fn pool_execute(
        &self,
        name: &str,
        text: String,
        timeout: Duration,
        wait: Duration,
    ) -> Result<(RunId, Option<TaskView>)> {
        let pool = self.pool(name).await?;
        if pool.has_failed && pool.members.is_empty() {
            return Err(Error::new(
                ErrorCode::SpawnFailed,
                format!("pool '{name}' has no members that start"),
            )
            .with_hint("delete it with pool_delete and make another"));
        }
        let task = Task {
            id: format!("{}{}", task_prefix(name), Uuid::new_v4().simple()),
            kind: TaskKind::Command,
            text,
            directory: Some(pool.directory),
            env: BTreeMap::new(),
            stdin: None,
            priority: Priority::Normal,
            dependencies: Vec::new(),
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            retries: None,
            requirements: vec![pool_capability(name)],
            session: None,
            weight: 1,
            ok_exit_codes: Some(vec![0]),
            limits: ResourceLimits::default(),
            metadata: None,
        };
        let run = self.distribute(NewRun { tasks: vec![task], ..NewRun::default() }).await?.run;
        let query = TaskQuery { run: Some(run.to_string()), ..TaskQuery::default() };
        if let Err(deleted) = self.pool(name).await {
            // It ended meanwhile, and nothing would ever run this.
            self.cancel_tasks(&query, CancelMode::Force).await?;
            return Err(deleted);
        }
        self.wait_tasks(&query, TasksUntil::Over, wait).await?;
        Ok((run, self.tasks(&query, 1).await?.tasks.pop()))
    }

    /// All pools, by name.
    pub async fn pools(&self) -> Result<Vec<PoolView>> {
        self.read(Read::Pools).await
    }

    /// Ends a pool, what runs in it, and what waits for it.
    pub async fn delete_pool(&self, name: &str) -> Result<PoolView> {
        let view = self.pool_changed(Request::DeletePool(name.to_owned())).await?;
        let query = TaskQuery { pattern: Some(format!("{}*", task_prefix(name))), ..TaskQuery::default() };
        self.cancel_tasks(&query, CancelMode::Graceful).await?;
        Ok(view)
    }

    /// The pool of this name.
    pub async fn pool(&self, name: &str) -> Result<PoolView> {
        let pools = self.pools().await?;
        let known: Vec<String> = pools.iter().take(20).map(|pool| pool.name.clone()).collect();
        pools.into_iter().find(|pool| pool.name == name).ok_or_else(|| {
            let shown: String = name.chars().take(80).collect();
            Error::invalid(format!("there is no pool '{shown}'"))
                .with_hint("pool_status shows what there is, pool_create makes one")
                .with_details(serde_json::json!({ "known": known }))
        })
    }

    async fn pool_changed(&self, request: Request) -> Result<PoolView> {
        match self.change(request).await?.reply {
            Reply::Pool(view) => Ok(*view),
            _ => Err(Error::new(ErrorCode::Internal, "a change of a pool was answered without one")),
        }
    }
}

/// What the ids of a pool's tasks begin with.
fn task_prefix(name: &str) -> String {
    format!("pool-{name}-")
}

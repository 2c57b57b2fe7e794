//! Waiting for a session's output or state, with a bound on every wait.

use std::time::Duration;

use regex::Regex;

use super::dispatcher::Access;
use super::sessions::look;
use super::{CommandWatch, Orchestrator, Until};
use crate::error::Result;
use crate::id::{CommandId, SessionId};
use crate::model::{Command, Dialect, Session, Status};
use crate::term::text::Renderer;

/// How often a terminal is looked at while waiting for its program to want input.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Output that is searched at a time.
const SEARCH_BYTES: usize = 64 << 10;

impl Orchestrator {
    /// Waits for something of a session's output, at most `wait`. Returns whether it came.
    ///
    /// What counts lies behind `since`; without one, it is the output of `command` if one is named, for a
    /// pattern the output of the command that runs or ran last, and else whatever comes from now on. When a
    /// command is named, its end is the end of the wait.
    pub async fn wait_output(
        &self,
        session: &SessionId,
        command: Option<&CommandId>,
        since: Option<u64>,
        until: Until,
        wait: Duration,
    ) -> Result<bool> {
        let access = self.access(session.as_str()).await?;
        let last = access.last_command.as_ref();
        // A command that was accepted a moment ago may begin before the wait does: its output counts from there.
        let begins = last.filter(|last| {
            matches!(until, Until::Match(_)) && last.output_from.is_none() && !last.is_ended()
        });
        let mut named = match command.or(begins.map(|command| &command.id)) {
            Some(id) => Some(self.command(id.as_str()).await?),
            None => None,
        };
        let come = async {
            let begin = match &mut named {
                Some(watch) => begin(watch).await,
                None if matches!(until, Until::Match(_)) => last.and_then(|command| command.output_from),
                None => None,
            };
            let since = since.or(begin).unwrap_or_else(|| access.output.end());
            let followed = named.clone().filter(|_| command.is_some());
            match (until, named) {
                (Until::Exit, Some(mut watch)) => watch.wait_for(Command::is_ended).await.is_ok(),
                (Until::Exit, None) => self.exit(session, &access).await,
                (Until::Output, _) => output_behind(&access, since, followed).await,
                (Until::Quiet(pause), _) => quiet(&access, pause).await,
                (Until::Match(pattern), _) => matching(&access, since, &pattern, followed).await,
                (Until::Idle, _) => self.idle(session, &access).await,
            }
        };
        Ok(tokio::time::timeout(wait, come).await.unwrap_or(false))
    }

    /// At the prompt, or the program in the foreground waits for input.
    async fn idle(&self, session: &SessionId, first: &Access) -> bool {
        let mut watch = first.watch.clone();
        loop {
            let Ok(access) = self.access(session.as_str()).await else { return false };
            if !access.session.status.is_live() {
                return true;
            }
            if let Some(look) = look(&access).await
                && (look.at_prompt || look.awaiting)
            {
                return true;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_PAUSE) => {}
                _ = watch.changed() => {}
            }
        }
    }

    /// The end of what runs: back at the prompt, another command in its place, or no shell left.
    async fn exit(&self, session: &SessionId, first: &Access) -> bool {
        let is_plain = first.session.dialect == Dialect::Plain;
        let running = first.last_command.as_ref().filter(|command| !command.is_ended()).map(|c| &c.id);
        let is_followed = |session: &Session| running.is_some() && session.last_command.as_ref() != running;
        let mut watch = first.watch.clone();
        loop {
            let may_be_over = |session: &Session| {
                !session.status.is_live()
                    || is_followed(session)
                    || (session.status == Status::Idle && !is_plain)
            };
            match watch.wait_for(may_be_over).await {
                Ok(session) if session.status.is_live() && !is_followed(&session) => {}
                Ok(_) => return true,
                Err(_) => return false,
            }
            // What was just typed at the prompt runs, though nobody has noticed it yet.
            let Ok(access) = self.access(session.as_str()).await else { return false };
            if look(&access).await.is_none_or(|look| look.at_prompt) {
                return true;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }
}

/// Where a command's output begins, as soon as it does; nowhere if the command never ran.
async fn begin(watch: &mut CommandWatch) -> Option<u64> {
    let begun = watch.wait_for(|command| command.output_from.is_some() || command.is_ended()).await;
    begun.ok().and_then(|command| command.output_from)
}

/// Where the output of a command that is followed ends, as soon as it does.
async fn end_of(followed: &mut Option<CommandWatch>) -> u64 {
    let ended = match followed {
        Some(watch) => watch.wait_for(Command::is_ended).await.ok().map(|command| command.output_to),
        None => None,
    };
    match ended {
        Some(to) => to.unwrap_or(0),
        None => std::future::pending().await,
    }
}

async fn output_behind(access: &Access, since: u64, mut followed: Option<CommandWatch>) -> bool {
    let mut end = access.output.subscribe();
    let mut watch = access.watch.clone();
    loop {
        if *end.borrow_and_update() > since {
            return true;
        }
        tokio::select! {
            to = end_of(&mut followed) => return to > since,
            changed = end.changed() => if changed.is_err() { return false },
            ended = watch.wait_for(|session| !session.status.is_live()) => {
                drop(ended);
                return access.output.end() > since;
            }
        }
    }
}

async fn quiet(access: &Access, pause: Duration) -> bool {
    let mut end = access.output.subscribe();
    // A log that nobody writes to any more is quiet too.
    while let Ok(Ok(())) = tokio::time::timeout(pause, end.changed()).await {}
    true
}

/// A line behind `since` that matches; the unfinished last line counts as it stands.
async fn matching(access: &Access, since: u64, pattern: &Regex, mut followed: Option<CommandWatch>) -> bool {
    let mut end = access.output.subscribe();
    let mut watch = access.watch.clone();
    let size = access.output.size();
    let mut renderer = Renderer::new(size.rows, size.cols);
    let mut from = since;
    loop {
        let to = *end.borrow_and_update();
        let mut found = false;
        while from < to {
            let chunk = access.output.read(from, to, SEARCH_BYTES);
            if chunk.bytes.is_empty() {
                break;
            }
            from = chunk.end();
            renderer.feed(&chunk.bytes, &mut |line| found |= pattern.is_match(line));
            if found {
                return true;
            }
            // There may be hundreds of megabytes, and others to be served meanwhile.
            tokio::task::yield_now().await;
        }
        renderer.live_lines(&mut |line| found |= pattern.is_match(line));
        if found {
            return true;
        }
        tokio::select! {
            last = end_of(&mut followed) => if to >= last { return false },
            changed = end.changed() => if changed.is_err() { return false },
            ended = watch.wait_for(|session| !session.status.is_live()) => {
                drop(ended);
                if access.output.end() == to {
                    return false;
                }
            }
        }
    }
}

//! `resources/list`: what sessions and runs have to show, the newest first, a page at a time.

use rmcp::model::{ListResourcesResult, Resource};

use super::{Address, JSON, Part, TEXT};
use crate::engine::report::RunView;
use crate::error::{Error, Result};
use crate::limits;
use crate::mcp::arguments::shortened;
use crate::mcp::call::{Call, standing};
use crate::model::Session;

/// One page, behind what `cursor` names: the last session or run of the page before.
pub(crate) async fn list(call: &Call, cursor: Option<&str>) -> Result<ListResourcesResult> {
    // Clients ask for the list as soon as they connect, perhaps only to go away again: that must not open the
    // store.
    let (sessions, runs) = if call.orchestrator.has_begun() {
        (call.orchestrator.sessions().await?, call.orchestrator.runs().await?)
    } else {
        (Vec::new(), Vec::new())
    };
    page(&sessions, &runs, cursor)
}

/// A page of sessions and runs that are in the order in which they began.
fn page(sessions: &[Session], runs: &[RunView], cursor: Option<&str>) -> Result<ListResourcesResult> {
    let of_sessions = sessions.iter().rev().map(|session| (session.id.as_str(), of_session(session)));
    let of_runs = runs.iter().rev().map(|run| (run.run.as_str(), vec![of_run(run)]));
    let mut all = of_sessions.chain(of_runs);
    if let Some(cursor) = cursor
        && !all.any(|(id, _)| id == cursor)
    {
        return Err(Error::invalid(format!("there is no cursor '{}' any more", shortened(cursor)))
            .with_hint("begin again without a cursor"));
    }
    let mut resources = Vec::new();
    let mut last = "";
    for (id, of_one) in all.by_ref().take(limits::RESOURCES_PAGE) {
        resources.extend(of_one);
        last = id;
    }
    let mut result = ListResourcesResult::with_all_items(resources);
    result.next_cursor = all.next().map(|_| last.to_owned());
    Ok(result)
}

fn of_session(session: &Session) -> Vec<Resource> {
    let whose = format!("{}, {}", session.status.as_str(), session.working_directory.display());
    let resource = |part: Part| {
        let address = Address::Session { selector: session.id.to_string(), part };
        Resource::new(address.to_string(), format!("{} {}", session.name, part.as_str()))
            .with_description(shortened(&whose))
            .with_mime_type(TEXT)
    };
    Part::ALL.map(resource).into()
}

fn of_run(run: &RunView) -> Resource {
    let address = Address::Run { selector: run.run.to_string() };
    Resource::new(address.to_string(), run.run.to_string())
        .with_description(format!("{}: {}", run.status.as_str(), standing(run.counts)))
        .with_mime_type(JSON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixtures::session;

    fn uris(result: &ListResourcesResult) -> Vec<&str> {
        result.resources.iter().map(|resource| resource.uri.as_str()).collect()
    }

    #[test]
    fn pages_give_every_resource_once_the_newest_first() {
        let sessions: Vec<Session> =
            (0..limits::RESOURCES_PAGE + 2).map(|n| session(&format!("s{n}"))).collect();
        let first = page(&sessions, &[], None).unwrap();
        let newest = &sessions.last().unwrap().id;
        assert_eq!(uris(&first)[0], format!("session://{newest}/output"));
        assert_eq!(first.resources.len(), 3 * limits::RESOURCES_PAGE);
        let second = page(&sessions, &[], first.next_cursor.as_deref()).unwrap();
        assert_eq!((second.resources.len(), &second.next_cursor), (6, &None));
        assert!(uris(&second).iter().all(|uri| !uris(&first).contains(uri)));
        // One more session does not shift what comes next.
        let grown: Vec<Session> = sessions.iter().cloned().chain([session("new")]).collect();
        assert_eq!(uris(&page(&grown, &[], first.next_cursor.as_deref()).unwrap()), uris(&second));
    }

    #[test]
    fn a_cursor_that_names_nothing_is_refused() {
        let error = page(&[session("a")], &[], Some("elsewhere")).unwrap_err();
        assert_eq!(error.code, crate::error::ErrorCode::InvalidArgument);
        assert!(page(&[], &[], None).unwrap().resources.is_empty());
    }
}

//! `completion/complete`: what an argument of a prompt, or of a resource's address, may be completed to.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use rmcp::model::{ArgumentInfo, CompleteResult, CompletionInfo, Reference};

use super::arguments::{refusal, shortened};
use super::call::Call;
use super::prompt::{self, Names};
use super::resource;
use super::surface::Surface;
use crate::engine::request::TaskQuery;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::Session;

/// What is named by the argument that is being completed.
pub(crate) fn names(surface: &Surface, of: &Reference, argument: &ArgumentInfo) -> Result<Names> {
    if let Some(name) = of.as_prompt_name() {
        return Ok(prompt::find(surface, name)?.argument(&argument.name)?.names);
    }
    let uri = of.as_resource_uri().unwrap_or_default();
    if !resource::templates().iter().any(|template| template.uri_template == uri) {
        return Err(Error::invalid(format!("there is no resource template '{}'", shortened(uri)))
            .with_hint("resources/templates/list has them"));
    }
    if argument.name != "id" {
        let message = format!("{uri} has no '{}', only 'id'", shortened(&argument.name));
        return Err(refusal(&shortened(&argument.name), message));
    }
    Ok(if uri.starts_with("run://") { Names::Run } else { Names::Session })
}

/// What begins with `typed`, in any case, or has it somewhere within; the former comes first.
pub(crate) async fn complete(call: &Call, names: Names, typed: &str) -> Result<CompleteResult> {
    // As for the list of resources: a question must not open the store.
    let known = if call.orchestrator.has_begun() { known(call, names).await? } else { Vec::new() };
    let (values, total) = fitting(known, typed);
    let has_more = values.len() < total;
    let mut completion = CompletionInfo::default();
    completion.values = values;
    completion.total = u32::try_from(total).ok();
    completion.has_more = Some(has_more);
    Ok(CompleteResult::new(completion))
}

/// The best of what fits, and how much there is.
fn fitting(known: Vec<String>, typed: &str) -> (Vec<String>, usize) {
    let typed = typed.trim().to_lowercase();
    let mut seen = BTreeSet::new();
    let (mut begins, mut holds) = (Vec::new(), Vec::new());
    for name in known {
        let Some(at) = name.to_lowercase().find(&typed) else { continue };
        if seen.insert(name.clone()) {
            if at == 0 { &mut begins } else { &mut holds }.push(name);
        }
    }
    begins.append(&mut holds);
    let total = begins.len();
    begins.truncate(CompletionInfo::MAX_VALUES);
    (begins, total)
}

/// All that can be named, the newest first.
async fn known(call: &Call, names: Names) -> Result<Vec<String>> {
    let orchestrator = &call.orchestrator;
    Ok(match names {
        Names::Nothing => Vec::new(),
        Names::Run => orchestrator.runs().await?.into_iter().rev().map(|run| run.run.to_string()).collect(),
        Names::Task => {
            let report = orchestrator.tasks(&TaskQuery::default(), limits::COMPLETED_TASKS).await?;
            report.tasks.into_iter().rev().map(|task| task.id).collect()
        }
        Names::Session => {
            sessions(call).await?.flat_map(|session| [session.name, session.id.to_string()]).collect()
        }
        Names::Command => sessions(call)
            .await?
            .filter_map(|session| session.last_command)
            .map(|id| id.to_string())
            .collect(),
        Names::Template => {
            let mut templates = orchestrator.templates().await?;
            templates.sort_by_key(|template| Reverse(template.created_at));
            templates.into_iter().map(|template| template.name).collect()
        }
        Names::Directory => {
            sessions(call).await?.map(|session| session.working_directory.display().to_string()).collect()
        }
    })
}

/// The live ones first.
async fn sessions(call: &Call) -> Result<impl Iterator<Item = Session>> {
    let sessions = call.orchestrator.sessions().await?;
    let (live, ended): (Vec<_>, Vec<_>) =
        sessions.into_iter().rev().partition(|session| session.status.is_live());
    Ok(live.into_iter().chain(ended))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_so_comes_before_what_has_it_within() {
        let known = ["my-build", "Build-1", "test", "build-2", "Build-1"].map(str::to_owned).to_vec();
        let (values, total) = fitting(known, " bui");
        assert_eq!(
            (values.as_slice(), total),
            (&["Build-1", "build-2", "my-build"].map(str::to_owned)[..], 3)
        );
    }

    #[test]
    fn only_so_many_are_given_and_all_are_counted() {
        let known: Vec<String> = (0..150).map(|n| format!("s{n}")).collect();
        let (values, total) = fitting(known, "");
        assert_eq!((values.len(), total), (CompletionInfo::MAX_VALUES, 150));
    }
}

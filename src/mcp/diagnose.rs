//! `diagnose`: what is wrong, by what is seen, and the calls that help.

mod look;
mod remedy;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::look::{Asked, Finding, Kind};
use self::remedy::{Place, remedies};
use super::answer::{Answer, fitting, is_default};
use super::arguments::typed;
use super::call::Call;
use super::schema;
use super::tool::{Effect, Tool};
use crate::clock;
use crate::error::Result;
use crate::limits;
use crate::model::{Command, Dialect, Session, SessionKind, Status};
use crate::orchestrator::{Observation, OutputQuery};

/// Estimated tokens of the output of a session that is named: more than the classifier reads of it.
const OUTPUT_TOKENS: usize = 40_000;
/// The same for each of several sessions: the end tells most.
const SHORT_OUTPUT_TOKENS: usize = 4_000;

pub(crate) const TOOL: Tool = Tool {
    name: "diagnose",
    title: "Diagnose what failed",
    description: "Says why something failed or hangs in a session (its last command's failure, a prompt, a dead shell), \
        or in all of them, worst first; problem is an error message, or words like \"slow\". Changes nothing. Each \
        recommendation is a call that helps to repair it, ready to be made.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Report>,
    run: |call, arguments| Box::pin(async move { diagnose(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[schemars(extend("x-bytes" = limits::PROBLEM_BYTES))]
    problem: Option<String>,
    session_id: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// The worst first.
    findings: Vec<Item>,
    #[serde(skip_serializing_if = "is_default")]
    recommendations: Vec<Recommendation>,
    /// Findings and recommendations that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
    /// Sessions that were not looked at, being too many: name one.
    #[serde(skip_serializing_if = "is_default")]
    omitted_sessions: usize,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Item {
    /// `connection_refused`, `awaiting_input`, stale…
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    session: String,
    component: &'static str,
    message: String,
    /// What the message is about: a port, a module, ms, MB…
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// The line that says so.
    #[serde(skip_serializing_if = "is_default")]
    evidence: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
struct Recommendation {
    #[serde(skip_serializing_if = "is_default")]
    session: String,
    action: String,
    tool: &'static str,
    arguments: Value,
}

/// A session with what is the matter with it.
struct Case {
    observed: Observation,
    found: Vec<Finding>,
}

async fn diagnose(call: &Call, arguments: Arguments) -> Result<Answer> {
    let problem = arguments.problem.unwrap_or_default();
    let asked = Asked::of(&problem);
    let told = look::of_problem(&problem);
    let sessions = call.orchestrator.sessions().await?;
    let (chosen, output_tokens, omitted_sessions) = if let Some(id) = &arguments.session_id {
        (vec![call.orchestrator.session(id).await?], OUTPUT_TOKENS, 0)
    } else {
        let mut live: Vec<Session> = sessions.iter().filter(|s| !s.status.is_final()).cloned().collect();
        live.sort_by_key(|session| (session.status != Status::Error, Reverse(session.last_activity)));
        let omitted = live.len().saturating_sub(limits::DIAGNOSED_SESSIONS);
        live.truncate(limits::DIAGNOSED_SESSIONS);
        (live, SHORT_OUTPUT_TOKENS, omitted)
    };
    let mut cases = Vec::new();
    for session in &chosen {
        // One that ends meanwhile is no error of the others.
        match case(call, session, asked, output_tokens).await {
            Ok(case) => cases.push(case),
            Err(error) if arguments.session_id.is_some() => return Err(error),
            Err(_) => {}
        }
    }
    if arguments.session_id.is_none() {
        for case in &mut cases {
            case.found.retain(|finding| finding.kind != Kind::Running || asked.stuck);
        }
        cases.sort_by_key(|case| case.found.first().map_or(Kind::Running, |worst| worst.kind));
    }
    let shell = sessions.iter().find(|session| takes_commands(session));
    let report = report(&told, &cases, shell);
    let report = Report { omitted_sessions, ..report };
    let mut room = call.room();
    loop {
        let answer = answer(&cut(&report, room.tokens), cases.len())?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

async fn case(call: &Call, session: &Session, asked: Asked, output_tokens: usize) -> Result<Case> {
    let observed = call.orchestrator.observe(session.id.as_str()).await?;
    let id = &observed.session.id;
    let usage = match observed.session.pid {
        Some(_) => call.orchestrator.usage(std::slice::from_ref(id)).await?.get(id).copied(),
        None => None,
    };
    let output = match &observed.last_command {
        Some(command) if look::wants_output(command) => {
            let query = OutputQuery {
                command: Some(command.id.clone()),
                budget_tokens: output_tokens,
                ..OutputQuery::default()
            };
            Some(call.orchestrator.output(id, query).await?.text)
        }
        Some(_) | None => None,
    };
    let stale_after = call.orchestrator.stale_after();
    let found = look::of_session(&observed, usage, output.as_deref(), asked, clock::now().wall, stale_after);
    Ok(Case { observed, found })
}

/// Whether a session is at a prompt of a shell that runs commands.
fn takes_commands(session: &Session) -> bool {
    session.status == Status::Idle
        && session.dialect != Dialect::Plain
        && session.kind != SessionKind::Observer
}

fn report(told: &[Finding], cases: &[Case], shell: Option<&Session>) -> Report {
    let mut report =
        Report { findings: Vec::new(), recommendations: Vec::new(), omitted: 0, omitted_sessions: 0 };
    // A pasted message is about the one session that is named with it.
    let named = match cases {
        [case] => Some(&case.observed),
        _ => None,
    };
    for finding in told {
        add(&mut report, finding, named, shell, "problem");
    }
    for case in cases {
        for finding in &case.found {
            let is_told =
                told.iter().any(|told| told.kind == finding.kind && told.evidence == finding.evidence);
            if !is_told {
                add(&mut report, finding, Some(&case.observed), shell, finding.kind.component());
            }
        }
    }
    report
}

fn add(
    report: &mut Report,
    finding: &Finding,
    observed: Option<&Observation>,
    shell: Option<&Session>,
    component: &'static str,
) {
    let session = observed.map(|observed| &observed.session);
    let command: Option<&Command> = observed.and_then(|observed| observed.last_command.as_ref());
    let shell = session.filter(|session| takes_commands(session)).or(shell);
    let directory = session.and_then(|session| session.working_directory.to_str());
    let place = Place {
        session: session.map(|session| session.id.as_str()),
        shell: shell.map(|session| session.id.as_str()),
        directory,
        command: command.map(|command| command.id.as_str()),
        text: command.map_or("", |command| command.text.as_str()),
        timeout: command.map_or(0, |command| command.timeout_ms),
    };
    for remedy in remedies(finding, &place) {
        let session =
            remedy.arguments.get("sessionId").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_known = report
            .recommendations
            .iter()
            .any(|known| known.tool == remedy.tool && known.arguments == remedy.arguments);
        if !is_known {
            let remedy::Remedy { action, tool, arguments } = remedy;
            report.recommendations.push(Recommendation { session, action, tool, arguments });
        }
    }
    report.findings.push(Item {
        kind: finding.kind.as_str(),
        session: place.session.unwrap_or_default().to_owned(),
        component,
        message: finding.message.clone(),
        value: finding.value.clone(),
        evidence: finding.evidence.clone(),
    });
}

/// Leaves out the last findings and recommendations of a report that is too long; the findings get half.
fn cut(report: &Report, budget: usize) -> Report {
    let findings = fitting(&report.findings, budget / 2);
    let recommendations = fitting(&report.recommendations, budget / 2);
    Report {
        findings: report.findings[..findings].to_vec(),
        recommendations: report.recommendations[..recommendations].to_vec(),
        omitted: report.findings.len() - findings + report.recommendations.len() - recommendations,
        omitted_sessions: report.omitted_sessions,
    }
}

fn answer(report: &Report, looked_at: usize) -> Result<Answer> {
    let mut text = match report.findings.len() {
        0 => format!("nothing wrong was found; sessions looked at: {looked_at}"),
        1 => "1 finding".to_owned(),
        many => format!("{many} findings, the worst first"),
    };
    for Item { kind, session, message, evidence, .. } in &report.findings {
        let session = if session.is_empty() { String::new() } else { format!(" in {session}") };
        let _ = write!(text, "\n{kind}{session}: {message}");
        if !evidence.is_empty() {
            let _ = write!(text, "\n    {evidence}");
        }
    }
    for Recommendation { action, tool, arguments, .. } in &report.recommendations {
        let _ = write!(text, "\nto {action}: {tool} {arguments}");
    }
    if report.omitted > 0 {
        let _ = write!(text, "\n({} more left out: name a session)", report.omitted);
    }
    if report.omitted_sessions > 0 {
        let _ = write!(text, "\n({} sessions were not looked at: name one)", report.omitted_sessions);
    }
    Answer::new(text, report)
}

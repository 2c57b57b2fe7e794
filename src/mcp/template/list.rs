//! `template_list`: what sessions can be made from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Result;
use crate::mcp::answer::{Answer, fitting, is_default, json_tokens};
use crate::mcp::arguments::typed;
use crate::mcp::call::Call;
use crate::mcp::schema;
use crate::mcp::tool::{Effect, Tool};
use crate::model::{Template, glob};

pub(crate) const TOOL: Tool = Tool {
    name: "template_list",
    title: "List templates",
    description: "Lists templates with their settings, those whose name fits the glob pattern if one is given. Settings \
        that are too long for a list are counted in omittedBytes: name the template alone.",
    effect: Effect::Reads,
    input: schema::of_arguments::<Arguments>,
    output: schema::of_result::<Listing>,
    run: |call, arguments| Box::pin(async move { list(call, typed(arguments)?).await }),
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    pattern: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Listing {
    templates: Vec<Item>,
    /// Templates that did not fit.
    #[serde(skip_serializing_if = "is_default")]
    omitted: usize,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Item {
    name: String,
    created_at: String,
    #[serde(skip_serializing_if = "is_default")]
    settings: Map<String, Value>,
    #[serde(skip_serializing_if = "is_default")]
    omitted_bytes: usize,
}

impl Item {
    fn of(template: &Template, most_tokens: usize) -> Self {
        let fits = json_tokens(&template.settings) <= most_tokens;
        let omitted = if fits { 0 } else { Value::Object(template.settings.clone()).to_string().len() };
        Self {
            name: template.name.clone(),
            created_at: template.created_at.to_string(),
            settings: if fits { template.settings.clone() } else { Map::new() },
            omitted_bytes: omitted,
        }
    }

    fn line(&self) -> String {
        match self.omitted_bytes {
            0 => format!("{} {}", self.name, Value::Object(self.settings.clone())),
            bytes => format!("{} ({bytes} bytes left out)", self.name),
        }
    }
}

async fn list(call: &Call, Arguments { pattern }: Arguments) -> Result<Answer> {
    let mut templates = call.orchestrator.templates().await?;
    templates
        .retain(|template| pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, &template.name)));
    let mut room = call.room();
    loop {
        let share = room.tokens / templates.len().clamp(1, 8);
        let mut items: Vec<Item> = templates.iter().map(|template| Item::of(template, share)).collect();
        items.truncate(fitting(&items, room.tokens));
        let omitted = templates.len() - items.len();
        let mut lines: Vec<String> = items.iter().map(Item::line).collect();
        if templates.is_empty() {
            lines.push("no templates".to_owned());
        } else if omitted > 0 {
            lines.push(format!("({omitted} left out)"));
        }
        let answer = Answer::new(lines.join("\n"), &Listing { templates: items, omitted })?;
        if room.holds(&answer) {
            return Ok(answer);
        }
    }
}

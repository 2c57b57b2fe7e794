//! Tools about templates, and what a session takes from one. A template holds arguments of `session_create`,
//! read by the same rules: what it is made of fits there, or it is not made. Templates know nothing of each
//! other.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod list;

use serde_json::{Map, Value, json};

use super::arguments::{Reader, nearest, shortened};
use super::call::Call;
use super::session;
use crate::error::{Error, ErrorCode, Result};
use crate::model::{Template, merge};

/// Reads what is to be arguments of `session_create`. `field` is where it stands.
pub(super) fn read(field: &str, given: Map<String, Value>) -> Result<Map<String, Value>> {
    if let Some(key) = ["template", "overrides"].into_iter().find(|key| given.contains_key(*key)) {
        return Err(Error::invalid(format!("'{field}.{key}': a template does not build on another"))
            .with_details(json!({"field": format!("{field}.{key}")})));
    }
    let tool = session::create::TOOL;
    let schema = (tool.input)();
    let read = Reader { tool: tool.name, schema: &schema }.read(Some(given)).map_err(|mut error| {
        error.message = format!("{field}: {}", error.message);
        error
    })?;
    match read {
        Value::Object(read) => Ok(read),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Ok(Map::new())
        }
    }
}

/// The arguments of a session made from a template: the template's, under `overrides`, under the call's own.
pub(super) async fn applied(
    call: &Call,
    name: &str,
    overrides: Map<String, Value>,
    own: Map<String, Value>,
) -> Result<Value> {
    let known = call.orchestrator.templates().await?;
    let Some(template) = known.iter().find(|template| template.name == name) else {
        return Err(unknown(name, &known));
    };
    Ok(settled(template, read("overrides", overrides)?, own).into())
}

fn settled(
    template: &Template,
    overrides: Map<String, Value>,
    mut own: Map<String, Value>,
) -> Map<String, Value> {
    own.retain(|key, _| key != "template" && key != "overrides");
    // Those made from one template can take over for each other.
    let mut settings = Map::from_iter([("metadata".to_owned(), json!({"template": template.name.clone()}))]);
    for layer in [template.settings.clone(), overrides, own] {
        merge(&mut settings, layer);
    }
    settings
}

fn unknown(name: &str, known: &[Template]) -> Error {
    let names = || known.iter().map(|template| template.name.as_str());
    let meant = nearest(name, names()).map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
    let error = Error::new(
        ErrorCode::TemplateNotFound,
        format!("no template has the name '{}'{meant}", shortened(name)),
    );
    if known.is_empty() {
        return error.with_hint("there is no template yet: make one with template_create");
    }
    error
        .with_hint("list the templates with template_list")
        .with_details(json!({"known": names().take(20).collect::<Vec<_>>()}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("an object") };
        object
    }

    #[test]
    fn each_layer_goes_over_the_one_before() {
        let settings = object(json!({
            "rows": 10, "cols": 20, "env": {"A": "1", "B": "1", "C": "1"}, "capabilities": ["x", "y"],
        }));
        let template = Template { name: "base".to_owned(), settings, created_at: Timestamp(0) };
        let overrides = object(json!({"cols": 30, "env": {"B": "2", "C": "2"}, "capabilities": ["z"]}));
        let own = object(json!({"template": "base", "overrides": {}, "env": {"C": "3"}, "name": "n"}));
        assert_eq!(
            Value::Object(settled(&template, overrides, own)),
            json!({
                "metadata": {"template": "base"}, "rows": 10, "cols": 30,
                "env": {"A": "1", "B": "2", "C": "3"}, "capabilities": ["z"], "name": "n",
            })
        );
    }

    #[test]
    fn what_does_not_fit_a_session_is_refused_with_its_place() {
        let refused = |given: Value| read("baseConfig", object(given)).unwrap_err().message;
        assert!(refused(json!({"shel": "bash"})).contains("did you mean 'shell'"));
        assert!(refused(json!({"rows": "many"})).starts_with("baseConfig: 'rows'"));
        assert!(refused(json!({"template": "other"})).contains("does not build on another"));
        let fits = read("baseConfig", object(json!({"environment": {"A": 1}, "cwd": "/tmp"}))).unwrap();
        assert_eq!(Value::Object(fits), json!({"env": {"A": "1"}, "workingDirectory": "/tmp"}));
    }
}

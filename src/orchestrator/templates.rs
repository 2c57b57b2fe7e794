//! Templates of sessions, as callers see them.

use serde_json::{Map, Value};

use super::Orchestrator;
use super::dispatcher::{Keep, Read};
use crate::clock;
use crate::error::{Error, ErrorCode, Result};
use crate::limits;
use crate::model::Template;

impl Orchestrator {
    /// Keeps a template, in place of the one of its name. Returns it, and whether there was one.
    pub async fn keep_template(
        &self,
        name: String,
        settings: Map<String, Value>,
    ) -> Result<(Template, bool)> {
        let known = self.templates().await?;
        let replaces = known.iter().any(|template| template.name == name);
        if !replaces && known.len() >= limits::TEMPLATES {
            return Err(Error::new(
                ErrorCode::LimitExceeded,
                format!("{} templates are kept, which is the most there may be", known.len()),
            )
            .with_hint("delete one with template_delete"));
        }
        let template = Template { name, settings, created_at: clock::now().wall };
        self.keep(Keep::Template(Box::new(template.clone()))).await?;
        Ok((template, replaces))
    }

    /// Every template, by name.
    pub async fn templates(&self) -> Result<Vec<Template>> {
        self.read(Read::Templates).await?
    }

    /// Removes a template. Returns whether it was there.
    pub async fn delete_template(&self, name: &str) -> Result<bool> {
        self.keep(Keep::NoTemplate(name.to_owned())).await
    }
}

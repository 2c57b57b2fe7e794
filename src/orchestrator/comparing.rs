//! What a command printed otherwise than the last time that the same line ran in its session.

use super::Orchestrator;
use super::dispatcher::Read;
use super::reading::beside;
use crate::error::Result;
use crate::id::CommandId;
use crate::limits;
use crate::model::Command;
use crate::term::changes::{self, Changes};

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// This changed since that run.
    With(CommandId, Changes),
    /// It was not possible, or not worth it.
    Not(&'static str),
}

impl Orchestrator {
    /// What changed in the output of an ended command since the line ran before.
    pub async fn changes(&self, command: &Command) -> Result<Compared> {
        if !command.is_ended() {
            return Ok(Compared::Not("it runs on"));
        }
        let Some(earlier) = self.read(|reply| Read::EarlierRun(command.id.clone(), reply)).await? else {
            return Ok(Compared::Not("no earlier run of this line in this session is known"));
        };
        let output = self.access(command.session.as_str()).await?.output;
        let (size, oldest) = (output.size(), output.oldest());
        let (Some(old), Some(new)) = (range(&earlier), range(command)) else {
            return Ok(Compared::Not("one of the runs was lost"));
        };
        if old.0 < oldest && old.0 < old.1 {
            return Ok(Compared::Not("the earlier output is not kept any more"));
        }
        let bytes = [old, new].map(|(from, to)| to.saturating_sub(from));
        if bytes.iter().any(|bytes| *bytes > limits::COMPARED_BYTES) {
            return Ok(Compared::Not("the output is too large to be compared"));
        }
        let compare = move || {
            let lines = |range| {
                changes::lines(range, (size.rows, size.cols), |from, to, max| output.read(from, to, max))
            };
            changes::changes(&lines(old), &lines(new))
        };
        Ok(match beside(bytes.iter().sum(), compare).await? {
            Some(changes) => Compared::With(earlier.id, changes),
            None => Compared::Not("too much changed"),
        })
    }
}

fn range(command: &Command) -> Option<(u64, u64)> {
    command.output_from.zip(command.output_to)
}

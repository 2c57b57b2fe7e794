//! Sets of tools, and which of them a server offers: a small model is better off with few, and whoever
//! only looks on needs none that change anything.

use super::arguments::{nearest, shortened};
use super::tool::{Effect, Tool};
use super::tools::SETS;
use crate::error::{Error, Result};

/// Tools that are of use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toolset {
    /// Sessions, and single commands in them: enough for most work.
    Core,
    /// Commands in a row, and in several sessions.
    Commands,
    /// Graphs of tasks.
    Tasks,
    /// What happens, what it costs, and what is wrong.
    Monitor,
    /// Agents and their messages.
    Agents,
    /// Changing, repairing and clearing up.
    Ops,
}

impl Toolset {
    pub(crate) const ALL: [Self; 6] =
        [Self::Core, Self::Commands, Self::Tasks, Self::Monitor, Self::Agents, Self::Ops];

    /// The set that this tool is in.
    pub(crate) fn of(tool: &str) -> Option<Self> {
        SETS.iter().find(|(_, tools)| tools.iter().any(|known| known.name == tool)).map(|(set, _)| *set)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Commands => "commands",
            Self::Tasks => "tasks",
            Self::Monitor => "monitor",
            Self::Agents => "agents",
            Self::Ops => "ops",
        }
    }
}

/// The name of every set.
pub fn toolset_names() -> impl Iterator<Item = &'static str> {
    Toolset::ALL.into_iter().map(Toolset::as_str)
}

/// The tools that a server offers; the others are neither listed nor served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    sets: Vec<Toolset>,
    read_only: bool,
}

impl Selection {
    /// Every tool.
    pub fn everything() -> Self {
        Self { sets: Toolset::ALL.to_vec(), read_only: false }
    }

    /// The tools of these sets, of all where none is named; with `read_only`, of those the ones that
    /// change nothing. The error for an unknown set names the nearest one.
    pub fn new(names: Option<&[String]>, read_only: bool) -> Result<Self> {
        let sets = match names {
            None => Toolset::ALL.to_vec(),
            Some(names) => names.iter().map(|name| parse(name)).collect::<Result<_>>()?,
        };
        let selection = Self { sets, read_only };
        if selection.tools().is_empty() {
            let why = if read_only {
                "the toolsets named hold nothing that only reads"
            } else {
                "toolsets names none"
            };
            return Err(Error::invalid(format!("no tool is left to offer: {why}")).with_hint(known()));
        }
        Ok(selection)
    }

    /// The tools, in the order of the table.
    pub(crate) fn tools(&self) -> Vec<&'static Tool> {
        let chosen = SETS.iter().filter(|(set, _)| self.sets.contains(set));
        let tools = chosen.flat_map(|(_, tools)| tools.iter().copied());
        tools.filter(|tool| !self.read_only || tool.effect == Effect::Reads).collect()
    }
}

fn parse(name: &str) -> Result<Toolset> {
    let name = name.trim();
    let found = Toolset::ALL.into_iter().find(|set| set.as_str().eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let meant = nearest(name, Toolset::ALL.into_iter().map(Toolset::as_str));
        let meant = meant.map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
        Error::invalid(format!("unknown toolset '{}'{meant}", shortened(name))).with_hint(known())
    })
}

fn known() -> String {
    format!("the toolsets are {}", Toolset::ALL.map(Toolset::as_str).join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::tools::all;
    use super::*;

    fn chosen(names: &[&str], read_only: bool) -> Result<Vec<&'static str>> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let selection = Selection::new(Some(&names), read_only)?;
        Ok(selection.tools().iter().map(|tool| tool.name).collect())
    }

    #[test]
    fn all_is_what_is_offered_where_nothing_is_named() {
        let selection = Selection::new(None, false).unwrap();
        assert_eq!(selection, Selection::everything());
        assert_eq!(selection.tools().len(), all().count());
    }

    #[test]
    fn sets_add_up_and_read_only_leaves_what_changes_nothing() {
        let names = chosen(&["tasks", " Commands"], false).unwrap();
        assert!(names.contains(&"task_distribute") && names.contains(&"command_batch"), "{names:?}");
        assert!(!names.contains(&"session_create"), "{names:?}");
        let names = chosen(&["core"], true).unwrap();
        assert_eq!(names, ["session_list", "session_status", "session_output", "command_status"]);
    }

    #[test]
    fn an_unknown_set_is_refused_with_the_nearest() {
        let error = chosen(&["core", "task"], false).unwrap_err();
        assert_eq!(error.message, "unknown toolset 'task'; did you mean 'tasks'?");
        assert!(error.hint.is_some_and(|hint| hint.contains("core, commands, tasks, monitor, agents, ops")));
        assert_eq!(chosen(&["xyz"], false).unwrap_err().message, "unknown toolset 'xyz'");
    }

    #[test]
    fn an_offer_of_nothing_is_refused() {
        for (names, read_only) in [(&[][..], false), (&["commands"], true)] {
            assert!(chosen(names, read_only).unwrap_err().message.starts_with("no tool is left"));
        }
    }
}

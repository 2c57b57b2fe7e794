//! The graph of a run, in compressed adjacency: who waits for whom, in one pass over the edges.

use std::collections::HashMap;

use serde_json::json;

use crate::error::{Error, ErrorCode, Result};
use crate::model::{Condition, Task};

/// Ids of a cycle that an error shows.
const SHOWN: usize = 20;

/// An edge, from a task to one that waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    /// Who waits.
    pub(super) to: u32,
    /// For what.
    pub(super) condition: Condition,
}

/// The edges of a run without a cycle. Tasks are numbered by their position in the run.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    /// The edges from task n are `edges[starts[n]..starts[n + 1]]`.
    starts: Vec<u32>,
    edges: Vec<Edge>,
    /// The tasks that task n waits for are `before[begins[n]..begins[n + 1]]`.
    begins: Vec<u32>,
    before: Vec<u32>,
    /// Every task behind all that it waits for.
    order: Vec<u32>,
}

impl Graph {
    /// The graph of `tasks`, or why they have none.
    pub(super) fn of(tasks: &[Task]) -> Result<Self> {
        let numbers = numbered(tasks)?;
        let mut starts = vec![0_u32; tasks.len() + 1];
        let count = tasks.iter().map(|task| task.dependencies.len()).sum();
        let mut pairs = Vec::with_capacity(count);
        let mut begins = Vec::with_capacity(tasks.len() + 1);
        let mut before = Vec::with_capacity(count);
        for (number, task) in (0_u32..).zip(tasks) {
            begins.push(length(&before));
            for dependency in &task.dependencies {
                let &from = numbers
                    .get(dependency.id.as_str())
                    .ok_or_else(|| unknown(&task.id, &dependency.id, numbers.keys().copied()))?;
                starts[from as usize + 1] += 1;
                before.push(from);
                pairs.push((from, Edge { to: number, condition: dependency.condition }));
            }
        }
        begins.push(length(&before));
        for number in 0..tasks.len() {
            starts[number + 1] += starts[number];
        }
        let mut free = starts.clone();
        let mut edges = vec![Edge { to: 0, condition: Condition::Success }; pairs.len()];
        for (from, edge) in pairs {
            let place = &mut free[from as usize];
            edges[*place as usize] = edge;
            *place += 1;
        }
        let mut graph = Self { starts, edges, begins, before, order: Vec::with_capacity(tasks.len()) };
        graph.sort();
        if graph.order.len() < tasks.len() { Err(graph.cycle(tasks, &numbers)) } else { Ok(graph) }
    }

    /// Kahn's algorithm; what is in a cycle, or behind one, is left out.
    fn sort(&mut self) {
        let mut waiting: Vec<u32> =
            (0..length(&self.begins) - 1).map(|number| self.dependencies(number)).collect();
        self.order
            .extend((0_u32..).zip(&waiting).filter(|(_, count)| **count == 0).map(|(number, _)| number));
        let mut next = 0;
        while let Some(&number) = self.order.get(next) {
            next += 1;
            for edge in self.range(number) {
                let to = self.edges[edge].to;
                waiting[to as usize] -= 1;
                if waiting[to as usize] == 0 {
                    self.order.push(to);
                }
            }
        }
    }

    fn range(&self, number: u32) -> std::ops::Range<usize> {
        self.starts[number as usize] as usize..self.starts[number as usize + 1] as usize
    }

    /// Who waits for a task, and for what.
    pub(super) fn dependents(&self, number: u32) -> &[Edge] {
        &self.edges[self.range(number)]
    }

    /// How many tasks a task waits for at the outset.
    pub(super) fn dependencies(&self, number: u32) -> u32 {
        length(self.before(number))
    }

    /// How many tasks there are.
    pub(super) fn len(&self) -> usize {
        self.begins.len() - 1
    }

    /// The tasks that a task waits for, in the order in which it names them.
    pub(super) fn before(&self, number: u32) -> &[u32] {
        &self.before[self.begins[number as usize] as usize..self.begins[number as usize + 1] as usize]
    }

    /// For each task the cost of the costliest chain that begins with it.
    pub(super) fn chains(&self, cost: impl Fn(u32) -> u64) -> Vec<u64> {
        let mut chains = vec![0_u64; self.len()];
        for &number in self.order.iter().rev() {
            let behind = self.dependents(number).iter().map(|edge| chains[edge.to as usize]).max();
            chains[number as usize] = cost(number).saturating_add(behind.unwrap_or(0));
        }
        chains
    }

    /// The costliest chain of all, from its first task on; `chains` as [`Graph::chains`] gave them.
    pub(super) fn costliest(&self, chains: &[u64], takes_part: impl Fn(u32) -> bool) -> Vec<u32> {
        let costlier = |a: &u32, b: &u32| {
            // The earlier of two equals, so that the answer is the same each time.
            chains[*a as usize].cmp(&chains[*b as usize]).then(b.cmp(a))
        };
        let mut path = Vec::new();
        let mut next = self.order.iter().copied().filter(|&number| takes_part(number)).max_by(costlier);
        while let Some(number) = next {
            path.push(number);
            let behind = self.dependents(number).iter().map(|edge| edge.to);
            next = behind.filter(|&number| takes_part(number)).max_by(costlier);
        }
        path
    }

    /// The tasks in waves: those of each wait only for those of earlier ones.
    pub(super) fn waves(&self) -> Vec<Vec<u32>> {
        let mut wave_of = vec![0_usize; self.len()];
        let mut waves: Vec<Vec<u32>> = Vec::new();
        for &number in &self.order {
            let wave = wave_of[number as usize];
            if waves.len() <= wave {
                waves.push(Vec::new());
            }
            waves[wave].push(number);
            for edge in self.dependents(number) {
                let behind = &mut wave_of[edge.to as usize];
                *behind = (*behind).max(wave + 1);
            }
        }
        for wave in &mut waves {
            wave.sort_unstable();
        }
        waves
    }

    /// The refusal of a graph that is not one: walking from any task that was left over to one that it
    /// waits for, and that was left over as well, must come by the same task twice.
    fn cycle(&self, tasks: &[Task], numbers: &HashMap<&str, u32>) -> Error {
        let mut sorted = vec![false; tasks.len()];
        for &number in &self.order {
            sorted[number as usize] = true;
        }
        let mut seen_at: HashMap<u32, usize> = HashMap::new();
        let mut path: Vec<u32> = Vec::new();
        let mut next = sorted.iter().position(|sorted| !sorted).and_then(|first| u32::try_from(first).ok());
        while let Some(number) = next {
            if let Some(&begin) = seen_at.get(&number) {
                path.drain(..begin);
                path.push(number);
                break;
            }
            seen_at.insert(number, path.len());
            path.push(number);
            let before = tasks[number as usize].dependencies.iter();
            next = before
                .filter_map(|dependency| numbers.get(dependency.id.as_str()).copied())
                .find(|&before| !sorted[before as usize]);
        }
        let ids: Vec<&str> = path.iter().map(|&number| tasks[number as usize].id.as_str()).collect();
        let mut shown: Vec<&str> = ids.iter().copied().take(SHOWN).collect();
        if ids.len() > SHOWN {
            shown.push("…");
            shown.extend(ids.last());
        }
        Error::new(
            ErrorCode::DependencyCycle,
            format!("these tasks wait for each other: {}", shown.join(" → ")),
        )
        .with_hint("take one of these dependencies out; nothing was accepted")
        .with_details(json!({"cycle": shown, "length": ids.len() - 1}))
    }
}

/// Tasks and edges are bounded far below what fits.
fn length<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

fn numbered(tasks: &[Task]) -> Result<HashMap<&str, u32>> {
    let mut numbers = HashMap::with_capacity(tasks.len());
    for (number, task) in (0_u32..).zip(tasks) {
        if let Some(first) = numbers.insert(task.id.as_str(), number) {
            return Err(Error::new(
                ErrorCode::DuplicateId,
                format!("tasks {} and {} have the same id '{}'", first + 1, number + 1, task.id),
            )
            .with_hint("give each task an id of its own; nothing was accepted")
            .with_details(json!({"taskId": task.id, "positions": [first, number]})));
        }
    }
    Ok(numbers)
}

fn unknown<'a>(task: &str, dependency: &str, known: impl Iterator<Item = &'a str>) -> Error {
    // The order of a hash map is chance: of two names as near as each other the first by name is told.
    let nearest = known
        .filter(|name| *name != task)
        .map(|name| (strsim::jaro_winkler(dependency, name), name))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, name)| name);
    let meant = nearest.map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
    Error::new(
        ErrorCode::DependencyUnknown,
        format!("task '{task}' waits for '{dependency}', which is none of the tasks of this call{meant}"),
    )
    .with_hint("a dependency must be one of the tasks of the same call; nothing was accepted")
    .with_details(match nearest {
        Some(nearest) => json!({"taskId": task, "dependency": dependency, "nearest": nearest}),
        None => json!({"taskId": task, "dependency": dependency}),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{task, tasks};
    use super::*;

    #[test]
    fn what_waits_comes_behind_what_it_waits_for() {
        let graph = Graph::of(&tasks(&["a", "b < a", "c < a", "d < b c"])).unwrap();
        assert_eq!(graph.order, [0, 1, 2, 3]);
        assert_eq!(graph.waves(), [vec![0], vec![1, 2], vec![3]]);
        assert_eq!(graph.dependencies(3), 2);
        assert_eq!(graph.dependents(0).iter().map(|edge| edge.to).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn the_costliest_chain_is_followed_to_its_end() {
        let graph = Graph::of(&tasks(&["a", "b < a", "c < a", "d < c"])).unwrap();
        let chains = graph.chains(|number| [1, 10, 2, 3][number as usize]);
        assert_eq!(chains, [11, 10, 5, 3]);
        assert_eq!(graph.costliest(&chains, |_| true), [0, 1]);
        assert_eq!(graph.costliest(&chains, |number| number != 1), [0, 2, 3]);
    }

    #[test]
    fn a_cycle_is_shown_as_it_is_walked() {
        let error = Graph::of(&tasks(&["z", "a < c z", "b < a", "c < b", "d < a"])).unwrap_err();
        assert_eq!(error.code, ErrorCode::DependencyCycle);
        assert_eq!(error.message, "these tasks wait for each other: a → c → b → a");
        let error = Graph::of(&tasks(&["a < a"])).unwrap_err();
        assert_eq!(error.message, "these tasks wait for each other: a → a");
    }

    #[test]
    fn unknown_and_doubled_ids_are_refused() {
        let error = Graph::of(&tasks(&["build-api", "test < biuld-api"])).unwrap_err();
        assert_eq!(error.code, ErrorCode::DependencyUnknown);
        assert!(error.message.ends_with("did you mean 'build-api'?"), "{}", error.message);
        let error = Graph::of(&[task("a"), task("b"), task("a")]).unwrap_err();
        assert_eq!(error.code, ErrorCode::DuplicateId);
        assert_eq!(error.message, "tasks 1 and 3 have the same id 'a'");
    }
}

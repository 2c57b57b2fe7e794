//! Agents, and the messages that somebody has yet to receive. A message is written once, with a row for
//! each receiver; it goes with the last of them.

use rusqlite::{Connection, params};

use super::{Failure, parse};
use crate::model::{Agent, Message, Record};

/// What the store has of agents and messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredBus {
    /// The agents.
    pub agents: Vec<Agent>,
    /// Messages in the order of sending, each with those who have yet to receive it.
    pub messages: Vec<(Message, Vec<String>)>,
}

/// Writes a record of an agent or a message of `server`.
pub(super) fn write(connection: &Connection, server: &str, record: &Record) -> Result<(), Failure> {
    match record {
        Record::Agent(agent) => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO agents (id, server, record) VALUES (?1, ?2, ?3)")?
                .execute(params![agent.id, server, serde_json::to_string(agent)?])?;
        }
        Record::AgentGone(agent) => {
            connection
                .prepare_cached("DELETE FROM agents WHERE id = ?1 AND server = ?2")?
                .execute(params![agent, server])?;
        }
        Record::Message(message, receivers) => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO messages (id, server, record) VALUES (?1, ?2, ?3)")?
                .execute(params![message.id.as_str(), server, serde_json::to_string(message.as_ref())?])?;
            let mut delivery = connection
                .prepare_cached("INSERT OR IGNORE INTO deliveries (message, agent) VALUES (?1, ?2)")?;
            for receiver in receivers {
                delivery.execute(params![message.id.as_str(), receiver])?;
            }
        }
        Record::Received(agent, messages) => {
            let mut delivery =
                connection.prepare_cached("DELETE FROM deliveries WHERE message = ?1 AND agent = ?2")?;
            let mut message = connection.prepare_cached(
                "DELETE FROM messages WHERE id = ?1 AND NOT EXISTS
                     (SELECT 1 FROM deliveries WHERE deliveries.message = messages.id)",
            )?;
            for id in messages {
                delivery.execute(params![id.as_str(), agent])?;
                message.execute(params![id.as_str()])?;
            }
        }
        Record::Session(_)
        | Record::Removed(_)
        | Record::Command(_)
        | Record::Event(_)
        | Record::Run(_)
        | Record::Graph { .. }
        | Record::Task { .. }
        | Record::Pool { .. }
        | Record::PoolGone(_)
        | Record::Estimate { .. } => {}
    }
    Ok(())
}

/// Makes what a dead server left ours.
pub(super) fn take_over(connection: &Connection, dead: &str, server: &str) -> Result<(), Failure> {
    connection.execute("UPDATE OR REPLACE agents SET server = ?1 WHERE server = ?2", [server, dead])?;
    connection.execute("UPDATE messages SET server = ?1 WHERE server = ?2", [server, dead])?;
    Ok(())
}

/// The agents of `server`, and what they have yet to receive. What servers that ended in order left, too,
/// is for the first that comes.
pub(super) fn read(connection: &Connection, server: &str) -> Result<StoredBus, Failure> {
    for table in ["agents", "messages"] {
        connection.execute(
            &format!(
                "UPDATE OR REPLACE {table} SET server = ?1
                 WHERE server <> ?1 AND server NOT IN (SELECT id FROM servers)"
            ),
            [server],
        )?;
    }
    let agents =
        super::read_all(connection, "SELECT record FROM agents WHERE server = ?1 ORDER BY id", [server])?;
    let mut statement = connection.prepare("SELECT record FROM messages WHERE server = ?1 ORDER BY rowid")?;
    let mut receivers =
        connection.prepare("SELECT agent FROM deliveries WHERE message = ?1 ORDER BY agent")?;
    let mut messages = Vec::new();
    for record in statement.query_map([server], |row| row.get::<_, String>(0))? {
        let message: Message = parse(&record?)?;
        let of_message = receivers.query_map([message.id.as_str()], |row| row.get(0))?;
        messages.push((message, of_message.collect::<Result<_, _>>()?));
    }
    Ok(StoredBus { agents, messages })
}

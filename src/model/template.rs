//! Settings of sessions, kept in the store in the form in which a caller gives them: templates for
//! sessions to come, and snapshots of sessions that there were.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::id::{SessionId, SnapshotId};

/// Settings under a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// Its key.
    pub name: String,
    /// As `session_create` takes them.
    pub settings: Map<String, Value>,
    /// When it was made, or last replaced.
    pub created_at: Timestamp,
}

/// The settings of a session as they were at some moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Names it.
    pub id: SnapshotId,
    /// Of which session.
    pub session: SessionId,
    /// As `session_create` takes them, with the last command.
    pub state: Map<String, Value>,
    /// When.
    pub taken_at: Timestamp,
}

//! The API server's own record of who wrote what.

use std::fs;

use serde::Deserialize;

use crate::servers::Servers;

/// One write that the API server was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it was answered, RFC 3339 with microseconds.
    pub at: String,
    /// Who asked.
    pub user: String,
    /// `create`, `update`, `patch` or `delete`.
    pub verb: String,
    /// `applications`, `imageupdatepolicies/status`, …
    pub resource: String,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The answer's status: 200 and 201 for what was done.
    pub code: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage_timestamp: String,
    verb: String,
    user: User,
    #[serde(default)]
    object_ref: ObjectReference,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ObjectReference {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Status {
    code: u16,
}

impl AuditEntry {
    /// Whether something was written.
    pub fn done(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Whether it is about an Application.
    pub fn of_application(&self) -> bool {
        self.resource == "applications"
    }
}

/// Every write up to now, oldest first, the last line left out while it is still being written.
pub(crate) fn entries(servers: &Servers) -> Vec<AuditEntry> {
    let text = fs::read_to_string(&servers.audit_log).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(entry).collect()
}

fn entry(line: &str) -> AuditEntry {
    let line: Line = serde_json::from_str(line).unwrap_or_else(|cause| panic!("not an audit event: {cause}: {line}"));
    let object = line.object_ref;
    let join = if object.subresource.is_empty() { "" } else { "/" };
    AuditEntry {
        at: line.stage_timestamp,
        user: line.user.username,
        verb: line.verb,
        resource: format!("{}{join}{}", object.resource, object.subresource),
        namespace: object.namespace,
        name: object.name,
        code: line.response_status.map_or(0, |status| status.code),
    }
}

//! Who acts. Every service call takes one.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Axis, Permission, Role, permission};
use crate::model::{Error, Result, SessionId, TokenId, UserId, UtcMicros};

/// How the actor came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A person with a cookie; it ends by itself at `expires`.
    Session { id: SessionId, expires: UtcMicros },
    /// A machine with a bearer token.
    Token {
        id: TokenId,
        expires: Option<UtcMicros>,
    },
    /// Somebody at the machine itself: whoever may read the configuration owns the box.
    Command,
    /// A part of the daemon that carries out what was decided before.
    System,
    /// Nobody yet: somebody who tries to sign in.
    Anonymous,
}

#[derive(Clone, Debug)]
pub struct Actor {
    pub user: Option<UserId>,
    /// Sign-in name, or `system/PART`, `command/USER`: a slash never stands in a sign-in name.
    pub name: Arc<str>,
    pub display_name: Arc<str>,
    /// Only people and their tokens have one.
    pub role: Option<Role>,
    pub via: Via,
    pub client: Option<IpAddr>,
    /// SHA-256 of what was shown at the door, for asking again.
    pub(super) key: Option<[u8; 32]>,
}

impl Actor {
    /// A part of the daemon, e.g. `evidence`.
    pub fn system(part: &str) -> Self {
        Self::without_role(format!("system/{part}"), Via::System, None)
    }

    /// A person at the machine's command line, by the name the machine knows.
    pub fn command_line(user: &str) -> Self {
        Self::without_role(format!("command/{user}"), Via::Command, None)
    }

    pub(super) fn anonymous(name: &str, client: Option<IpAddr>) -> Self {
        Self::without_role(name.to_owned(), Via::Anonymous, client)
    }

    fn without_role(name: String, via: Via, client: Option<IpAddr>) -> Self {
        let name: Arc<str> = name.into();
        Self {
            user: None,
            display_name: name.clone(),
            name,
            role: None,
            via,
            client,
            key: None,
        }
    }

    pub fn may(&self, permission: Permission) -> bool {
        match (self.role, self.via) {
            (Some(role), _) => role.may(permission),
            (None, Via::System | Via::Command) => true,
            (None, Via::Session { .. } | Via::Token { .. } | Via::Anonymous) => false,
        }
    }

    /// Everything the actor may, for `GET /me`.
    pub fn permissions(&self) -> Vec<Permission> {
        Permission::ALL
            .iter()
            .copied()
            .filter(|p| self.may(*p))
            .collect()
    }

    /// Refuses with a sentence that says who, what and which posts may. `what` names the object.
    pub fn need(&self, permission: Permission, what: &str) -> Result<()> {
        if self.may(permission) {
            return Ok(());
        }
        let posts: Vec<_> = permission::roles_with(permission)
            .iter()
            .map(|r| format!("{} {}", r.as_str(), r.name_zh()))
            .collect();
        Err(Error::forbidden(
            "forbidden",
            format!(
                "{} may not {} ({what}); this needs `{}`, which these posts have: {}",
                self.who(),
                permission.act(),
                permission.as_str(),
                posts.join(", ")
            ),
        ))
    }

    /// `recording.view`, and not farther back than the post may see.
    pub fn need_recorded(&self, from: UtcMicros, now: UtcMicros, what: &str) -> Result<()> {
        self.need(Permission::RecordingView, what)?;
        match self.role.and_then(permission::recorded_view_limit) {
            Some(limit) if from < now.minus(limit) => Err(Error::forbidden(
                "forbidden",
                format!(
                    "{} may watch recordings of the last {} minutes only; {what} at {from} is older: ask a shift_lead 值班长",
                    self.who(),
                    limit.as_secs() / 60
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// `name (role 名称)`.
    pub fn who(&self) -> String {
        match self.role {
            Some(role) => format!("{} ({} {})", self.name, role.as_str(), role.name_zh()),
            None => self.name.to_string(),
        }
    }

    pub fn role_word(&self) -> &'static str {
        match (self.role, self.via) {
            (Some(role), _) => role.as_str(),
            (None, Via::Command) => "command_line",
            (None, Via::System) => "system",
            (None, Via::Anonymous | Via::Session { .. } | Via::Token { .. }) => "none",
        }
    }

    pub fn axis_word(&self) -> &'static str {
        match self.role {
            Some(role) => role.axis().as_str(),
            None => Axis::System.as_str(),
        }
    }

    /// The session or token, as the audit log names it.
    pub fn session_word(&self) -> Option<String> {
        match self.via {
            Via::Session { id, .. } => Some(id.to_string()),
            Via::Token { id, .. } => Some(format!("token:{id}")),
            Via::Command | Via::System | Via::Anonymous => None,
        }
    }
}

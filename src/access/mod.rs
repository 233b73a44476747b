//! Who may do what, and who did: people, posts, sessions, tokens, the [`Actor`] that every service call takes, the audit log.
//!
//! Promises: no call without an actor; no footage for the system administrator; a secret is never kept, only its hash; every
//! act is written down before it happens and closed after it, refused attempts too. Only sign-ins that are held off after too many
//! failures are counted instead of written one by one.

mod actor;
mod audit;
mod cache;
mod layouts;
mod password;
mod people;
mod permission;
mod role;
mod sessions;
mod throttle;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use crate::config::AccessConfig;
use crate::model::Clock;
use crate::store::Database;

pub use actor::{Actor, Via};
pub use audit::{Action, Audit, AuditPage, AuditQuery, Entry, audited};
pub use layouts::{Layout, Layouts, NewLayout};
pub use people::{NewUser, User};
pub use permission::{Permission, recorded_view_limit, roles_with};
pub use role::{Axis, Role};
pub use sessions::{Credential, SignedIn};
pub use tokens::{NewToken, Token};

/// People and what they sign in with. Cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    db: Database,
    audit: Audit,
    clock: Arc<dyn Clock>,
    /// A session ends when unused for this long…
    idle: Duration,
    /// …and after this long in any case.
    absolute: Duration,
    hasher: password::Hasher,
    throttle: throttle::Throttle,
    cache: cache::Cache,
}

impl Access {
    pub fn new(db: Database, audit: Audit, clock: Arc<dyn Clock>, config: &AccessConfig) -> Self {
        Self(Arc::new(Inner {
            db,
            audit,
            clock,
            idle: Duration::from_secs(config.session_idle_minutes.max(1).saturating_mul(60)),
            absolute: Duration::from_secs(config.session_hours.max(1).saturating_mul(3_600)),
            hasher: password::Hasher::default(),
            throttle: throttle::Throttle::default(),
            cache: cache::Cache::default(),
        }))
    }

    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }
}

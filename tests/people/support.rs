//! A small centre: a database in a folder of its own, a clock that can be turned, people with their posts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use zhenbei::access::{Access, Actor, Audit, NewUser, Role};
use zhenbei::config::AccessConfig;
use zhenbei::model::{Clock, Secret, UtcMicros};
use zhenbei::store::Database;

/// 2026-11-24 14:00 in Yulin.
pub(crate) const START: UtcMicros = UtcMicros(1_795_500_000_000_000);

pub(crate) struct TurnableClock(AtomicI64);

impl TurnableClock {
    pub(crate) fn turn(&self, by: Duration) {
        let later = self.now().plus(by);
        self.0.store(later.0, Ordering::SeqCst);
    }
}

impl Clock for TurnableClock {
    fn now(&self) -> UtcMicros {
        UtcMicros(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) struct Centre {
    pub(crate) db: Database,
    pub(crate) clock: Arc<TurnableClock>,
    pub(crate) audit: Audit,
    pub(crate) access: Access,
    pub(crate) dir: TempDir,
}

pub(crate) const PASSWORD: &str = "longer than eight";

impl Centre {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = Secret::new(format!(
            "sqlite:{}",
            dir.path().join("zhenbei.db").display()
        ));
        let db = Database::open(&url).await.unwrap();
        let clock = Arc::new(TurnableClock(AtomicI64::new(START.0)));
        let audit = Audit::new(db.clone(), clock.clone());
        let access = Access::new(
            db.clone(),
            audit.clone(),
            clock.clone(),
            &AccessConfig::default(),
        );
        Self {
            db,
            clock,
            audit,
            access,
            dir,
        }
    }

    pub(crate) fn now(&self) -> UtcMicros {
        self.clock.now()
    }

    /// A new person with that post, signed in.
    pub(crate) async fn person(&self, name: &str, role: Role) -> Actor {
        let new = NewUser {
            name: name.into(),
            display_name: String::new(),
            role,
        };
        self.access
            .add_user(&Actor::command_line("root"), new, PASSWORD)
            .await
            .unwrap();
        self.access
            .sign_in(name, PASSWORD, None)
            .await
            .unwrap()
            .actor
    }

    /// `action object outcome` of every entry, oldest first.
    pub(crate) async fn record(&self) -> Vec<String> {
        let filter = zhenbei::store::database::AuditFilter {
            limit: 10_000,
            ..Default::default()
        };
        let mut rows = self.db.audit(&filter).await.unwrap();
        rows.reverse();
        rows.iter()
            .map(|r| {
                format!(
                    "{} {} {} {}",
                    r.entry.actor, r.entry.action, r.entry.object, r.outcome
                )
            })
            .collect()
    }
}

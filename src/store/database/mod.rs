//! The relational store: one text of SQL, two engines.
//!
//! SQLite for one box, PostgreSQL for several. Statements use what both take (`$1`, `ON CONFLICT`, `RETURNING`); types are
//! `BIGINT` (times in microseconds, numbers), `TEXT`, `DOUBLE PRECISION`, `BYTEA`. Each area has its own file here, its own
//! migration and its own part of the conformance suite.
//!
//! A method that returns `Ok` has committed, and the commit is on disk (`synchronous = FULL`).

mod access;
mod archive;
mod audit;
mod cases;
mod exhibits;
mod layouts;
mod site;
mod tracks;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, Executor, Transaction};

use crate::model::{Error, Result, Secret};

pub use access::{SessionRow, TokenRow, UserRow};
pub use archive::{ArchiveCommit, FragmentRow, Hold, SegmentPart, SegmentRow, Tombstone};
pub use audit::{AuditFilter, AuditRow, NewAuditRow};
pub use cases::{CaseChange, CaseFilter, CaseStep};
pub use exhibits::{ExhibitOrigin, StoredFile};
pub use layouts::LayoutRow;
pub use site::SiteChange;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Database {
    engine: Engine,
    read: AnyPool,
    /// SQLite allows one writer: a pool of one queues writers here instead of failing them with "database is locked".
    write: AnyPool,
    names: Arc<tracks::NameCache>,
}

impl Database {
    /// Opens and brings the schema up to date. `url` is `sqlite:PATH` or `postgres://…`.
    pub async fn open(url: &Secret) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let text = url.reveal();
        let engine = if text.starts_with("sqlite:") {
            Engine::Sqlite
        } else if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            Engine::Postgres
        } else {
            return Err(Error::invalid(
                "bad_database_url",
                format!(
                    "[database] url `{}` must begin with sqlite: or postgres://",
                    url.redacted()
                ),
            ));
        };
        let text = match engine {
            Engine::Sqlite if !text.contains('?') => format!("{text}?mode=rwc"),
            Engine::Sqlite | Engine::Postgres => text.to_owned(),
        };
        let options = AnyConnectOptions::from_str(&text).map_err(|e| {
            Error::invalid(
                "bad_database_url",
                format!("[database] url `{}` cannot be read", url.redacted()),
            )
            .because(e)
        })?;
        let pool = |max| {
            AnyPoolOptions::new()
                .max_connections(max)
                .acquire_timeout(Duration::from_secs(10))
                .after_connect(move |conn, _| {
                    Box::pin(async move {
                        if engine == Engine::Sqlite {
                            conn.execute(
                                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; \
                                 PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;",
                            )
                            .await?;
                        }
                        Ok(())
                    })
                })
                .connect_with(options.clone())
        };
        let failed = |e| {
            Error::unavailable(
                "database_down",
                format!(
                    "cannot open the database {}; check that the server runs, or that the folder exists and is writable",
                    url.redacted()
                ),
            )
            .because(e)
        };
        let write = pool(if engine == Engine::Sqlite { 1 } else { 8 })
            .await
            .map_err(failed)?;
        let read = pool(8).await.map_err(failed)?;
        MIGRATIONS.run(&write).await.map_err(|e| {
            Error::internal(
                "migration_failed",
                format!("cannot bring the schema of {} up to date", url.redacted()),
            )
            .because(e)
        })?;
        Ok(Self {
            engine,
            read,
            write,
            names: Arc::default(),
        })
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// For reads; sees everything committed before the call.
    pub(in crate::store) fn read(&self) -> &AnyPool {
        &self.read
    }

    /// A write transaction. Dropped without `commit`, nothing has happened.
    pub(in crate::store) async fn begin(
        &self,
        doing: &'static str,
    ) -> Result<Transaction<'static, Any>> {
        // SQLite: take the write lock now, not at the first write, so that a read before it cannot be out of date.
        match self.engine {
            Engine::Sqlite => self.write.begin_with("BEGIN IMMEDIATE").await,
            Engine::Postgres => self.write.begin().await,
        }
        .map_err(|e| database_error(doing, e))
    }

    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1")
            .execute(&self.read)
            .await
            .map(|_| ())
            .map_err(|e| database_error("answer a ping", e))
    }

    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// What was being done, and whether it may work later.
pub(in crate::store) fn database_error(doing: &'static str, e: sqlx::Error) -> Error {
    let busy = matches!(
        &e,
        sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Io(_)
            | sqlx::Error::WorkerCrashed
    );
    // SQLITE_FULL is 13, SQLITE_IOERR 10 and its extended codes; PostgreSQL class 53 is "insufficient resources".
    let code = e
        .as_database_error()
        .and_then(|d| d.code())
        .map(|c| c.into_owned())
        .unwrap_or_default();
    if code == "13" || code == "53100" {
        Error::unavailable(
            "disk_full",
            format!("the database could not {doing}: its disk is full; free space on it"),
        )
        .because(e)
    } else if busy
        || code.starts_with("53")
        || code.starts_with("57")
        || code.starts_with("08")
        || code == "5"
    {
        Error::unavailable(
            "database_down",
            format!("the database could not {doing}; it will be tried again"),
        )
        .because(e)
    } else {
        Error::internal("database_error", format!("the database could not {doing}")).because(e)
    }
}

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
pub use archive::{ArchiveCommit, Burial, FragmentRow, Hold, SegmentPart, SegmentRow, Tombstone};
#[doc(hidden)]
pub use archive::{folded, folded_rows};
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
    let away = matches!(
        &e,
        sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Io(_)
            | sqlx::Error::WorkerCrashed
    );
    let code = e
        .as_database_error()
        .and_then(|d| d.code())
        .map(|c| c.into_owned())
        .unwrap_or_default();
    let fault = if away {
        Fault::Away
    } else if matches!(e, sqlx::Error::Encode(_)) {
        Fault::Refused
    } else {
        fault_of(&code)
    };
    match fault {
        Fault::Full => Error::unavailable(
            "disk_full",
            format!("the database could not {doing}: its disk is full; free space on it"),
        ),
        Fault::Away => Error::unavailable(
            "database_down",
            format!("the database could not {doing}; it will be tried again"),
        ),
        Fault::Refused => Error::internal(
            REFUSED,
            format!("the database could not {doing}: it does not take this data"),
        ),
        Fault::Other => {
            Error::internal("database_error", format!("the database could not {doing}"))
        }
    }
    .because(e)
}

/// The code of an error about what was to be written: the database itself is well, and would refuse the same again.
pub const REFUSED: &str = "database_refused";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Full,
    Away,
    Refused,
    Other,
}

/// SQLSTATE has five characters (PostgreSQL, appendix A); SQLite's are numbers, the low byte the primary result code
/// (sqlite.org/rescode.html), and none that exists has five digits.
fn fault_of(code: &str) -> Fault {
    if code.len() == 5 {
        return match code.get(..2) {
            _ if code == "53100" => Fault::Full,
            // Connection, resources, operator intervention, and errors of the system such as of its disk.
            Some("08" | "53" | "57" | "58") => Fault::Away,
            // Data, constraint, a limit of the program.
            Some("22" | "23" | "54") => Fault::Refused,
            Some(_) | None => Fault::Other,
        };
    }
    match code.parse::<u32>().map(|c| c & 0xff) {
        Ok(13) => Fault::Full,
        // BUSY, LOCKED, NOMEM, READONLY, IOERR, CANTOPEN, PROTOCOL: nothing that another statement would mend.
        Ok(5 | 6 | 7 | 8 | 10 | 14 | 15) => Fault::Away,
        // TOOBIG, CONSTRAINT, MISMATCH, RANGE.
        Ok(18 | 19 | 20 | 25) => Fault::Refused,
        Ok(_) | Err(_) => Fault::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_whether_it_is_the_disk_the_database_or_the_data() {
        for (code, fault) in [
            ("13", Fault::Full),
            ("53100", Fault::Full),
            ("5", Fault::Away),
            ("517", Fault::Away),
            // SQLITE_IOERR, _IOERR_READ, _IOERR_FSYNC, _CANTOPEN, _CANTOPEN_NOTEMPDIR.
            ("10", Fault::Away),
            ("266", Fault::Away),
            ("1034", Fault::Away),
            ("14", Fault::Away),
            ("270", Fault::Away),
            ("08006", Fault::Away),
            ("57P01", Fault::Away),
            ("58030", Fault::Away),
            // SQLITE_CONSTRAINT_TRIGGER, unique_violation, a byte that is no UTF-8.
            ("1811", Fault::Refused),
            ("23505", Fault::Refused),
            ("22021", Fault::Refused),
            // No such table, a malformed file.
            ("1", Fault::Other),
            ("42P01", Fault::Other),
            ("11", Fault::Other),
            ("", Fault::Other),
        ] {
            assert_eq!(fault_of(code), fault, "{code}");
        }
    }
}

//! People, their sessions and tokens. Secrets are kept as SHA-256 only.

use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use super::{Database, database_error};
use crate::model::{Error, Result, SessionId, TokenId, UserId, UtcMicros};

/// A person who may sign in. The role is a word of `access`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    pub id: UserId,
    pub name: String,
    pub display_name: String,
    pub role: String,
    /// PHC string.
    pub password: String,
    pub disabled: bool,
    pub created_at: UtcMicros,
    pub password_changed_at: UtcMicros,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: SessionId,
    pub user: UserId,
    pub client: Option<String>,
    pub created_at: UtcMicros,
    pub last_seen: UtcMicros,
    pub expires_at: UtcMicros,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    pub id: TokenId,
    pub user: UserId,
    pub name: String,
    pub created_at: UtcMicros,
    pub last_used: Option<UtcMicros>,
    pub expires_at: Option<UtcMicros>,
    pub revoked_at: Option<UtcMicros>,
}

const USER: &str = "u.id AS user_id, u.name AS user_name, u.display_name, u.role, u.password, u.disabled, \
                    u.created_at AS user_created_at, u.password_changed_at";
const SESSION: &str =
    "s.id AS session_id, s.user_id, s.client, s.created_at, s.last_seen, s.expires_at";
const TOKEN: &str =
    "t.id AS token_id, t.user_id, t.name, t.created_at, t.last_used, t.expires_at, t.revoked_at";

impl Database {
    /// Adds a person. A name that is taken, also by someone disabled, is a conflict.
    pub async fn add_user(&self, user: &UserRow) -> Result<()> {
        let mut tx = self.begin("add a person").await?;
        insert_user(&mut tx, user).await?;
        tx.commit()
            .await
            .map_err(|e| database_error("add a person", e))
    }

    /// Adds the very first person; false when there already is one.
    pub async fn add_first_user(&self, user: &UserRow) -> Result<bool> {
        let doing = "add the first person";
        let mut tx = self.begin(doing).await?;
        // The row lock makes a second node wait here, so that only one of them finds nobody.
        sqlx::query("UPDATE audit_head SET seq = seq WHERE id = 1")
            .execute(&mut *tx)
            .await
            .map_err(|e| database_error(doing, e))?;
        let people: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users")
            .fetch_one(&mut *tx)
            .await
            .map_err(|e| database_error(doing, e))?;
        if people > 0 {
            return Ok(false);
        }
        insert_user(&mut tx, user).await?;
        tx.commit().await.map_err(|e| database_error(doing, e))?;
        Ok(true)
    }

    /// Everybody, by name.
    pub async fn users(&self) -> Result<Vec<UserRow>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {USER} FROM users u ORDER BY u.name"
        )))
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list people", e))?;
        rows.iter().map(user).collect()
    }

    pub async fn user_by_name(&self, name: &str) -> Result<Option<UserRow>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {USER} FROM users u WHERE u.name = $1"
        )))
        .bind(name)
        .fetch_optional(self.read())
        .await
        .map_err(|e| database_error("read a person", e))?;
        row.as_ref().map(user).transpose()
    }

    /// A new password ends every session of the person but `keep`.
    pub async fn set_password(
        &self,
        id: UserId,
        password: &str,
        now: UtcMicros,
        keep: Option<SessionId>,
    ) -> Result<()> {
        let doing = "change a password";
        let mut tx = self.begin(doing).await?;
        sqlx::query("UPDATE users SET password = $2, password_changed_at = $3 WHERE id = $1")
            .bind(id.to_string())
            .bind(password)
            .bind(now.0)
            .execute(&mut *tx)
            .await
            .map_err(|e| database_error(doing, e))?;
        sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND id <> $2")
            .bind(id.to_string())
            .bind(keep.map_or_else(String::new, |s| s.to_string()))
            .execute(&mut *tx)
            .await
            .map_err(|e| database_error(doing, e))?;
        tx.commit().await.map_err(|e| database_error(doing, e))
    }

    pub async fn set_role(&self, id: UserId, role: &str) -> Result<()> {
        sqlx::query("UPDATE users SET role = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(role)
            .execute(&self.write)
            .await
            .map(|_| ())
            .map_err(|e| database_error("change a role", e))
    }

    /// Nobody is deleted: the log names them. Disabling ends every session.
    pub async fn set_disabled(&self, id: UserId, disabled: bool) -> Result<()> {
        let doing = "disable a person";
        let mut tx = self.begin(doing).await?;
        sqlx::query("UPDATE users SET disabled = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(i64::from(disabled))
            .execute(&mut *tx)
            .await
            .map_err(|e| database_error(doing, e))?;
        if disabled {
            sqlx::query("DELETE FROM sessions WHERE user_id = $1")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await
                .map_err(|e| database_error(doing, e))?;
        }
        tx.commit().await.map_err(|e| database_error(doing, e))
    }

    /// Adds a session; the oldest of the same person go while there are more than `keep`.
    pub async fn add_session(&self, s: &SessionRow, secret_sha256: &str, keep: i64) -> Result<()> {
        let doing = "open a session";
        let mut tx = self.begin(doing).await?;
        sqlx::query(
            "INSERT INTO sessions (id, user_id, secret_sha256, client, created_at, last_seen, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(s.id.to_string())
        .bind(s.user.to_string())
        .bind(secret_sha256)
        .bind(s.client.as_deref())
        .bind(s.created_at.0)
        .bind(s.last_seen.0)
        .bind(s.expires_at.0)
        .execute(&mut *tx)
        .await
        .map_err(|e| database_error(doing, e))?;
        sqlx::query(
            "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN \
             (SELECT id FROM sessions WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2)",
        )
        .bind(s.user.to_string())
        .bind(keep)
        .execute(&mut *tx)
        .await
        .map_err(|e| database_error(doing, e))?;
        tx.commit().await.map_err(|e| database_error(doing, e))
    }

    pub async fn session(&self, secret_sha256: &str) -> Result<Option<(SessionRow, UserRow)>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {SESSION}, {USER} FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.secret_sha256 = $1"
        )))
        .bind(secret_sha256)
        .fetch_optional(self.read())
        .await
        .map_err(|e| database_error("read a session", e))?;
        row.as_ref()
            .map(|r| Ok((session(r)?, user(r)?)))
            .transpose()
    }

    pub async fn touch_session(&self, id: SessionId, now: UtcMicros) -> Result<()> {
        sqlx::query("UPDATE sessions SET last_seen = $2 WHERE id = $1 AND last_seen < $2")
            .bind(id.to_string())
            .bind(now.0)
            .execute(&self.write)
            .await
            .map(|_| ())
            .map_err(|e| database_error("note that a session is used", e))
    }

    pub async fn delete_session(&self, id: SessionId) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE id = $1")
            .bind(id.to_string())
            .execute(&self.write)
            .await
            .map(|_| ())
            .map_err(|e| database_error("end a session", e))
    }

    /// Removes sessions past their end, or unused since `idle_since`. Returns how many.
    pub async fn delete_dead_sessions(&self, now: UtcMicros, idle_since: UtcMicros) -> Result<u64> {
        sqlx::query("DELETE FROM sessions WHERE expires_at <= $1 OR last_seen <= $2")
            .bind(now.0)
            .bind(idle_since.0)
            .execute(&self.write)
            .await
            .map(|r| r.rows_affected())
            .map_err(|e| database_error("remove dead sessions", e))
    }

    pub async fn add_token(&self, t: &TokenRow, secret_sha256: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO tokens (id, user_id, name, secret_sha256, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(t.id.to_string())
        .bind(t.user.to_string())
        .bind(t.name.as_str())
        .bind(secret_sha256)
        .bind(t.created_at.0)
        .bind(t.expires_at.map(|e| e.0))
        .execute(&self.write)
        .await
        .map(|_| ())
        .map_err(|e| database_error("add a token", e))
    }

    pub async fn token(&self, secret_sha256: &str) -> Result<Option<(TokenRow, UserRow)>> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {TOKEN}, {USER} FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.secret_sha256 = $1"
        )))
        .bind(secret_sha256)
        .fetch_optional(self.read())
        .await
        .map_err(|e| database_error("read a token", e))?;
        row.as_ref().map(|r| Ok((token(r)?, user(r)?))).transpose()
    }

    /// The tokens of a person, newest first, revoked ones too.
    pub async fn tokens(&self, of: UserId) -> Result<Vec<TokenRow>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {TOKEN} FROM tokens t WHERE t.user_id = $1 ORDER BY t.created_at DESC, t.id DESC"
        )))
        .bind(of.to_string())
        .fetch_all(self.read())
        .await
        .map_err(|e| database_error("list tokens", e))?;
        rows.iter().map(token).collect()
    }

    pub async fn touch_token(&self, id: TokenId, now: UtcMicros) -> Result<()> {
        sqlx::query("UPDATE tokens SET last_used = $2 WHERE id = $1 AND (last_used IS NULL OR last_used < $2)")
            .bind(id.to_string())
            .bind(now.0)
            .execute(&self.write)
            .await
            .map(|_| ())
            .map_err(|e| database_error("note that a token is used", e))
    }

    /// False when there is no such token or it was revoked before.
    pub async fn revoke_token(&self, id: TokenId, now: UtcMicros) -> Result<bool> {
        sqlx::query("UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
            .bind(id.to_string())
            .bind(now.0)
            .execute(&self.write)
            .await
            .map(|r| r.rows_affected() == 1)
            .map_err(|e| database_error("revoke a token", e))
    }
}

async fn insert_user(tx: &mut Transaction<'static, Any>, u: &UserRow) -> Result<()> {
    let added = sqlx::query(
        "INSERT INTO users (id, name, display_name, role, password, disabled, created_at, password_changed_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING",
    )
    .bind(u.id.to_string())
    .bind(u.name.as_str())
    .bind(u.display_name.as_str())
    .bind(u.role.as_str())
    .bind(u.password.as_str())
    .bind(i64::from(u.disabled))
    .bind(u.created_at.0)
    .bind(u.password_changed_at.0)
    .execute(&mut **tx)
    .await
    .map_err(|e| database_error("add a person", e))?;
    if added.rows_affected() == 0 {
        return Err(Error::conflict(
            "name_taken",
            format!(
                "there already is a person with the sign-in name `{}`; names are never used twice",
                u.name
            ),
        ));
    }
    Ok(())
}

fn user(row: &AnyRow) -> Result<UserRow> {
    let read = || -> sqlx::Result<(String, UserRow)> {
        let disabled: i64 = row.try_get("disabled")?;
        Ok((
            row.try_get("user_id")?,
            UserRow {
                id: UserId(uuid::Uuid::nil()),
                name: row.try_get("user_name")?,
                display_name: row.try_get("display_name")?,
                role: row.try_get("role")?,
                password: row.try_get("password")?,
                disabled: disabled != 0,
                created_at: UtcMicros(row.try_get("user_created_at")?),
                password_changed_at: UtcMicros(row.try_get("password_changed_at")?),
            },
        ))
    };
    let (id, user) = read().map_err(|e| database_error("read a person", e))?;
    Ok(UserRow {
        id: UserId::parse(&id)?,
        ..user
    })
}

fn session(row: &AnyRow) -> Result<SessionRow> {
    let read = || -> sqlx::Result<_> {
        let id: String = row.try_get("session_id")?;
        let user: String = row.try_get("user_id")?;
        let client: Option<String> = row.try_get("client")?;
        let times: (i64, i64, i64) = (
            row.try_get("created_at")?,
            row.try_get("last_seen")?,
            row.try_get("expires_at")?,
        );
        Ok((id, user, client, times))
    };
    let (id, user, client, times) = read().map_err(|e| database_error("read a session", e))?;
    Ok(SessionRow {
        id: SessionId::parse(&id)?,
        user: UserId::parse(&user)?,
        client,
        created_at: UtcMicros(times.0),
        last_seen: UtcMicros(times.1),
        expires_at: UtcMicros(times.2),
    })
}

fn token(row: &AnyRow) -> Result<TokenRow> {
    let read = || -> sqlx::Result<_> {
        let id: String = row.try_get("token_id")?;
        let user: String = row.try_get("user_id")?;
        let name: String = row.try_get("name")?;
        let created_at: i64 = row.try_get("created_at")?;
        let later: [Option<i64>; 3] = [
            row.try_get("last_used")?,
            row.try_get("expires_at")?,
            row.try_get("revoked_at")?,
        ];
        Ok((id, user, name, created_at, later.map(|t| t.map(UtcMicros))))
    };
    let (id, user, name, created_at, [last_used, expires_at, revoked_at]) =
        read().map_err(|e| database_error("read a token", e))?;
    Ok(TokenRow {
        id: TokenId::parse(&id)?,
        user: UserId::parse(&user)?,
        name,
        created_at: UtcMicros(created_at),
        last_used,
        expires_at,
        revoked_at,
    })
}

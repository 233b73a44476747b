//! `zhenbei user …`, `zhenbei token`: people from the machine's own command line.

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use super::Failure;
use crate::access::{Access, Actor, Audit, NewToken, NewUser, Role};
use crate::app::open_store;
use crate::config;
use crate::model::{Error, SystemClock};
use crate::store::Database;

/// Whoever runs the command, by the name the machine knows.
pub(super) fn command_line() -> Actor {
    Actor::command_line(
        &std::env::var("SUDO_USER")
            .or_else(|_| std::env::var("USER"))
            .unwrap_or_else(|_| "root".into()),
    )
}

/// Runs a short command on a runtime of its own.
pub(super) fn block_on(act: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(act)
}

pub(super) fn add(
    file: &Path,
    name: &str,
    role: &str,
    display_name: Option<&str>,
) -> Result<(), Failure> {
    let role = Role::parse(role).ok_or_else(|| {
        let all: Vec<_> = Role::ALL.iter().map(|r| r.as_str()).collect();
        Error::invalid(
            "bad_role",
            format!("`{role}` is not a post; known are {}", all.join(", ")),
        )
    })?;
    let password = password()?;
    with_access(file, async |access, _| {
        let new = NewUser {
            name: name.into(),
            display_name: display_name.unwrap_or(name).into(),
            role,
        };
        let user = access.add_user(&command_line(), new, &password).await?;
        writeln!(
            std::io::stdout(),
            "added {} as {}",
            user.name,
            user.role.as_str()
        )?;
        Ok(())
    })
}

pub(super) fn set_password(file: &Path, name: &str) -> Result<(), Failure> {
    let password = password()?;
    with_access(file, async |access, _| {
        access
            .set_password(&command_line(), name, &password)
            .await?;
        writeln!(std::io::stdout(), "the password of {name} is set")?;
        Ok(())
    })
}

pub(super) fn list(file: &Path) -> Result<(), Failure> {
    with_access(file, async |access, _| {
        let mut out = std::io::stdout();
        for user in access.users(&command_line()).await? {
            let state = if user.disabled { "disabled" } else { "" };
            writeln!(
                out,
                "{:<20} {:<14} {} {state}",
                user.name,
                user.role.as_str(),
                user.display_name
            )?;
        }
        Ok(())
    })
}

pub(super) fn token(file: &Path, user: &str, name: &str) -> Result<(), Failure> {
    with_access(file, async |access, _| {
        let new = NewToken {
            name: name.into(),
            expires_at: None,
        };
        let token = access.add_token(&command_line(), user, new).await?;
        writeln!(std::io::stdout(), "{token}")?;
        Ok(())
    })
}

fn with_access(
    file: &Path,
    act: impl AsyncFnOnce(Access, Database) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let config = config::load(file).map_err(Failure::Config)?.config;
    block_on(async {
        let db = open_store(&config).await?;
        let audit = Audit::new(db.clone(), Arc::new(SystemClock));
        let access = Access::new(db.clone(), audit, Arc::new(SystemClock), &config.access);
        let result = act(access, db.clone()).await;
        db.close().await;
        result
    })
}

/// The first line of standard input.
fn password() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Error::invalid(
            "no_password",
            "write the password to standard input, e.g. `echo … | zhenbei user add …`",
        )
        .into());
    }
    Ok(password.to_owned())
}

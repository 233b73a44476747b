//! People: adding them, their passwords and posts. Nobody is ever deleted, because the log names them; they are disabled.

use serde::Serialize;

use super::password::{check_new_password, random_password};
use super::{Access, Action, Actor, Permission, Role, Via, audited};
use crate::model::{Error, Result, UserId, UtcMicros};
use crate::store::database::UserRow;

/// A person as lists show them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    pub id: UserId,
    pub name: String,
    pub display_name: String,
    pub role: Role,
    pub disabled: bool,
    pub created_at: UtcMicros,
}

#[derive(Clone, Debug)]
pub struct NewUser {
    /// Sign-in name; kept in lower case, never used twice.
    pub name: String,
    /// Empty: the sign-in name.
    pub display_name: String,
    pub role: Role,
}

impl Access {
    /// On a new system: adds `admin` with a random password and returns the password, to be shown once. `None` when there
    /// are people already.
    pub async fn ensure_first_admin(&self, actor: &Actor) -> Result<Option<String>> {
        if !self.0.db.users().await?.is_empty() {
            return Ok(None);
        }
        let password = random_password();
        let new = NewUser {
            name: "admin".into(),
            display_name: "管理员".into(),
            role: Role::Admin,
        };
        let row = self.new_row(&new, &password).await?;
        let add = async {
            actor.need(Permission::UserWrite, "the first person")?;
            self.0.db.add_first_user(&row).await
        };
        let added = audited(&self.0.audit, actor, Action::UserAdd, "user/admin", "", add).await?;
        Ok(added.then_some(password))
    }

    pub async fn add_user(&self, actor: &Actor, new: NewUser, password: &str) -> Result<User> {
        let new = NewUser {
            name: sign_in_name(&new.name),
            ..new
        };
        let object = format!("user/{} as {}", new.name, new.role.as_str());
        audited(&self.0.audit, actor, Action::UserAdd, &object, "", async {
            actor.need(Permission::UserWrite, &new.name)?;
            may_grant(actor, new.role)?;
            let row = self.new_row(&new, password).await?;
            self.0.db.add_user(&row).await?;
            user(row)
        })
        .await
    }

    /// Everybody, by name.
    pub async fn users(&self, actor: &Actor) -> Result<Vec<User>> {
        self.0
            .audit
            .check(actor, Permission::UserWrite, "the list of people")
            .await?;
        self.0.db.users().await?.into_iter().map(user).collect()
    }

    /// One's own password. Ends one's other sessions.
    pub async fn change_password(&self, actor: &Actor, old: &str, new: &str) -> Result<()> {
        let object = format!("user/{}", actor.name);
        let now = self.0.clock.now();
        self.0.throttle.enter(&actor.name, actor.client, now)?;
        audited(
            &self.0.audit,
            actor,
            Action::PasswordChange,
            &object,
            "",
            async {
                let row = self.named(&actor.name).await?;
                if !self
                    .0
                    .hasher
                    .verify(old, Some(row.password.clone()))
                    .await?
                {
                    return Err(Error::forbidden(
                        "bad_credentials",
                        "the old password is wrong",
                    ));
                }
                self.0.throttle.passed(&row.name, actor.client);
                let keep = match actor.via {
                    Via::Session { id, .. } => Some(id),
                    Via::Token { .. } | Via::Command | Via::System | Via::Anonymous => None,
                };
                self.store_password(&row, new, keep).await
            },
        )
        .await
    }

    /// Somebody else's password, when they forgot it. Ends all their sessions.
    pub async fn set_password(&self, actor: &Actor, name: &str, new: &str) -> Result<()> {
        let name = sign_in_name(name);
        let object = format!("user/{name}");
        audited(
            &self.0.audit,
            actor,
            Action::PasswordChange,
            &object,
            "",
            async {
                let row = self.changeable(actor, &name).await?;
                self.store_password(&row, new, None).await
            },
        )
        .await
    }

    /// Another post. Nobody changes their own.
    pub async fn set_role(&self, actor: &Actor, name: &str, role: Role) -> Result<()> {
        let name = sign_in_name(name);
        let object = format!("user/{name} to {}", role.as_str());
        audited(
            &self.0.audit,
            actor,
            Action::UserChange,
            &object,
            "",
            async {
                let row = self.changeable(actor, &name).await?;
                may_grant(actor, role)?;
                self.0.db.set_role(row.id, role.as_str()).await?;
                self.0.cache.forget_user(row.id);
                Ok(())
            },
        )
        .await
    }

    /// Disabled, a person is signed out at once and cannot sign in; their tokens rest.
    pub async fn set_disabled(&self, actor: &Actor, name: &str, disabled: bool) -> Result<()> {
        let name = sign_in_name(name);
        let object = format!(
            "user/{name} {}",
            if disabled { "disabled" } else { "enabled" }
        );
        audited(
            &self.0.audit,
            actor,
            Action::UserChange,
            &object,
            "",
            async {
                let row = self.changeable(actor, &name).await?;
                self.0.db.set_disabled(row.id, disabled).await?;
                self.0.cache.forget_user(row.id);
                Ok(())
            },
        )
        .await
    }

    pub(super) async fn named(&self, name: &str) -> Result<UserRow> {
        self.0.db.user_by_name(name).await?.ok_or_else(|| {
            Error::not_found(
                "no_such_user",
                format!("there is no person with the sign-in name `{name}`"),
            )
        })
    }

    /// The person, if the actor may change them.
    async fn changeable(&self, actor: &Actor, name: &str) -> Result<UserRow> {
        actor.need(Permission::UserWrite, name)?;
        let row = self.named(name).await?;
        if actor.user == Some(row.id) {
            return Err(Error::forbidden(
                "forbidden",
                format!(
                    "{} may not change their own account; somebody else has to",
                    actor.who()
                ),
            ));
        }
        may_grant(actor, role_of(&row)?)?;
        Ok(row)
    }

    async fn new_row(&self, new: &NewUser, password: &str) -> Result<UserRow> {
        check_name(&new.name)?;
        let display_name = match new.display_name.trim() {
            "" => new.name.clone(),
            text if text.chars().count() > 80 => {
                return Err(Error::invalid(
                    "bad_name",
                    "a display name has at most 80 signs",
                ));
            }
            text => text.to_owned(),
        };
        check_new_password(&new.name, password)?;
        let now = self.0.clock.now();
        Ok(UserRow {
            id: UserId::generate(),
            name: new.name.clone(),
            display_name,
            role: new.role.as_str().into(),
            password: self.0.hasher.hash(password).await?,
            disabled: false,
            created_at: now,
            password_changed_at: now,
        })
    }

    async fn store_password(
        &self,
        row: &UserRow,
        new: &str,
        keep: Option<crate::model::SessionId>,
    ) -> Result<()> {
        check_new_password(&row.name, new)?;
        let hash = self.0.hasher.hash(new).await?;
        self.0
            .db
            .set_password(row.id, &hash, self.0.clock.now(), keep)
            .await?;
        self.0.cache.forget_user(row.id);
        Ok(())
    }
}

/// The trial post can do what no other can; only one who has it, or who owns the machine, gives it or changes who has it.
fn may_grant(actor: &Actor, role: Role) -> Result<()> {
    if role == Role::Admin && actor.role.is_some_and(|r| r != Role::Admin) {
        return Err(Error::forbidden(
            "forbidden",
            format!(
                "{} may not give or change the post admin; use the command line on the machine",
                actor.who()
            ),
        ));
    }
    Ok(())
}

pub(super) fn role_of(row: &UserRow) -> Result<Role> {
    Role::parse(&row.role).ok_or_else(|| {
        Error::internal(
            "bad_row",
            format!("`{}` has the unknown post `{}`", row.name, row.role),
        )
    })
}

fn user(row: UserRow) -> Result<User> {
    Ok(User {
        role: role_of(&row)?,
        id: row.id,
        name: row.name,
        display_name: row.display_name,
        disabled: row.disabled,
        created_at: row.created_at,
    })
}

pub(super) fn sign_in_name(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Letters of any script, digits and `. _ -`: no slash, so that `system/…` stays ours, and no blanks.
fn check_name(name: &str) -> Result<()> {
    let ok = (1..=40).contains(&name.chars().count())
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if ok {
        return Ok(());
    }
    Err(Error::invalid(
        "bad_name",
        format!(
            "`{}` cannot be a sign-in name: use 1 to 40 letters, digits, . _ -",
            name.chars().take(60).collect::<String>()
        ),
    ))
}

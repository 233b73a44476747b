//! Arrangements of cameras on a wall: one's own, and those shared with everybody.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Action, Actor, Audit, Permission, audited};
use crate::model::{CameraId, Clock, Error, LayoutId, Result, UserId};
use crate::store::Database;
use crate::store::database::LayoutRow;

const LAYOUTS_EACH: i64 = 100;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layout {
    pub id: LayoutId,
    pub name: String,
    pub tiles: u8,
    /// One for each tile; `None` is an empty tile.
    pub cameras: Vec<Option<CameraId>>,
    pub shared: bool,
    /// Whether the asking person may change it.
    pub own: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct NewLayout {
    pub name: String,
    pub tiles: u8,
    pub cameras: Vec<Option<CameraId>>,
    #[serde(default)]
    pub shared: bool,
}

#[derive(Clone)]
pub struct Layouts {
    db: Database,
    audit: Audit,
    clock: Arc<dyn Clock>,
}

impl Layouts {
    pub fn new(db: Database, audit: Audit, clock: Arc<dyn Clock>) -> Self {
        Self { db, audit, clock }
    }

    /// One's own and the shared ones, by name.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<Layout>> {
        self.audit
            .check(actor, Permission::LiveView, "layouts")
            .await?;
        let rows = self.db.layouts(actor.user).await?;
        Ok(rows.into_iter().map(|r| layout(r, actor)).collect())
    }

    /// Adds or replaces. A shared layout is changed by its owner or by who may share.
    pub async fn put(&self, actor: &Actor, id: LayoutId, new: NewLayout) -> Result<Layout> {
        audited(
            &self.audit,
            actor,
            Action::LayoutChange,
            &format!("layout/{id}"),
            "",
            async {
                let owner = person(actor)?;
                actor.need(Permission::LayoutWrite, &new.name)?;
                if new.shared {
                    actor.need(Permission::LayoutShare, &new.name)?;
                }
                check(&new)?;
                let old = self.db.layout(id).await?;
                match &old {
                    Some(old) => may_change(actor, old)?,
                    None if self.db.count_layouts(owner).await? >= LAYOUTS_EACH => {
                        return Err(Error::conflict(
                            "too_many_layouts",
                            format!("you have {LAYOUTS_EACH} layouts already; delete one first"),
                        ));
                    }
                    None => {}
                }
                let mut cameras = new.cameras;
                cameras.resize(usize::from(new.tiles), None);
                let row = LayoutRow {
                    id,
                    owner: old.map_or(owner, |o| o.owner),
                    name: new.name.trim().to_owned(),
                    tiles: i64::from(new.tiles),
                    cameras,
                    shared: new.shared,
                    updated_at: self.clock.now(),
                };
                self.db.put_layout(&row).await?;
                Ok(layout(row, actor))
            },
        )
        .await
    }

    pub async fn delete(&self, actor: &Actor, id: LayoutId) -> Result<()> {
        let object = format!("layout/{id} deleted");
        audited(
            &self.audit,
            actor,
            Action::LayoutChange,
            &object,
            "",
            async {
                actor.need(Permission::LayoutWrite, "a layout")?;
                let old = self.db.layout(id).await?.ok_or_else(|| {
                    Error::not_found("not_found", format!("no layout has the id `{id}`"))
                })?;
                may_change(actor, &old)?;
                self.db.delete_layout(id).await
            },
        )
        .await
    }
}

fn person(actor: &Actor) -> Result<UserId> {
    actor.user.ok_or_else(|| {
        Error::forbidden(
            "forbidden",
            format!("{} is no person and has no layouts", actor.who()),
        )
    })
}

fn may_change(actor: &Actor, layout: &LayoutRow) -> Result<()> {
    let own = actor.user == Some(layout.owner);
    if own || (layout.shared && actor.may(Permission::LayoutShare)) {
        return Ok(());
    }
    // Somebody's private layout is nobody else's business: not even that it exists.
    if !layout.shared {
        return Err(Error::not_found(
            "not_found",
            format!("no layout has the id `{}`", layout.id),
        ));
    }
    Err(Error::forbidden(
        "forbidden",
        format!(
            "{} may not change the shared layout `{}`; save it under a new name",
            actor.who(),
            layout.name
        ),
    ))
}

fn check(new: &NewLayout) -> Result<()> {
    if !(1..=80).contains(&new.name.trim().chars().count()) {
        return Err(Error::invalid(
            "bad_layout",
            "a layout's name has 1 to 80 signs",
        ));
    }
    if !matches!(new.tiles, 1 | 4 | 9 | 16) {
        return Err(Error::invalid(
            "bad_layout",
            format!("a wall has 1, 4, 9 or 16 tiles, not {}", new.tiles),
        ));
    }
    if new.cameras.len() > usize::from(new.tiles) {
        return Err(Error::invalid(
            "bad_layout",
            format!(
                "{} cameras do not fit on {} tiles",
                new.cameras.len(),
                new.tiles
            ),
        ));
    }
    Ok(())
}

fn layout(row: LayoutRow, actor: &Actor) -> Layout {
    Layout {
        own: actor.user == Some(row.owner) || (row.shared && actor.may(Permission::LayoutShare)),
        id: row.id,
        name: row.name,
        tiles: u8::try_from(row.tiles).unwrap_or(1),
        cameras: row.cameras,
        shared: row.shared,
    }
}

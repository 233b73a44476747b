//! `/layouts`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, Caller};
use super::problem::{ApiResult, Problem};
use super::state::Api;
use crate::access::{Layout, NewLayout};
use crate::model::{CameraId, LayoutId};

const TAG: &str = "layouts";

/// An arrangement of cameras on a wall.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Layout)]
pub(super) struct LayoutView {
    id: String,
    name: String,
    /// 1, 4, 9 or 16
    tiles: u8,
    /// One for each tile; null is an empty tile.
    #[schema(value_type = Vec<Option<String>>)]
    cameras: Vec<Option<CameraId>>,
    shared: bool,
    /// Whether the caller may change it.
    own: bool,
}

impl From<Layout> for LayoutView {
    fn from(l: Layout) -> Self {
        Self {
            id: l.id.to_string(),
            name: l.name,
            tiles: l.tiles,
            cameras: l.cameras,
            shared: l.shared,
            own: l.own,
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LayoutInput {
    name: String,
    tiles: u8,
    #[schema(value_type = Vec<Option<String>>)]
    cameras: Vec<Option<CameraId>>,
    #[serde(default)]
    shared: bool,
    /// May be sent back as it was read; the address counts.
    #[serde(default, rename = "id")]
    _id: Option<String>,
    #[serde(default, rename = "own")]
    _own: Option<bool>,
}

/// One's own layouts and the shared ones.
#[utoipa::path(get, path = "/layouts", tag = TAG, responses((status = 200, body = [LayoutView])))]
pub(super) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
) -> ApiResult<Json<Vec<LayoutView>>> {
    Ok(Json(
        api.layouts
            .list(&actor)
            .await?
            .into_iter()
            .map(LayoutView::from)
            .collect(),
    ))
}

/// Adds or replaces a layout; new ids are made by the caller (UUID).
#[utoipa::path(put, path = "/layouts/{id}", tag = TAG, request_body = LayoutInput,
    responses((status = 200, body = LayoutView), (status = 403, body = Problem)))]
pub(super) async fn put(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Body(input): Body<LayoutInput>,
) -> ApiResult<Json<LayoutView>> {
    let new = NewLayout {
        name: input.name,
        tiles: input.tiles,
        cameras: input.cameras,
        shared: input.shared,
    };
    Ok(Json(
        api.layouts
            .put(&actor, LayoutId::parse(&id)?, new)
            .await?
            .into(),
    ))
}

/// Deletes a layout.
#[utoipa::path(delete, path = "/layouts/{id}", tag = TAG, responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn delete(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    api.layouts.delete(&actor, LayoutId::parse(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

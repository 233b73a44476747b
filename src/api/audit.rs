//! `/audit`.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Caller, Params};
use super::page::next_link;
use super::problem::{ApiResult, Problem};
use super::state::Api;
use crate::access::AuditQuery;
use crate::model::UtcMicros;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// Only what this person did.
    actor: Option<String>,
    action: Option<String>,
    /// 1 to 500; 100 when absent.
    limit: Option<u16>,
    /// As the `Link` header of the page before gives it.
    cursor: Option<String>,
}

/// One act. `open` means that it began and its end is not on record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct EntryView {
    seq: i64,
    #[schema(value_type = String, format = DateTime)]
    time: UtcMicros,
    actor: String,
    role: String,
    session: Option<String>,
    action: String,
    object: String,
    purpose: String,
    /// `open`, `ok`, `denied`, `failed`
    outcome: String,
    detail: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<UtcMicros>,
}

/// The audit log, newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(Search),
    responses((status = 200, body = [EntryView]), (status = 403, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
    Params(search): Params<Search>,
) -> ApiResult<(HeaderMap, Json<Vec<EntryView>>)> {
    let limit = search.limit.unwrap_or(100);
    let query = AuditQuery {
        actor: search.actor.clone(),
        action: search.action.clone(),
        cursor: search.cursor,
        limit,
    };
    let page = api.audit.list(&actor, &query).await?;
    let entries = page
        .rows
        .into_iter()
        .map(|r| EntryView {
            seq: r.seq,
            time: r.entry.time,
            actor: r.entry.actor,
            role: r.entry.role,
            session: r.entry.session,
            action: r.entry.action,
            object: r.entry.object,
            purpose: r.entry.purpose,
            outcome: r.outcome,
            detail: r.detail,
            closed_at: r.closed_at,
        })
        .collect();
    let keep = [
        ("actor", search.actor),
        ("action", search.action),
        ("limit", Some(limit.to_string())),
    ];
    Ok((next_link("/api/v1/audit", &keep, page.next), Json(entries)))
}

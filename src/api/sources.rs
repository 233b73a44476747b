//! `/sources`: where vehicle positions come in, and what was refused.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Caller, Params};
use super::problem::{ApiResult, Problem};
use super::state::Api;
use crate::access::Permission;
use crate::fleet::SourceState;
use crate::model::UtcMicros;

const TAG: &str = "vehicles";

/// A feed and how it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Source)]
pub(super) struct SourceView {
    source: String,
    /// `connected`, `connecting`, `down`
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    since: UtcMicros,
    received: u64,
    accepted: u64,
    rejected: u64,
    /// Positions delivered a second time.
    repeated: u64,
    /// Well-formed messages without a position: the device lives.
    without_position: u64,
    rate_per_s: f64,
    last_error: Option<String>,
}

/// Every feed with its counters.
#[utoipa::path(get, path = "/sources", tag = TAG, responses((status = 200, body = [SourceView]), (status = 403, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
) -> ApiResult<Json<Vec<SourceView>>> {
    api.audit
        .check(&actor, Permission::SystemRead, "the feeds")
        .await?;
    let sources = api.fleet.sources().into_iter().map(|s| SourceView {
        source: s.source,
        state: match s.state {
            SourceState::Connecting => "connecting",
            SourceState::Connected => "connected",
            SourceState::Down => "down",
        },
        since: s.since,
        received: s.received,
        accepted: s.accepted,
        rejected: s.rejected,
        repeated: s.repeated,
        without_position: s.without_position,
        rate_per_s: s.rate_per_s,
        last_error: s.last_error,
    });
    Ok(Json(sources.collect()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Limit {
    /// 100 when absent.
    limit: Option<usize>,
}

/// A message that could not be used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rejected)]
pub(super) struct RejectedView {
    #[schema(value_type = String, format = DateTime)]
    time: UtcMicros,
    source: String,
    topic: String,
    reason: String,
    /// Its beginning.
    sample: String,
}

/// The newest messages that could not be used, and why.
#[utoipa::path(get, path = "/sources/rejected", tag = TAG, params(Limit),
    responses((status = 200, body = [RejectedView]), (status = 403, body = Problem)))]
pub(super) async fn rejected(
    State(api): State<Api>,
    Caller(actor): Caller,
    Params(query): Params<Limit>,
) -> ApiResult<Json<Vec<RejectedView>>> {
    api.audit
        .check(&actor, Permission::SystemRead, "the rejected messages")
        .await?;
    let rejected = api
        .fleet
        .rejected(query.limit.unwrap_or(100))
        .into_iter()
        .map(|r| RejectedView {
            time: r.time,
            source: r.source,
            topic: r.topic,
            reason: r.reason,
            sample: r.sample,
        });
    Ok(Json(rejected.collect()))
}

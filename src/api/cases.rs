//! `/cases`: case files and their exhibits.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::cameras::{GapView, SpanView, stream_role};
use super::extract::{Body, Caller, Params};
use super::files::Sendable;
use super::page::next_link;
use super::problem::{ApiResult, Problem};
use super::state::Api;
use crate::access::Actor;
use crate::casefile::{CaseFile, CaseQuery, NewCase};
use crate::evidence::{Make, NewDerived, NewExhibit, Reading, Subject};
use crate::model::{
    CameraId, Case, CaseAction, CaseEvent, CaseId, CaseState, Error, Exhibit, ExhibitFile,
    ExhibitId, ExhibitState, TimeRange, UtcMicros, VehicleId,
};

const TAG: &str = "cases";
/// A clip that is copied within this time is answered with 201; a longer one with 202, to be asked for again.
const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CaseEvent)]
pub(super) struct EventView {
    #[schema(value_type = String, format = DateTime)]
    time: UtcMicros,
    actor: String,
    action: String,
    text: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Case)]
pub(super) struct CaseView {
    id: String,
    no: String,
    title: String,
    description: String,
    category: String,
    /// `reported`, `filed`, `rejected`, `closed`
    state: &'static str,
    source: &'static str,
    #[schema(value_type = String, format = DateTime)]
    occurred_from: UtcMicros,
    #[schema(value_type = Option<String>, format = DateTime)]
    occurred_to: Option<UtcMicros>,
    lon: f64,
    lat: f64,
    address: String,
    area: Option<String>,
    opened_by: String,
    #[schema(value_type = String, format = DateTime)]
    opened_at: UtcMicros,
    filed_by: Option<String>,
    closed_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<UtcMicros>,
    /// Counts changes; send it back with an action to be told when somebody else was quicker.
    revision: i64,
    exhibits: u64,
    /// Only of a single case: what happened, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<EventView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exhibit_list: Option<Vec<ExhibitView>>,
}

impl CaseView {
    fn new(c: Case, exhibits: u64) -> Self {
        Self {
            id: c.id.to_string(),
            no: c.no,
            title: c.title,
            description: c.description,
            category: c.category,
            state: c.state.as_str(),
            source: c.source.as_str(),
            occurred_from: c.occurred_from,
            occurred_to: c.occurred_to,
            lon: c.place.lon,
            lat: c.place.lat,
            address: c.address,
            area: c.area.map(|a| a.to_string()),
            opened_by: c.opened_by,
            opened_at: c.opened_at,
            filed_by: c.filed_by,
            closed_by: c.closed_by,
            closed_at: c.closed_at,
            revision: c.revision,
            exhibits,
            events: None,
            exhibit_list: None,
        }
    }

    fn whole(file: CaseFile) -> Self {
        let mut view = Self::new(file.case, file.exhibits.len() as u64);
        let event = |e: CaseEvent| EventView {
            time: e.time,
            actor: e.actor,
            action: e.action,
            text: e.text,
        };
        view.events = Some(file.events.into_iter().map(event).collect());
        view.exhibit_list = Some(file.exhibits.into_iter().map(ExhibitView::from).collect());
        view
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExhibitFile)]
pub(super) struct FileView {
    name: String,
    bytes: u64,
    /// Lower-case hex.
    sha256: String,
    media_type: String,
    derived_from: Option<String>,
    recipe: Option<String>,
}

impl From<ExhibitFile> for FileView {
    fn from(f: ExhibitFile) -> Self {
        Self {
            name: f.name,
            bytes: f.bytes,
            sha256: f.sha256,
            media_type: f.media_type,
            derived_from: f.derived_from,
            recipe: f.recipe,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Exhibit)]
pub(super) struct ExhibitView {
    id: String,
    case: String,
    /// `clip`, `track`; made of a clip: `exact_cut`, `still`, `contact_sheet`, `low_copy`
    kind: &'static str,
    /// `working`, `ready`, `failed`
    state: &'static str,
    error: Option<String>,
    camera: Option<String>,
    vehicle: Option<String>,
    stream: Option<&'static str>,
    requested: SpanView,
    /// What the files really cover; whole GOPs may begin earlier.
    delivered: Option<SpanView>,
    gaps: Vec<GapView>,
    purpose: String,
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: UtcMicros,
    files: Vec<FileView>,
    /// The exhibit this one was made of.
    derived_from: Option<String>,
    /// How: `name`, `version`, `parameters`; once it is ready also `encoder`, `settings`, `pictures`, `audio`, `made_at_us`.
    #[schema(value_type = Option<Object>)]
    recipe: Option<serde_json::Value>,
}

impl From<Exhibit> for ExhibitView {
    fn from(x: Exhibit) -> Self {
        let span = |r: TimeRange| SpanView {
            from: r.from,
            to: r.to,
        };
        Self {
            id: x.id.to_string(),
            case: x.case.to_string(),
            kind: x.kind.as_str(),
            state: x.state.as_str(),
            error: x.error,
            camera: x.camera.map(|c| c.to_string()),
            vehicle: x.vehicle.map(|v| v.to_string()),
            stream: x.stream.map(|s| s.as_str()),
            requested: span(x.requested),
            delivered: x.delivered.map(span),
            gaps: x
                .gaps
                .iter()
                .map(|(r, c)| GapView {
                    from: r.from,
                    to: r.to,
                    cause: c.as_str(),
                })
                .collect(),
            purpose: x.purpose,
            created_by: x.created_by,
            created_at: x.created_at,
            files: x.files.into_iter().map(FileView::from).collect(),
            derived_from: x.derived_from.map(|id| id.to_string()),
            recipe: x.recipe,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    state: Option<String>,
    /// Found in number, title, description or address.
    q: Option<String>,
    /// 1 to 500; 100 when absent.
    limit: Option<u16>,
    /// As the `Link` header of the page before gives it.
    cursor: Option<String>,
}

/// Cases, newest first.
#[utoipa::path(get, path = "/cases", tag = TAG, params(Search),
    responses((status = 200, body = [CaseView]), (status = 403, body = Problem)))]
pub(super) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
    Params(search): Params<Search>,
) -> ApiResult<(HeaderMap, Json<Vec<CaseView>>)> {
    let state = search.state.as_deref().filter(|s| !s.is_empty()).map(|s| {
        CaseState::parse(s)
            .ok_or_else(|| Error::invalid("bad_state", format!("`{s}` is not a state of a case")))
    });
    let limit = search.limit.unwrap_or(100);
    let query = CaseQuery {
        state: state.transpose()?,
        text: search.q.clone(),
        cursor: search.cursor,
        limit,
    };
    let page = api.cases.list(&actor, &query).await?;
    let views = page
        .cases
        .into_iter()
        .map(|l| CaseView::new(l.case, l.exhibits))
        .collect();
    let keep = [
        ("state", search.state),
        ("q", search.q),
        ("limit", Some(limit.to_string())),
    ];
    Ok((next_link("/api/v1/cases", &keep, page.next), Json(views)))
}

/// A case as it is reported.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes the body; `NewCase` reads it")]
pub(super) struct CaseInput {
    title: String,
    description: Option<String>,
    category: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    occurred_from: UtcMicros,
    #[schema(value_type = Option<String>, format = DateTime)]
    occurred_to: Option<UtcMicros>,
    lon: f64,
    lat: f64,
    address: Option<String>,
    area: Option<String>,
    /// `inspector`, `hotline`, `public`, `video`, `vehicle`, `other`
    source: Option<String>,
}

/// Opens a case (上报).
#[utoipa::path(post, path = "/cases", tag = TAG, request_body = CaseInput,
    responses((status = 201, body = CaseView), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn open(
    State(api): State<Api>,
    Caller(actor): Caller,
    Body(new): Body<NewCase>,
) -> ApiResult<(StatusCode, Json<CaseView>)> {
    Ok((
        StatusCode::CREATED,
        Json(CaseView::whole(api.cases.open(&actor, new).await?)),
    ))
}

/// One case with all that happened and all its exhibits.
#[utoipa::path(get, path = "/cases/{id}", tag = TAG,
    responses((status = 200, body = CaseView), (status = 404, body = Problem)))]
pub(super) async fn get(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<CaseView>> {
    Ok(Json(CaseView::whole(
        api.cases.get(&actor, CaseId::parse(&id)?).await?,
    )))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionInput {
    /// `file` (立案), `reject` (不予立案), `close` (结案), `comment`
    #[schema(value_type = String)]
    action: CaseAction,
    #[serde(default)]
    text: String,
    /// Of the case as it was seen.
    revision: Option<i64>,
}

/// A step on a case. Who opened or filed a case cannot close it.
#[utoipa::path(post, path = "/cases/{id}/actions", tag = TAG, request_body = ActionInput,
    responses((status = 200, body = CaseView), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn act(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Body(input): Body<ActionInput>,
) -> ApiResult<Json<CaseView>> {
    let file = api
        .cases
        .act(
            &actor,
            CaseId::parse(&id)?,
            input.action,
            &input.text,
            input.revision,
        )
        .await?;
    Ok(Json(CaseView::whole(file)))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExhibitInput {
    /// Footage of this camera…
    #[schema(value_type = Option<String>)]
    camera: Option<CameraId>,
    /// `main` (default) or `sub`
    stream: Option<String>,
    /// …or the track of this vehicle.
    #[schema(value_type = Option<String>)]
    vehicle: Option<VehicleId>,
    #[schema(value_type = String, format = DateTime)]
    from: UtcMicros,
    #[schema(value_type = String, format = DateTime)]
    to: UtcMicros,
    /// Why it is taken; on the custody record for ever.
    purpose: String,
}

impl ExhibitInput {
    fn request(self) -> ApiResult<NewExhibit> {
        let subject = match (self.camera, self.vehicle) {
            (Some(camera), None) => Subject::Camera {
                camera,
                stream: stream_role(self.stream.as_deref())?,
            },
            (None, Some(vehicle)) => Subject::Vehicle(vehicle),
            (Some(_), Some(_)) | (None, None) => {
                return Err(
                    Error::invalid("bad_request", "name either a `camera` or a `vehicle`").into(),
                );
            }
        };
        Ok(NewExhibit {
            subject,
            range: TimeRange::new(self.from, self.to)?,
            purpose: self.purpose,
        })
    }
}

/// The exhibits of a case.
#[utoipa::path(get, path = "/cases/{id}/exhibits", tag = TAG,
    responses((status = 200, body = [ExhibitView]), (status = 404, body = Problem)))]
pub(super) async fn exhibits(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Vec<ExhibitView>>> {
    let exhibits = api.exhibits.list(&actor, CaseId::parse(&id)?).await?;
    Ok(Json(exhibits.into_iter().map(ExhibitView::from).collect()))
}

/// Copies footage or a track into evidence storage and attaches it.
#[utoipa::path(post, path = "/cases/{id}/exhibits", tag = TAG, request_body = ExhibitInput,
    responses((status = 201, body = ExhibitView), (status = 202, body = ExhibitView, description = "still being copied"),
        (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn attach(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Body(input): Body<ExhibitInput>,
) -> ApiResult<(StatusCode, Json<ExhibitView>)> {
    let request = input.request()?;
    let case = CaseId::parse(&id)?;
    let exhibit = api.exhibits.attach(&actor, case, request).await?;
    settled(&api, &actor, case, exhibit.id).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DerivedInput {
    /// `exact_cut` (`from`, `to`), `still` (`at`), `contact_sheet` (`columns`, `rows`), `low_copy` (`from`, `to` or neither)
    kind: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<UtcMicros>,
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<UtcMicros>,
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<UtcMicros>,
    /// 1 to 8; 4 when absent.
    columns: Option<u32>,
    /// 1 to 12; 5 when absent.
    rows: Option<u32>,
    /// That of the exhibit it is made of when absent.
    purpose: Option<String>,
}

impl DerivedInput {
    fn request(self) -> ApiResult<NewDerived> {
        let range = match (self.from, self.to) {
            (Some(from), Some(to)) => Some(TimeRange::new(from, to)?),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err(Error::invalid("bad_range", "name both `from` and `to`").into());
            }
        };
        let missing =
            |what: &str| Error::invalid("bad_request", format!("`{}` needs {what}", self.kind));
        let make = match self.kind.as_str() {
            "exact_cut" => Make::ExactCut(range.ok_or_else(|| missing("`from` and `to`"))?),
            "still" => Make::Still(self.at.ok_or_else(|| missing("`at`"))?),
            "contact_sheet" => Make::ContactSheet {
                columns: self.columns.unwrap_or(4),
                rows: self.rows.unwrap_or(5),
            },
            "low_copy" => Make::LowCopy(range),
            other => {
                return Err(Error::invalid(
                    "bad_request",
                    format!("`{other}` cannot be made of an exhibit; `exact_cut`, `still`, `contact_sheet` and `low_copy` can"),
                )
                .into());
            }
        };
        Ok(NewDerived {
            make,
            purpose: self.purpose,
        })
    }
}

/// Makes something of an exhibit's clip and attaches it beside. The clip stays what it is.
#[utoipa::path(post, path = "/cases/{id}/exhibits/{xid}/derived", tag = TAG, request_body = DerivedInput,
    responses((status = 201, body = ExhibitView), (status = 202, body = ExhibitView, description = "still being made"),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub(super) async fn derive(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path((id, xid)): Path<(String, String)>,
    Body(input): Body<DerivedInput>,
) -> ApiResult<(StatusCode, Json<ExhibitView>)> {
    let (case, parent) = (CaseId::parse(&id)?, ExhibitId::parse(&xid)?);
    let request = input.request()?;
    let exhibit = api.exhibits.derive(&actor, case, parent, request).await?;
    settled(&api, &actor, case, exhibit.id).await
}

async fn settled(
    api: &Api,
    actor: &Actor,
    case: CaseId,
    id: ExhibitId,
) -> ApiResult<(StatusCode, Json<ExhibitView>)> {
    let exhibit = api.exhibits.settled(actor, case, id, WAIT).await?;
    let status = match exhibit.state {
        ExhibitState::Working => StatusCode::ACCEPTED,
        ExhibitState::Ready | ExhibitState::Failed => StatusCode::CREATED,
    };
    Ok((status, Json(exhibit.into())))
}

/// One exhibit.
#[utoipa::path(get, path = "/cases/{id}/exhibits/{xid}", tag = TAG,
    responses((status = 200, body = ExhibitView), (status = 404, body = Problem)))]
pub(super) async fn exhibit(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path((id, xid)): Path<(String, String)>,
) -> ApiResult<Json<ExhibitView>> {
    let exhibit = api
        .exhibits
        .get(&actor, CaseId::parse(&id)?, ExhibitId::parse(&xid)?)
        .await?;
    Ok(Json(exhibit.into()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Download {
    /// `1` offers the file for saving.
    download: Option<String>,
}

/// A file of an exhibit.
#[utoipa::path(get, path = "/cases/{id}/exhibits/{xid}/{file}", tag = TAG, params(Download),
    responses((status = 200, content_type = "application/octet-stream"), (status = 206), (status = 404, body = Problem)))]
pub(super) async fn file(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path((id, xid, name)): Path<(String, String, String)>,
    Params(query): Params<Download>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let reading = match query.download.as_deref() {
        None | Some("0") => Reading::View,
        Some(_) => Reading::Download,
    };
    let (case, id) = (CaseId::parse(&id)?, ExhibitId::parse(&xid)?);
    let file = api.exhibits.file(&actor, case, id, &name).await?;
    let sendable = Sendable {
        len: file.bytes,
        etag: format!("\"{}\"", file.sha256),
        media_type: file.media_type,
        download_as: (reading == Reading::Download).then(|| format!("{id}-{}", file.name)),
        extra: Vec::new(),
    };
    match sendable.answer(&headers) {
        Ok(head) => {
            let opened = api
                .exhibits
                .open_file(&actor, case, id, &name, Some(head.range.clone()), reading)
                .await?;
            Ok(head.with(opened.bytes))
        }
        Err(answer) => Ok(*answer),
    }
}

/// All files of all exhibits of a case, `case.json` and `SHA256SUMS` as one ZIP.
#[utoipa::path(get, path = "/cases/{id}/bundle.zip", tag = TAG,
    responses((status = 200, content_type = "application/zip"), (status = 404, body = Problem)))]
pub(super) async fn bundle(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let bundle = api.exhibits.bundle(&actor, CaseId::parse(&id)?).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (header::CONTENT_LENGTH, bundle.len.to_string()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}\"", bundle.file_name),
        ),
    ];
    Ok((headers, axum::body::Body::from_stream(bundle.bytes)).into_response())
}

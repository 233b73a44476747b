//! `/vehicles`, `/positions`, `/sources`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Body, Caller, Params, RangeQuery};
use super::problem::{ApiResult, Problem};
use super::state::Api;
use crate::access::Permission;
use crate::fleet::{Position, PositionFilter};
use crate::live::{FixAbout, state_word};
use crate::model::{
    BoundingBox, Error, Fix, GeoPoint, UtcMicros, Vehicle, VehicleClass, VehicleId,
};

const TAG: &str = "vehicles";
/// Points in one track answer; a day at 1 Hz.
const TRACK_LIMIT: usize = 100_000;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Point {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Longitude, latitude in WGS-84 degrees.
    coordinates: [f64; 2],
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FixProperties {
    vehicle: String,
    #[serde(flatten)]
    about: FixAbout,
    #[serde(skip_serializing_if = "Option::is_none")]
    plate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FixFeature {
    #[serde(rename = "type")]
    kind: &'static str,
    geometry: Point,
    properties: FixProperties,
}

impl FixFeature {
    pub(super) fn new(fix: &Fix) -> Self {
        Self {
            kind: "Feature",
            geometry: Point {
                kind: "Point",
                coordinates: [fix.place.lon, fix.place.lat],
            },
            properties: FixProperties {
                vehicle: fix.vehicle.to_string(),
                about: fix.into(),
                plate: None,
                class: None,
                state: None,
            },
        }
    }

    fn position(p: &Position) -> Self {
        let mut feature = Self::new(&p.fix);
        feature.properties.plate = p.vehicle.as_ref().and_then(|v| v.plate.clone());
        feature.properties.class = Some(
            p.vehicle
                .as_ref()
                .map_or(VehicleClass::Other, |v| v.class)
                .as_str(),
        );
        feature.properties.state = Some(state_word(p.state));
        feature
    }
}

/// GeoJSON (RFC 7946).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FixCollection {
    #[serde(rename = "type")]
    kind: &'static str,
    #[schema(value_type = String, format = DateTime)]
    as_of: UtcMicros,
    /// More than the limit fixes lie in the range; ask for a shorter one.
    truncated: bool,
    features: Vec<FixFeature>,
}

fn geojson(body: FixCollection) -> Response {
    (
        [(header::CONTENT_TYPE, "application/geo+json")],
        Json(body).into_response().into_body(),
    )
        .into_response()
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PositionsQuery {
    /// `west,south,east,north` in degrees.
    bbox: Option<String>,
    /// `lon,lat`: nearest first.
    near: Option<String>,
    /// With `near`; 5000 when absent.
    radius_m: Option<f64>,
    limit: Option<usize>,
    class: Option<String>,
}

impl PositionsQuery {
    fn filter(&self) -> ApiResult<PositionFilter> {
        let bbox = self
            .bbox
            .as_deref()
            .map(|t| numbers::<4>("bbox", t))
            .transpose()?
            .map(|[w, s, e, n]| BoundingBox {
                west: w,
                south: s,
                east: e,
                north: n,
            });
        let near = self
            .near
            .as_deref()
            .map(|t| numbers::<2>("near", t))
            .transpose()?;
        let near = near.map(|[lon, lat]| GeoPoint::new(lon, lat)).transpose()?;
        let radius_m = self.radius_m.unwrap_or(5_000.0);
        if !(radius_m > 0.0 && radius_m <= 1_000_000.0) {
            return Err(Error::invalid(
                "bad_radius",
                "`radius_m` must be above 0 and at most 1000000 metres",
            )
            .into());
        }
        let class = self.class.as_deref().map(class).transpose()?;
        Ok(PositionFilter {
            bounds: bbox,
            near: near.map(|p| (p, radius_m)),
            class,
            limit: self.limit,
        })
    }
}

fn class(text: &str) -> Result<VehicleClass, Error> {
    VehicleClass::parse(text).ok_or_else(|| {
        let all = VehicleClass::ALL.map(VehicleClass::as_str).join(", ");
        Error::invalid(
            "bad_class",
            format!("`{text}` is not a class of vehicle; known are {all}"),
        )
    })
}

fn numbers<const N: usize>(name: &str, text: &str) -> Result<[f64; N], Error> {
    let parts: Option<Vec<f64>> = text
        .split(',')
        .map(|p| p.trim().parse().ok().filter(|x: &f64| x.is_finite()))
        .collect();
    parts.and_then(|p| p.try_into().ok()).ok_or_else(|| {
        Error::invalid(
            "bad_query",
            format!("`{name}={text}` must be {N} numbers in degrees with commas between"),
        )
    })
}

/// The newest position of every vehicle, or of those in a box or near a point.
#[utoipa::path(get, path = "/positions", tag = TAG, params(PositionsQuery),
    responses((status = 200, body = FixCollection, content_type = "application/geo+json"), (status = 422, body = Problem)))]
pub(super) async fn positions(
    State(api): State<Api>,
    Caller(actor): Caller,
    Params(query): Params<PositionsQuery>,
) -> ApiResult<Response> {
    api.audit
        .check(&actor, Permission::PositionView, "see positions")
        .await?;
    let found = api.fleet.positions(&query.filter()?).await;
    Ok(geojson(FixCollection {
        kind: "FeatureCollection",
        as_of: api.clock.now(),
        truncated: false,
        features: found.iter().map(FixFeature::position).collect(),
    }))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Vehicle)]
pub(super) struct VehicleView {
    id: String,
    plate: Option<String>,
    class: &'static str,
    /// In the register. A vehicle that is only seen on a feed waits for adoption.
    known: bool,
    last: Option<FixFeature>,
    state: Option<&'static str>,
}

/// All vehicles of the register and all that were seen on a feed.
#[utoipa::path(get, path = "/vehicles", tag = TAG, responses((status = 200, body = [VehicleView])))]
pub(super) async fn list(
    State(api): State<Api>,
    Caller(actor): Caller,
) -> ApiResult<Json<Vec<VehicleView>>> {
    api.audit
        .check(&actor, Permission::PositionView, "see vehicles")
        .await?;
    let mut seen: std::collections::BTreeMap<VehicleId, Position> = api
        .fleet
        .positions(&PositionFilter::default())
        .await
        .into_iter()
        .map(|p| (p.fix.vehicle.clone(), p))
        .collect();
    let register = api.register.vehicles();
    let mut all: Vec<VehicleView> = register
        .iter()
        .map(|v| vehicle_view(v, seen.remove(&v.id)))
        .collect();
    all.extend(seen.into_values().map(unknown_view));
    all.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Json(all))
}

fn vehicle_view(v: &Vehicle, last: Option<Position>) -> VehicleView {
    VehicleView {
        id: v.id.to_string(),
        plate: v.plate.clone(),
        class: v.class.as_str(),
        known: true,
        state: last.as_ref().map(|p| state_word(p.state)),
        last: last.as_ref().map(FixFeature::position),
    }
}

fn unknown_view(p: Position) -> VehicleView {
    VehicleView {
        id: p.fix.vehicle.to_string(),
        plate: None,
        class: VehicleClass::Other.as_str(),
        known: false,
        state: Some(state_word(p.state)),
        last: Some(FixFeature::position(&p)),
    }
}

fn no_vehicle(id: &str) -> Error {
    Error::not_found(
        "not_found",
        format!("there is no vehicle `{id}`, neither in the register nor on a feed"),
    )
}

async fn find(api: &Api, id: &str) -> ApiResult<VehicleView> {
    let vehicle = VehicleId::new(id).map_err(|_| no_vehicle(id))?;
    let last = api.fleet.position(&vehicle).await;
    let register = api.register.vehicles();
    match (register.iter().find(|v| v.id == vehicle), last) {
        (Some(v), last) => Ok(vehicle_view(v, last)),
        (None, Some(p)) => Ok(unknown_view(p)),
        (None, None) => Err(no_vehicle(id).into()),
    }
}

/// One vehicle.
#[utoipa::path(get, path = "/vehicles/{id}", tag = TAG,
    responses((status = 200, body = VehicleView), (status = 404, body = Problem)))]
pub(super) async fn get(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<VehicleView>> {
    api.audit
        .check(&actor, Permission::PositionView, "see vehicles")
        .await?;
    Ok(Json(find(&api, &id).await?))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VehicleInput {
    /// As it appears in topics and terminal ids.
    #[schema(value_type = String)]
    id: VehicleId,
    plate: Option<String>,
    /// `sanitation`, `muck`, `bus`, `taxi`, `patrol`, `other`
    #[serde(default)]
    #[schema(value_type = String)]
    class: VehicleClass,
}

/// Adds a vehicle to the register.
#[utoipa::path(post, path = "/vehicles", tag = TAG, request_body = VehicleInput,
    responses((status = 201, body = VehicleView), (status = 409, body = Problem)))]
pub(super) async fn create(
    State(api): State<Api>,
    Caller(actor): Caller,
    Body(input): Body<VehicleInput>,
) -> ApiResult<(StatusCode, Json<VehicleView>)> {
    let vehicle = Vehicle {
        id: input.id,
        plate: input.plate,
        class: input.class,
    };
    let id = vehicle.id.clone();
    api.register.add_vehicle(&actor, vehicle).await?;
    Ok((StatusCode::CREATED, Json(find(&api, id.as_str()).await?)))
}

/// Changes a vehicle, or adds it under this id.
#[utoipa::path(put, path = "/vehicles/{id}", tag = TAG, request_body = VehicleInput,
    responses((status = 200, body = VehicleView), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Body(input): Body<VehicleInput>,
) -> ApiResult<Json<VehicleView>> {
    if input.id.as_str() != id {
        let detail = format!(
            "the vehicle in the body is `{}`, in the address `{id}`; they must agree",
            input.id
        );
        return Err(Error::invalid("bad_id", detail).into());
    }
    api.register
        .put_vehicle(
            &actor,
            Vehicle {
                id: input.id,
                plate: input.plate,
                class: input.class,
            },
        )
        .await?;
    Ok(Json(find(&api, &id).await?))
}

/// Removes a vehicle from the register; its track stays until retention takes it.
#[utoipa::path(delete, path = "/vehicles/{id}", tag = TAG,
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn delete(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    api.register
        .delete_vehicle(&actor, &VehicleId::new(&id).map_err(|_| no_vehicle(&id))?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All fixes of a range in the order of device time.
#[utoipa::path(get, path = "/vehicles/{id}/track", tag = TAG, params(RangeQuery),
    responses((status = 200, body = FixCollection, content_type = "application/geo+json"), (status = 422, body = Problem)))]
pub(super) async fn track(
    State(api): State<Api>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Params(query): Params<RangeQuery>,
) -> ApiResult<Response> {
    api.audit
        .check(&actor, Permission::PositionView, "see tracks")
        .await?;
    let vehicle = VehicleId::new(&id).map_err(|_| no_vehicle(&id))?;
    let mut fixes = api
        .fleet
        .track(&vehicle, query.range()?, TRACK_LIMIT + 1)
        .await?;
    let truncated = fixes.len() > TRACK_LIMIT;
    fixes.truncate(TRACK_LIMIT);
    if fixes.is_empty() {
        // An empty track of a vehicle we know is an answer; of one we do not know, a mistake.
        find(&api, &id).await?;
    }
    Ok(geojson(FixCollection {
        kind: "FeatureCollection",
        as_of: api.clock.now(),
        truncated,
        features: fixes.iter().map(FixFeature::new).collect(),
    }))
}

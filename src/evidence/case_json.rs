//! The case as it lies in a bundle: `case.json`, in the words of the HTTP interface.

use serde_json::{Value, json};

use crate::model::{Case, CaseEvent, Exhibit};

pub(super) fn case_json(case: &Case, events: &[CaseEvent], exhibits: &[Exhibit]) -> String {
    let value = json!({
        "id": case.id.to_string(),
        "no": case.no,
        "title": case.title,
        "description": case.description,
        "category": case.category,
        "state": case.state.as_str(),
        "source": case.source.as_str(),
        "occurred_from": case.occurred_from,
        "occurred_to": case.occurred_to,
        "lon": case.place.lon,
        "lat": case.place.lat,
        "address": case.address,
        "area": case.area,
        "opened_by": case.opened_by,
        "opened_at": case.opened_at,
        "filed_by": case.filed_by,
        "closed_by": case.closed_by,
        "closed_at": case.closed_at,
        "events": events,
        "exhibit_list": exhibits.iter().map(exhibit_json).collect::<Vec<_>>(),
    });
    let mut text = format!("{value:#}");
    text.push('\n');
    text
}

fn exhibit_json(x: &Exhibit) -> Value {
    json!({
        "id": x.id.to_string(),
        "kind": x.kind.as_str(),
        "state": x.state.as_str(),
        "error": x.error,
        "camera": x.camera,
        "stream": x.stream,
        "vehicle": x.vehicle,
        "requested": x.requested,
        "delivered": x.delivered,
        "gaps": x.gaps.iter().map(|(r, cause)| json!({
            "from": r.from, "to": r.to, "cause": cause.as_str(),
        })).collect::<Vec<_>>(),
        "purpose": x.purpose,
        "created_by": x.created_by,
        "created_at": x.created_at,
        "derived_from": x.derived_from.map(|id| id.to_string()),
        "recipe": x.recipe,
        "files": x.files.iter().map(|f| json!({
            "name": f.name,
            "bytes": f.bytes,
            "sha256": f.sha256,
            "media_type": f.media_type,
            "derived_from": f.derived_from,
            "recipe": f.recipe,
        })).collect::<Vec<_>>(),
    })
}

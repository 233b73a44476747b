//! What is made of a clip on a case: asked for, checked, and joined to the clip it was made of. The clip stays what it was.

use serde_json::{Value, json};

use super::copying::CLIP;
use super::exhibits::{Exhibits, takes_exhibits, takes_no_more};
use crate::access::{Action, Actor, Permission};
use crate::media::{Derived, RECIPE_VERSION, Recipe};
use crate::model::{
    CaseEvent, CaseId, Error, ErrorKind, Exhibit, ExhibitId, ExhibitKind, ExhibitState, Result,
    TimeRange, UtcMicros,
};
use crate::store::database::ExhibitOrigin;

/// Derived items waiting; making one can take minutes, so a longer queue would be a promise nobody can keep.
pub(super) const WAITING: usize = 16;
/// All of a low copy is encoded: of more than this it would take the processor for too long.
const LONGEST_LOW_COPY_US: i64 = 3_600 * 1_000_000;
const MOST_COLUMNS: u32 = 8;
const MOST_ROWS: u32 = 12;

/// What to make of an exhibit's clip. Times are wall times inside what the clip delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    ExactCut(TimeRange),
    Still(UtcMicros),
    ContactSheet { columns: u32, rows: u32 },
    LowCopy(Option<TimeRange>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDerived {
    pub make: Make,
    /// Absent: that of the exhibit it is made of.
    pub purpose: Option<String>,
}

impl Make {
    const fn kind(self) -> ExhibitKind {
        match self {
            Self::ExactCut(_) => ExhibitKind::ExactCut,
            Self::Still(_) => ExhibitKind::Still,
            Self::ContactSheet { .. } => ExhibitKind::ContactSheet,
            Self::LowCopy(_) => ExhibitKind::LowCopy,
        }
    }

    /// The range that is asked for, and the recipe in times of the clip.
    fn recipe(self, delivered: TimeRange) -> Result<(TimeRange, Recipe)> {
        let since = |t: UtcMicros| t.micros_since(delivered.from);
        let inside = |range: TimeRange| {
            let range = TimeRange::new(range.from, range.to)?;
            if range.from < delivered.from || range.to > delivered.to {
                return Err(Error::invalid(
                    "bad_range",
                    format!(
                        "the exhibit covers {} to {}; ask for a range inside",
                        delivered.from, delivered.to
                    ),
                ));
            }
            Ok(range)
        };
        Ok(match self {
            Self::ExactCut(range) => {
                let range = inside(range)?;
                let (from_us, to_us) = (since(range.from), since(range.to));
                (range, Recipe::ExactCut { from_us, to_us })
            }
            Self::Still(at) => {
                let range = inside(TimeRange {
                    from: at,
                    to: at + 1,
                })?;
                (range, Recipe::Still { at_us: since(at) })
            }
            Self::ContactSheet { columns, rows } => {
                if !(1..=MOST_COLUMNS).contains(&columns) || !(1..=MOST_ROWS).contains(&rows) {
                    return Err(Error::invalid(
                        "bad_sheet",
                        format!(
                            "a contact sheet has 1 to {MOST_COLUMNS} columns and 1 to {MOST_ROWS} rows"
                        ),
                    ));
                }
                (delivered, Recipe::ContactSheet { columns, rows })
            }
            Self::LowCopy(range) => {
                let range = inside(range.unwrap_or(delivered))?;
                if range.micros() > LONGEST_LOW_COPY_US {
                    return Err(Error::invalid(
                        "bad_range",
                        "a low-bitrate copy is made of at most one hour; ask for it in parts",
                    ));
                }
                let (from_us, to_us) = (since(range.from), since(range.to));
                (range, Recipe::LowCopy { from_us, to_us })
            }
        })
    }
}

impl Exhibits {
    /// Asks for something made of a clip on the case. Returns it `working`; it is made by itself, also over a restart.
    pub async fn derive(
        &self,
        actor: &Actor,
        case: CaseId,
        parent: ExhibitId,
        new: NewDerived,
    ) -> Result<Exhibit> {
        let object = format!("case/{case} exhibit/{parent} {}", new.make.kind().as_str());
        let purpose = new.purpose.as_deref().map_or("", str::trim);
        let audit = &self.0.parts.audit;
        let entry = audit.begin(actor, Action::Attach, &object, purpose).await?;
        let derived = self
            .derive_recorded(actor, case, parent, &new, entry.seq())
            .await;
        entry.settle(derived).await
    }

    async fn derive_recorded(
        &self,
        actor: &Actor,
        case: CaseId,
        parent: ExhibitId,
        new: &NewDerived,
        audit_seq: i64,
    ) -> Result<Exhibit> {
        let parts = &self.0.parts;
        let object = format!("case/{case} exhibit/{parent}");
        actor.need(Permission::ExhibitAttach, &object)?;
        actor.need(Permission::ExhibitView, &object)?;
        let case = self.case(case).await?;
        if !takes_exhibits(case.state) {
            return Err(takes_no_more(&case));
        }
        let parent = self.0.exhibit(case.id, parent).await?;
        let delivered = clip_of(&parent)?;
        let (requested, recipe) = new.make.recipe(delivered)?;
        let purpose = match new.purpose.as_deref().map(str::trim) {
            Some(said) if !said.is_empty() => said.to_owned(),
            Some(_) | None => parent.purpose.clone(),
        };
        super::request::check_purpose(&purpose)?;
        let place = self.0.derive_queue.try_reserve().map_err(|_| {
            Error::new(
                ErrorKind::TooMuch,
                "derive_busy",
                format!("{WAITING} derived items are waiting already; try again in some minutes"),
            )
        })?;
        let now = parts.clock.now();
        let exhibit = Exhibit {
            id: ExhibitId::generate(),
            case: case.id,
            kind: new.make.kind(),
            state: ExhibitState::Working,
            error: None,
            camera: parent.camera.clone(),
            stream: parent.stream,
            vehicle: None,
            requested,
            delivered: None,
            gaps: Vec::new(),
            purpose,
            created_by: actor.name.to_string(),
            created_at: now,
            files: Vec::new(),
            derived_from: Some(parent.id),
            recipe: Some(ordered(&recipe)?),
            fragments: None,
        };
        let origin = ExhibitOrigin {
            role: actor.role_word().into(),
            audit_seq,
        };
        let event = CaseEvent {
            time: now,
            actor: actor.name.to_string(),
            action: "attach".into(),
            text: format!(
                "{} {} of exhibit {}: {}",
                exhibit.kind.as_str(),
                exhibit.id,
                parent.id,
                exhibit.purpose
            ),
        };
        if !parts.db.add_exhibit(&exhibit, &origin, &event).await? {
            return Err(takes_no_more(&self.case(case.id).await?));
        }
        place.send(exhibit.id);
        self.0.announce(&case);
        Ok(exhibit)
    }
}

/// What the exhibit's clip covers; refuses what has none.
pub(super) fn clip_of(parent: &Exhibit) -> Result<TimeRange> {
    if parent.kind != ExhibitKind::Clip {
        return Err(Error::conflict(
            "not_derivable",
            format!(
                "exhibit {} is a {}; things are made of clips, so that each names its original",
                parent.id,
                parent.kind.as_str()
            ),
        ));
    }
    let whole = parent.state == ExhibitState::Ready && parent.files.iter().any(|f| f.name == CLIP);
    parent.delivered.filter(|_| whole).ok_or_else(|| {
        Error::conflict(
            "not_ready",
            format!(
                "the clip of exhibit {} is {}; try again when it is ready",
                parent.id,
                parent.state.as_str()
            ),
        )
    })
}

/// The recipe as it is kept before anything is made.
fn ordered(recipe: &Recipe) -> Result<Value> {
    let mut parameters = serde_json::to_value(recipe)
        .map_err(|e| Error::internal("bad_recipe", "a recipe cannot be written").because(e))?;
    if let Some(members) = parameters.as_object_mut() {
        members.remove("name");
    }
    Ok(json!({
        "name": recipe.name(),
        "version": RECIPE_VERSION,
        "parameters": parameters,
    }))
}

/// The other way round.
pub(super) fn recipe_of(exhibit: &Exhibit) -> Result<Recipe> {
    let kept = exhibit.recipe.as_ref();
    let mut order = kept
        .and_then(|r| r.get("parameters"))
        .cloned()
        .unwrap_or_default();
    let name = kept.and_then(|r| r.get("name")).cloned();
    if let (Some(members), Some(name)) = (order.as_object_mut(), name) {
        members.insert("name".into(), name);
    }
    serde_json::from_value(order).map_err(|e| {
        Error::internal(
            "bad_row",
            format!("the recipe of exhibit {} is not understood", exhibit.id),
        )
        .because(e)
    })
}

/// The recipe with what was really done.
pub(super) fn completed(exhibit: &Exhibit, made: &Derived, at: UtcMicros) -> Value {
    let mut recipe = exhibit.recipe.clone().unwrap_or_default();
    if let Some(members) = recipe.as_object_mut() {
        members.insert("encoder".into(), json!(made.encoder));
        members.insert("settings".into(), json!(made.settings));
        members.insert(
            "pictures".into(),
            json!({"copied": made.copied, "encoded": made.encoded}),
        );
        members.insert("audio".into(), json!(made.audio));
        members.insert("made_at_us".into(), json!(at.0));
    }
    recipe
}

/// For the list of files: one sentence.
pub(super) fn words(recipe: &Recipe, made: &Derived) -> String {
    let how = match &made.encoder {
        None => "nothing encoded".to_owned(),
        Some(encoder) => format!("{} encoded by {encoder}", made.encoded),
    };
    format!(
        "{} version {RECIPE_VERSION}: {} pictures copied as they are, {how}",
        recipe.name(),
        made.copied
    )
}

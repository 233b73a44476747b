//! What a new case must say, and its number's day.

use std::time::Duration;

use serde::Deserialize;

use crate::model::{AreaCode, CaseSource, Error, GeoPoint, Result, UtcMicros};

/// As it is reported.
#[derive(Clone, Debug, Deserialize)]
pub struct NewCase {
    pub title: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub category: String,
    pub occurred_from: UtcMicros,
    #[serde(default)]
    pub occurred_to: Option<UtcMicros>,
    #[serde(flatten)]
    pub place: GeoPoint,
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub area: Option<AreaCode>,
    #[serde(default)]
    pub source: Option<CaseSource>,
}

/// Clocks of desks and servers differ by this much at most; what lies farther ahead is a mistake.
const CLOCK_SLACK: Duration = Duration::from_secs(300);

impl NewCase {
    pub(super) fn check(&self, now: UtcMicros) -> Result<()> {
        text("title", &self.title, 1, 200)?;
        text("description", &self.description, 0, 10_000)?;
        text("category", &self.category, 0, 100)?;
        text("address", &self.address, 0, 300)?;
        GeoPoint::new(self.place.lon, self.place.lat)?;
        let latest = now.plus(CLOCK_SLACK);
        let ends = self.occurred_to.unwrap_or(self.occurred_from);
        if self.occurred_from > latest || ends > latest {
            return Err(Error::invalid(
                "bad_time",
                format!("the case would have occurred in the future ({ends}); it is {now} now"),
            ));
        }
        if ends < self.occurred_from {
            return Err(Error::invalid(
                "bad_range",
                format!(
                    "`occurred_to` ({ends}) is earlier than `occurred_from` ({})",
                    self.occurred_from
                ),
            ));
        }
        // Before the epoch only broken clocks tell the time.
        if self.occurred_from < UtcMicros(0) {
            return Err(Error::invalid(
                "bad_time",
                format!("{} is no time a case can have occurred", self.occurred_from),
            ));
        }
        Ok(())
    }
}

pub(super) fn text(what: &str, value: &str, least: usize, most: usize) -> Result<()> {
    let signs = value.trim().chars().count();
    if (least..=most).contains(&signs) {
        return Ok(());
    }
    Err(Error::invalid(
        "bad_text",
        format!("`{what}` has {signs} signs; it takes {least} to {most}"),
    ))
}

/// `YYYYMMDD` in Beijing time. The rule is a fixed UTC+8 without summer time since 1992, so no time-zone data is needed.
pub(super) fn local_day(t: UtcMicros) -> Result<String> {
    const BEIJING_US: i64 = 8 * 3_600 * 1_000_000;
    let local = (t + BEIJING_US).to_string();
    // `2026-11-24T…` without the dashes.
    local
        .get(..10)
        .map(|day| day.replace('-', ""))
        .filter(|day| day.len() == 8)
        .ok_or_else(|| {
            Error::internal("bad_clock", format!("the machine's clock says {t}; set it"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_turns_at_midnight_in_beijing() {
        let day = |text| local_day(UtcMicros::parse(text).unwrap()).unwrap();
        assert_eq!(day("2026-11-24T15:59:59.999999Z"), "20261124");
        assert_eq!(day("2026-11-24T16:00:00Z"), "20261125");
        assert_eq!(day("2026-12-31T16:00:00Z"), "20270101");
        assert!(local_day(UtcMicros::MAX).is_err());
    }
}

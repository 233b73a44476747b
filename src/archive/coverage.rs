//! Which moments of a range are recorded, and why the others are not.

use super::{Archive, Inner};
use crate::model::{Coverage, GapCause, Result, StreamKey, TimeRange, UtcMicros, tile};

impl Archive {
    /// Spans and gaps tile the range exactly. Right for any range, also one in the future.
    pub async fn coverage(&self, stream: &StreamKey, range: TimeRange) -> Result<Coverage> {
        self.inner.coverage(stream, range).await
    }
}

impl Inner {
    pub(super) async fn coverage(&self, stream: &StreamKey, range: TimeRange) -> Result<Coverage> {
        let now = self.clock.now();
        // State before index: what becomes durable in between is then in both, and spans win.
        let state = self.known(stream).map(|s| s.snapshot());
        let now = state.as_ref().map_or(now, |s| s.place(now));
        let spans = self.db.archive_spans(stream, range).await?;
        let mut gaps = self.db.archive_gaps(stream, range).await?;
        let first = self.db.archive_first(stream).await?;
        let recording = state.as_ref().is_some_and(|s| s.recording);
        let durable_until = state.as_ref().and_then(|s| s.durable_until);
        let mut first_known = first;
        if let Some(s) = &state {
            gaps.extend(s.closed.iter().map(|g| (g.range, g.cause)));
            if let Some((from, cause)) = s.open
                && from < now
            {
                gaps.push((TimeRange { from, to: now }, cause));
                first_known = Some(first_known.map_or(from, |f| f.min(from)));
            }
            if let Some(g) = s.closed.first() {
                first_known = Some(first_known.map_or(g.range.from, |f| f.min(g.range.from)));
            }
            if first_known.is_none() && recording {
                first_known = durable_until;
            }
        }
        gaps.sort_by_key(|(g, _)| (g.from, g.to));
        // Unexplained time has one answer between these borders: the range is tiled piece by piece.
        let known = durable_until.unwrap_or(UtcMicros::MIN);
        let borders = [first_known.unwrap_or(now), known, now.max(known), range.to];
        let mut out_spans: Vec<TimeRange> = Vec::new();
        let mut out_gaps: Vec<(TimeRange, GapCause)> = Vec::new();
        let mut from = range.from;
        while from < range.to {
            let next = borders.iter().copied().filter(|b| *b > from).min();
            let to = next.unwrap_or(range.to).min(range.to);
            let cause = cause_at(from, first_known, known, now, recording);
            let (s, g) = tile(TimeRange { from, to }, &spans, &gaps, |_| cause);
            for span in s {
                match out_spans.last_mut() {
                    Some(last) if last.to == span.from => last.to = span.to,
                    Some(_) | None => out_spans.push(span),
                }
            }
            for (gap, cause) in g {
                match out_gaps.last_mut() {
                    Some((last, c)) if *c == cause && last.to == gap.from => last.to = gap.to,
                    Some(_) | None => out_gaps.push((gap, cause)),
                }
            }
            from = to;
        }
        Ok(Coverage {
            stream: stream.clone(),
            durable_until,
            spans: out_spans,
            gaps: out_gaps,
        })
    }
}

/// Why there is nothing at `at` when nothing says why.
fn cause_at(
    at: UtcMicros,
    first: Option<UtcMicros>,
    durable: UtcMicros,
    now: UtcMicros,
    recording: bool,
) -> GapCause {
    if at >= now.max(durable) {
        return GapCause::NotYet;
    }
    match first {
        Some(first) if at >= first && at >= durable && recording => GapCause::NotYet,
        Some(first) if at >= first && at >= durable => GapCause::Stopped,
        // Between recordings every gap has a row, unless the index was lost and rebuilt after files were lost too.
        Some(first) if at >= first => GapCause::DiskError,
        Some(_) => GapCause::NotRecorded,
        None if recording => GapCause::NotYet,
        None => GapCause::NotRecorded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unexplained_time_is_told_by_where_it_lies() {
        let t = UtcMicros;
        let at = |at| cause_at(t(at), Some(t(10)), t(50), t(60), true);
        assert_eq!(at(5), GapCause::NotRecorded);
        assert_eq!(at(20), GapCause::DiskError);
        assert_eq!(at(55), GapCause::NotYet);
        assert_eq!(at(70), GapCause::NotYet);
        assert_eq!(
            cause_at(t(55), Some(t(10)), t(50), t(60), false),
            GapCause::Stopped
        );
        assert_eq!(
            cause_at(t(5), None, UtcMicros::MIN, t(60), false),
            GapCause::NotRecorded
        );
    }
}

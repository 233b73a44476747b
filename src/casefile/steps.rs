//! The state table: 上报 → 立案 → 结案, or 不予立案.

use crate::model::{CaseAction, CaseState};

/// The state after the action; `None` where it is not possible. A comment is possible anywhere and changes nothing.
pub const fn next(state: CaseState, action: CaseAction) -> Option<CaseState> {
    match (state, action) {
        (CaseState::Reported, CaseAction::File) => Some(CaseState::Filed),
        (CaseState::Reported, CaseAction::Reject) => Some(CaseState::Rejected),
        (CaseState::Filed, CaseAction::Close) => Some(CaseState::Closed),
        (state, CaseAction::Comment) => Some(state),
        (
            CaseState::Filed | CaseState::Rejected | CaseState::Closed,
            CaseAction::File | CaseAction::Reject,
        )
        | (CaseState::Reported | CaseState::Rejected | CaseState::Closed, CaseAction::Close) => {
            None
        }
    }
}

/// What can be done now.
pub fn possible(state: CaseState) -> Vec<CaseAction> {
    CaseAction::ALL
        .iter()
        .copied()
        .filter(|a| next(state, *a).is_some())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_every_action() {
        let mut table = Vec::new();
        for state in CaseState::ALL {
            for action in CaseAction::ALL {
                if let Some(to) = next(*state, *action) {
                    table.push(format!(
                        "{} {} {}",
                        state.as_str(),
                        action.as_str(),
                        to.as_str()
                    ));
                }
            }
        }
        assert_eq!(
            table,
            [
                "reported file filed",
                "reported reject rejected",
                "reported comment reported",
                "filed close closed",
                "filed comment filed",
                "rejected comment rejected",
                "closed comment closed",
            ]
        );
    }
}

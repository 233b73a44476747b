//! What a post may do: one pure table after the role model of the two axes.
//!
//! Where the model gives a right only for "own area" or "own case", the table gives nothing until areas and duty are known:
//! rather too little than too much. What stands on a case file is seen with `exhibit.view` by all who handle cases.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Role;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $act:literal: [$($role:ident)+];)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Permission { $($(#[$doc])* #[serde(rename = $word)] $name),+ }

        impl Permission {
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word in `GET /me`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// For a sentence: "may not …".
            pub const fn act(self) -> &'static str {
                match self { $(Self::$name => $act),+ }
            }

            /// `admin` is in no row: it may everything here, and the two axes bind it elsewhere.
            const fn roles(self) -> &'static [Role] {
                match self { $(Self::$name => &[$(Role::$role),+]),+ }
            }
        }
    };
}

permissions! {
    LiveView = "live.view", "watch live video":
        [Acceptor ShiftLead Dispatcher Commander Operator FleetMonitor Leader];
    RecordingView = "recording.view", "watch recordings":
        [Acceptor ShiftLead Dispatcher Commander Operator Custodian];
    /// Footage as a file in the person's hand. Release to the outside is a later, two-person act of the custodian.
    RecordingDownload = "recording.download", "download footage":
        [Acceptor ShiftLead Commander Custodian];
    PositionView = "position.view", "see vehicles and their tracks":
        [Acceptor ShiftLead Dispatcher Commander Operator FleetMonitor Custodian Leader];
    CaseRead = "case.read", "read cases":
        [Inspector Acceptor ShiftLead Evaluator Dispatcher Commander Department Operator FleetMonitor Custodian Leader];
    /// 上报
    CaseOpen = "case.open", "open cases":
        [Inspector Acceptor ShiftLead Dispatcher Commander Department Operator FleetMonitor];
    /// 立案 / 不予立案
    CaseFile = "case.file", "file or reject cases": [ShiftLead];
    /// 结案; never the command axis.
    CaseClose = "case.close", "close cases": [ShiftLead];
    ExhibitView = "exhibit.view", "see the exhibits of cases":
        [Inspector Acceptor ShiftLead Evaluator Dispatcher Commander Department Operator FleetMonitor Custodian];
    ExhibitAttach = "exhibit.attach", "attach exhibits to cases":
        [Acceptor ShiftLead Dispatcher Commander Operator FleetMonitor Custodian];
    /// What must stay in the archive, whatever the rules of retention say.
    HoldWrite = "hold.write", "put and lift holds": [ShiftLead Custodian];
    CameraWrite = "camera.write", "change cameras": [Sysadmin];
    VehicleWrite = "vehicle.write", "change vehicles": [Sysadmin];
    LayoutWrite = "layout.write", "save layouts of the wall":
        [Acceptor ShiftLead Dispatcher Commander Operator FleetMonitor Leader];
    LayoutShare = "layout.share", "share layouts of the wall": [ShiftLead Commander];
    AuditRead = "audit.read", "read the audit log": [ShiftLead Evaluator Commander Custodian Auditor];
    UserWrite = "user.write", "add and change people": [Sysadmin];
    SystemRead = "system.read", "see the state of the system":
        [ShiftLead Dispatcher Commander Operator FleetMonitor Custodian Auditor Sysadmin];
}

impl Permission {
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|p| p.as_str() == text)
    }
}

impl Role {
    pub fn may(self, permission: Permission) -> bool {
        self == Self::Admin || permission.roles().contains(&self)
    }
}

/// The posts that may, without the trial post.
pub const fn roles_with(permission: Permission) -> &'static [Role] {
    permission.roles()
}

/// How far back a post may watch recordings; `None` is without limit. 值机员 see the last hour.
pub const fn recorded_view_limit(role: Role) -> Option<Duration> {
    match role {
        Role::Operator => Some(Duration::from_secs(3_600)),
        Role::Inspector
        | Role::Acceptor
        | Role::ShiftLead
        | Role::Evaluator
        | Role::Dispatcher
        | Role::Commander
        | Role::Department
        | Role::FleetMonitor
        | Role::Custodian
        | Role::Auditor
        | Role::Sysadmin
        | Role::Leader
        | Role::Admin => None,
    }
}

//! Posts of a command centre (岗位) and the axis each belongs to (监督 / 指挥).

use serde::{Deserialize, Serialize};

/// Which side of the centre a post stands on. One side checks the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// 监督轴
    Supervision,
    /// 指挥轴
    Command,
    /// 专业部门
    Department,
    /// 证据保管
    Custodian,
    /// 审计
    Audit,
    /// 系统维护
    System,
    /// 领导
    Leader,
    /// Stands on no side; only for a trial on one box.
    Trial,
}

impl Axis {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Supervision => "supervision",
            Self::Command => "command",
            Self::Department => "department",
            Self::Custodian => "custodian",
            Self::Audit => "audit",
            Self::System => "system",
            Self::Leader => "leader",
            Self::Trial => "trial",
        }
    }
}

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident = $word:literal, $zh:literal, $en:literal, $axis:ident;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Role { $($(#[$doc])* $role),+ }

        impl Role {
            pub const ALL: &[Self] = &[$(Self::$role),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$role => $word),+ }
            }

            /// As it is called in Chinese city management.
            pub const fn name_zh(self) -> &'static str {
                match self { $(Self::$role => $zh),+ }
            }

            pub const fn name_en(self) -> &'static str {
                match self { $(Self::$role => $en),+ }
            }

            pub const fn axis(self) -> Axis {
                match self { $(Self::$role => Axis::$axis),+ }
            }
        }
    };
}

roles! {
    Inspector = "inspector", "监督员", "Inspector", Supervision;
    Acceptor = "acceptor", "受理员", "Acceptor", Supervision;
    ShiftLead = "shift_lead", "值班长", "Shift lead", Supervision;
    Evaluator = "evaluator", "考评员", "Evaluator", Supervision;
    Dispatcher = "dispatcher", "派遣员", "Dispatcher", Command;
    Commander = "commander", "指挥长", "Commander", Command;
    Department = "department", "专业部门", "Department", Department;
    Operator = "operator", "值机员", "Video operator", Command;
    FleetMonitor = "fleet_monitor", "车辆监控员", "Fleet monitor", Command;
    Custodian = "custodian", "证据管理员", "Evidence custodian", Custodian;
    Auditor = "auditor", "审计员", "Auditor", Audit;
    /// Keeps the system running and cannot see footage.
    Sysadmin = "sysadmin", "系统管理员", "System administrator", System;
    Leader = "leader", "领导", "Leader", Leader;
    /// May do everything except what the two axes forbid: nobody closes a case that they opened or filed.
    Admin = "admin", "试用管理员", "Trial administrator", Trial;
}

impl Role {
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.as_str() == text)
    }
}

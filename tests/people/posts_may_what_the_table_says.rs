use zhenbei::access::{Actor, Axis, Permission, Role, recorded_view_limit};

/// The whole table, written by hand from the role model of the two axes; a change of a right is a change of this text.
const TABLE: &str = "                   inspector acceptor shift_lead evaluator dispatcher commander department operator fleet_monitor custodian auditor sysadmin leader admin
live.view          -         x        x          -         x          x         -          x        x             -         -       -        x      x
recording.view     -         x        x          -         x          x         -          x        -             x         -       -        -      x
recording.download -         x        x          -         -          x         -          -        -             x         -       -        -      x
position.view      -         x        x          -         x          x         -          x        x             x         -       -        x      x
case.read          x         x        x          x         x          x         x          x        x             x         -       -        x      x
case.open          x         x        x          -         x          x         x          x        x             -         -       -        -      x
case.file          -         -        x          -         -          -         -          -        -             -         -       -        -      x
case.close         -         -        x          -         -          -         -          -        -             -         -       -        -      x
exhibit.view       x         x        x          x         x          x         x          x        x             x         -       -        -      x
exhibit.attach     -         x        x          -         x          x         -          x        x             x         -       -        -      x
hold.write         -         -        x          -         -          -         -          -        -             x         -       -        -      x
camera.write       -         -        -          -         -          -         -          -        -             -         -       x        -      x
vehicle.write      -         -        -          -         -          -         -          -        -             -         -       x        -      x
layout.write       -         x        x          -         x          x         -          x        x             -         -       -        x      x
layout.share       -         -        x          -         -          x         -          -        -             -         -       -        -      x
audit.read         -         -        x          x         -          x         -          -        -             x         x       -        -      x
user.write         -         -        -          -         -          -         -          -        -             -         -       x        -      x
system.read        -         -        x          -         x          x         -          x        x             x         x       x        -      x
";

#[test]
fn every_post_and_every_right() {
    let mut table = format!("{:18}", "");
    for role in Role::ALL {
        table += &format!(" {}", role.as_str());
    }
    table.push('\n');
    for permission in Permission::ALL {
        let mut line = format!("{:18}", permission.as_str());
        for role in Role::ALL {
            let mark = if role.may(*permission) { "x" } else { "-" };
            line += &format!(" {mark:<width$}", width = role.as_str().len());
        }
        table += line.trim_end();
        table.push('\n');
    }
    assert_eq!(table, TABLE, "\n{table}");
}

#[test]
fn the_system_administrator_sees_no_footage() {
    for p in [
        Permission::LiveView,
        Permission::RecordingView,
        Permission::RecordingDownload,
        Permission::ExhibitView,
        Permission::ExhibitAttach,
        Permission::CaseRead,
    ] {
        assert!(!Role::Sysadmin.may(p), "{}", p.as_str());
        assert!(!Role::Auditor.may(p), "{}", p.as_str());
    }
}

#[test]
fn the_command_axis_neither_files_nor_closes() {
    for role in Role::ALL
        .iter()
        .filter(|r| matches!(r.axis(), Axis::Command | Axis::Department))
    {
        assert!(
            !role.may(Permission::CaseFile) && !role.may(Permission::CaseClose),
            "{}",
            role.as_str()
        );
    }
}

#[test]
fn words_are_read_back_and_names_are_all_there() {
    for role in Role::ALL {
        assert_eq!(Role::parse(role.as_str()), Some(*role));
        assert!(!role.name_zh().is_empty() && !role.name_en().is_empty());
        assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
    }
    for p in Permission::ALL {
        assert_eq!(Permission::parse(p.as_str()), Some(*p));
        assert_eq!(serde_json::to_value(p).unwrap(), p.as_str());
    }
    assert_eq!(Role::parse("root"), None);
}

#[tokio::test]
async fn a_refusal_says_who_what_and_which_posts_may() {
    let centre = crate::support::Centre::new().await;
    let wang = centre.person("wang", Role::Sysadmin).await;
    let refused = wang.need(Permission::RecordingView, "cam-001").unwrap_err();
    assert_eq!(refused.code(), "forbidden");
    let text = refused.detail();
    for part in [
        "wang (sysadmin 系统管理员)",
        "watch recordings",
        "cam-001",
        "recording.view",
        "shift_lead 值班长",
    ] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
}

#[tokio::test]
async fn a_video_operator_sees_the_last_hour() {
    let centre = crate::support::Centre::new().await;
    let zhao = centre.person("zhao", Role::Operator).await;
    let lead = centre.person("lead", Role::ShiftLead).await;
    let now = centre.now();
    let hour = recorded_view_limit(Role::Operator).unwrap();
    assert!(zhao.need_recorded(now.minus(hour), now, "cam-001").is_ok());
    let refused = zhao
        .need_recorded(now.minus(hour) - 1, now, "cam-001")
        .unwrap_err();
    assert!(refused.detail().contains("last 60 minutes"), "{refused}");
    assert!(
        lead.need_recorded(now.minus(hour) - 1, now, "cam-001")
            .is_ok()
    );
}

#[test]
fn parts_of_the_daemon_may_and_strangers_may_not() {
    assert!(Actor::system("evidence").may(Permission::RecordingView));
    assert!(Actor::command_line("root").may(Permission::UserWrite));
}

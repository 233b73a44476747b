use std::net::IpAddr;
use std::time::{Duration, Instant};

use zhenbei::access::{Actor, Credential, NewToken, NewUser, Permission, Role, Via};
use zhenbei::model::ErrorKind;

use crate::support::{Centre, PASSWORD};

const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

fn root() -> Actor {
    Actor::command_line("root")
}

#[tokio::test]
async fn the_first_admin_gets_a_random_password_once() {
    let centre = Centre::new().await;
    let password = centre
        .access
        .ensure_first_admin(&Actor::system("start"))
        .await
        .unwrap()
        .expect("nobody yet");
    assert_eq!(password.len(), 16);
    assert!(
        centre
            .access
            .ensure_first_admin(&Actor::system("start"))
            .await
            .unwrap()
            .is_none()
    );
    let admin = centre
        .access
        .sign_in("admin", &password, HERE)
        .await
        .unwrap()
        .actor;
    assert_eq!(admin.role, Some(Role::Admin));
    assert_eq!(admin.permissions().len(), Permission::ALL.len());

    let other = Centre::new().await;
    let second = other
        .access
        .ensure_first_admin(&Actor::system("start"))
        .await
        .unwrap()
        .unwrap();
    assert_ne!(password, second);
}

#[tokio::test]
async fn a_cookie_opens_until_signed_out() {
    let centre = Centre::new().await;
    centre.person("li", Role::Acceptor).await;
    let signed_in = centre
        .access
        .sign_in("  Li ", PASSWORD, HERE)
        .await
        .expect("names have no case");
    let cookie = Credential::Cookie(&signed_in.secret);
    let li = centre.access.authenticate(cookie, HERE).await.unwrap();
    assert_eq!(
        (&*li.name, li.role, li.client),
        ("li", Some(Role::Acceptor), HERE)
    );
    assert!(
        centre
            .access
            .authenticate(Credential::Bearer(&signed_in.secret), HERE)
            .await
            .is_err(),
        "a cookie is no token"
    );

    centre.access.sign_out(&li).await.unwrap();
    let refused = centre.access.authenticate(cookie, HERE).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (ErrorKind::Unauthenticated, "unauthenticated"),
        "at once, not after a while"
    );
}

#[tokio::test]
async fn secrets_are_nowhere_in_the_database() {
    let centre = Centre::new().await;
    centre.person("li", Role::Acceptor).await;
    let secret = centre
        .access
        .sign_in("li", PASSWORD, HERE)
        .await
        .unwrap()
        .secret;
    let token = centre
        .access
        .add_token(&root(), "li", NewToken::default())
        .await
        .unwrap();
    assert!(token.starts_with("zb_"));
    centre.db.close().await;
    for file in std::fs::read_dir(centre.dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for needle in [secret.as_bytes(), token.as_bytes(), PASSWORD.as_bytes()] {
            assert!(!bytes.windows(needle.len()).any(|w| w == needle));
        }
    }
}

#[tokio::test]
async fn sessions_end_when_idle_and_in_any_case() {
    let centre = Centre::new().await;
    centre.person("li", Role::Acceptor).await;
    let secret = centre
        .access
        .sign_in("li", PASSWORD, HERE)
        .await
        .unwrap()
        .secret;
    // Used every 50 minutes, it lives past the idle limit of an hour, up to the absolute one of twelve.
    for _ in 0..14 {
        centre.clock.turn(Duration::from_secs(50 * 60));
        centre
            .access
            .authenticate(Credential::Cookie(&secret), HERE)
            .await
            .expect("used within the hour");
    }
    centre.clock.turn(Duration::from_secs(21 * 60));
    assert!(
        centre
            .access
            .authenticate(Credential::Cookie(&secret), HERE)
            .await
            .is_err(),
        "twelve hours are over"
    );

    let secret = centre
        .access
        .sign_in("li", PASSWORD, HERE)
        .await
        .unwrap()
        .secret;
    centre.clock.turn(Duration::from_secs(61 * 60));
    assert!(
        centre
            .access
            .authenticate(Credential::Cookie(&secret), HERE)
            .await
            .is_err(),
        "idle for more than an hour"
    );
}

#[tokio::test]
async fn the_eleventh_session_ends_the_first() {
    let centre = Centre::new().await;
    centre.person("li", Role::Acceptor).await;
    let mut secrets = Vec::new();
    for _ in 0..11 {
        centre.clock.turn(Duration::from_secs(1));
        secrets.push(
            centre
                .access
                .sign_in("li", PASSWORD, HERE)
                .await
                .unwrap()
                .secret,
        );
    }
    assert!(
        centre
            .access
            .authenticate(Credential::Cookie(&secrets[0]), HERE)
            .await
            .is_err()
    );
    assert!(
        centre
            .access
            .authenticate(Credential::Cookie(&secrets[1]), HERE)
            .await
            .is_ok()
    );
    assert!(
        centre
            .access
            .authenticate(Credential::Cookie(&secrets[10]), HERE)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn failed_sign_ins_are_slowed_down_for_that_name_and_address_only() {
    let centre = Centre::new().await;
    centre.person("li", Role::Acceptor).await;
    for _ in 0..5 {
        let refused = centre
            .access
            .sign_in("li", "wrong password", HERE)
            .await
            .err()
            .unwrap();
        assert_eq!(refused.code(), "bad_credentials");
    }
    let held = centre
        .access
        .sign_in("li", PASSWORD, HERE)
        .await
        .err()
        .unwrap();
    assert_eq!(
        (held.kind(), held.code()),
        (ErrorKind::TooMuch, "too_many_attempts"),
        "also with the right password"
    );
    assert!(
        centre
            .access
            .sign_in("li", PASSWORD, Some("192.0.2.7".parse().unwrap()))
            .await
            .is_ok()
    );
    centre.clock.turn(Duration::from_secs(2));
    assert!(
        centre.access.sign_in("li", PASSWORD, HERE).await.is_ok(),
        "the wait is over"
    );
    assert!(
        centre
            .access
            .sign_in("li", "wrong password", HERE)
            .await
            .err()
            .unwrap()
            .code()
            == "bad_credentials",
        "and forgotten"
    );
}

#[tokio::test]
async fn nobody_can_tell_a_wrong_name_from_a_wrong_password() {
    let centre = Centre::new().await;
    centre.person("li", Role::Acceptor).await;
    centre
        .access
        .sign_in("nobody", "wrong password", None)
        .await
        .err()
        .unwrap();
    let mut fastest = [Duration::MAX; 2];
    let mut answers = Vec::new();
    for (n, name) in [
        (0, "li"),
        (1, "nobody1"),
        (0, "li"),
        (1, "nobody2"),
        (0, "li"),
        (1, "nobody3"),
    ] {
        let begun = Instant::now();
        let refused = centre
            .access
            .sign_in(name, "wrong password", HERE)
            .await
            .err()
            .unwrap();
        fastest[n] = fastest[n].min(begun.elapsed());
        answers.push((refused.code(), refused.detail().to_owned()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    // A name that is not looked up in vain would answer a hundred times faster: no hash takes no time.
    assert!(
        fastest[1] * 3 > fastest[0],
        "known {:?}, unknown {:?}",
        fastest[0],
        fastest[1]
    );
}

async fn sign_ins_on_record(centre: &Centre) -> usize {
    let record = centre.record().await;
    record.iter().filter(|r| r.contains(" sign_in ")).count()
}

#[tokio::test]
async fn a_storm_of_sign_ins_is_bounded() {
    let centre = Centre::new().await;
    centre.person("li", Role::Acceptor).await;
    let storm = async |from: fn(u8) -> Option<IpAddr>| {
        let tries = (0..200).map(|n| {
            let access = centre.access.clone();
            async move {
                access
                    .sign_in(&format!("n{n}"), "wrong password", from(n))
                    .await
                    .err()
                    .unwrap()
                    .code()
            }
        });
        futures_util::future::join_all(tries).await
    };
    let answers = storm(|n| Some(IpAddr::from([192, 0, 2, n]))).await;
    assert!(answers.contains(&"busy"), "some are told to come again");
    assert!(
        answers
            .iter()
            .all(|a| matches!(*a, "busy" | "bad_credentials")),
        "{answers:?}"
    );
    let before = sign_ins_on_record(&centre).await;
    let answers = storm(|_| HERE).await;
    let held_off = answers.iter().filter(|a| **a == "too_many_attempts");
    assert_eq!(
        held_off.count(),
        150,
        "an address has a budget, whatever the names"
    );
    assert_eq!(
        sign_ins_on_record(&centre).await - before,
        50,
        "one line for each that was let in"
    );
    centre.clock.turn(Duration::from_secs(2));
    assert!(
        centre.access.sign_in("li", PASSWORD, HERE).await.is_ok(),
        "and it is over"
    );
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let centre = Centre::new().await;
    centre.person("li", Role::Acceptor).await;
    let phone = centre.access.sign_in("li", PASSWORD, HERE).await.unwrap();
    let desk = centre.access.sign_in("li", PASSWORD, HERE).await.unwrap();
    assert!(
        centre
            .access
            .authenticate(Credential::Cookie(&phone.secret), HERE)
            .await
            .is_ok()
    );
    let wrong = centre
        .access
        .change_password(&desk.actor, "not the old one", "another secret")
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), "bad_credentials");
    for weak in ["short", "aaaaaaaaaaaa"] {
        assert_eq!(
            centre
                .access
                .change_password(&desk.actor, PASSWORD, weak)
                .await
                .unwrap_err()
                .code(),
            "weak_password"
        );
    }
    centre
        .access
        .change_password(&desk.actor, PASSWORD, "another secret")
        .await
        .unwrap();
    assert!(
        centre
            .access
            .authenticate(Credential::Cookie(&phone.secret), HERE)
            .await
            .is_err(),
        "the other is out at once"
    );
    assert!(
        centre
            .access
            .authenticate(Credential::Cookie(&desk.secret), HERE)
            .await
            .is_ok()
    );
    assert!(centre.access.sign_in("li", PASSWORD, HERE).await.is_err());
    assert!(
        centre
            .access
            .sign_in("li", "another secret", HERE)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn disabling_and_a_new_post_take_effect_at_once() {
    let centre = Centre::new().await;
    let boss = centre.person("boss", Role::Sysadmin).await;
    centre.person("li", Role::Acceptor).await;
    let secret = centre
        .access
        .sign_in("li", PASSWORD, HERE)
        .await
        .unwrap()
        .secret;
    let li = centre
        .access
        .authenticate(Credential::Cookie(&secret), HERE)
        .await
        .unwrap();
    centre
        .access
        .set_role(&boss, "li", Role::Inspector)
        .await
        .unwrap();
    assert_eq!(
        centre.access.again(&li).await.unwrap().role,
        Some(Role::Inspector)
    );
    centre.access.set_disabled(&boss, "li", true).await.unwrap();
    assert!(
        centre.access.again(&li).await.is_err(),
        "an open socket asks again and is told"
    );
    assert_eq!(
        centre
            .access
            .sign_in("li", PASSWORD, HERE)
            .await
            .err()
            .unwrap()
            .code(),
        "bad_credentials"
    );
    centre
        .access
        .set_disabled(&boss, "li", false)
        .await
        .unwrap();
    assert!(centre.access.sign_in("li", PASSWORD, HERE).await.is_ok());
}

#[tokio::test]
async fn a_token_opens_until_revoked_or_expired() {
    let centre = Centre::new().await;
    let li = centre.person("li", Role::Acceptor).await;
    let wang = centre.person("wang", Role::ShiftLead).await;
    let new = NewToken {
        name: "wall in room 3".into(),
        expires_at: Some(centre.now().plus(Duration::from_secs(3_600))),
    };
    let expiring = centre
        .access
        .add_token(&li, "li", new)
        .await
        .expect("one's own");
    let lasting = centre
        .access
        .add_token(&root(), "li", NewToken::default())
        .await
        .expect("on the machine");
    assert_eq!(
        centre
            .access
            .add_token(&wang, "li", NewToken::default())
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Forbidden
    );

    let machine = centre
        .access
        .authenticate(Credential::Bearer(&lasting), HERE)
        .await
        .unwrap();
    assert!(matches!(machine.via, Via::Token { .. }));
    assert!(
        centre
            .access
            .authenticate(Credential::Bearer(&expiring), HERE)
            .await
            .is_ok()
    );
    assert!(
        centre
            .access
            .authenticate(Credential::Bearer("zb_guess"), HERE)
            .await
            .is_err()
    );
    let listed = centre.access.tokens(&li, "li").await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|t| t.last_used == Some(centre.now())));

    let Via::Token { id, .. } = machine.via else {
        unreachable!()
    };
    centre.access.revoke_token(&li, "li", id).await.unwrap();
    assert!(
        centre
            .access
            .authenticate(Credential::Bearer(&lasting), HERE)
            .await
            .is_err(),
        "revoked at once"
    );
    assert_eq!(
        centre
            .access
            .revoke_token(&li, "li", id)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    centre.clock.turn(Duration::from_secs(3_601));
    assert!(
        centre
            .access
            .authenticate(Credential::Bearer(&expiring), HERE)
            .await
            .is_err(),
        "expired"
    );
}

#[tokio::test]
async fn nobody_raises_themselves() {
    let centre = Centre::new().await;
    let boss = centre.person("boss", Role::Sysadmin).await;
    let lead = centre.person("lead", Role::ShiftLead).await;
    centre.person("trial", Role::Admin).await;
    let new = |name: &str, role| NewUser {
        name: name.into(),
        display_name: String::new(),
        role,
    };
    assert_eq!(
        centre
            .access
            .set_role(&boss, "boss", Role::ShiftLead)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Forbidden
    );
    assert_eq!(
        centre
            .access
            .add_user(&boss, new("x", Role::Admin), PASSWORD)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Forbidden
    );
    assert_eq!(
        centre
            .access
            .set_password(&boss, "trial", PASSWORD)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Forbidden
    );
    assert_eq!(
        centre
            .access
            .add_user(&lead, new("x", Role::Inspector), PASSWORD)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Forbidden
    );
    centre
        .access
        .add_user(&boss, new("x", Role::Inspector), PASSWORD)
        .await
        .unwrap();
    assert_eq!(
        centre
            .access
            .add_user(&boss, new("X", Role::Inspector), PASSWORD)
            .await
            .unwrap_err()
            .code(),
        "name_taken"
    );
    for bad in ["", "a b", "system/x", &"x".repeat(41)] {
        assert_eq!(
            centre
                .access
                .add_user(&boss, new(bad, Role::Inspector), PASSWORD)
                .await
                .unwrap_err()
                .code(),
            "bad_name"
        );
    }
}

use std::time::Duration;

use rusqlite::types::ValueRef;
use secrecy::ExposeSecret;

use super::*;
use crate::clock::ManualClock;

const NOW: u64 = 1_772_357_400_000;
const PASSWORD: &str = "correct horse battery";

fn people() -> (People, ManualClock, Database) {
    let (clock, database) = (ManualClock::at(NOW), Database::in_memory().unwrap());
    let people = People::with_clock(database.clone(), Arc::new(clock.clone())).unwrap();
    (people, clock, database)
}

fn ann() -> NewPerson {
    NewPerson {
        login: " Ann@Example.com ".into(),
        tenant: TenantId::new("t"),
        user: UserId::new("ann"),
        name: "Ann".into(),
        role: Role::User,
        password: PASSWORD.into(),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

/// Everything in the database, as text.
fn dump(database: &Database) -> String {
    database
        .call_blocking(|sql| {
            let mut text = String::new();
            for table in ["people_person", "people_session", "people_token"] {
                let mut statement = sql.prepare(&format!("SELECT * FROM {table}"))?;
                let width = statement.column_count();
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    for column in 0..width {
                        let value = match row.get_ref(column)? {
                            ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                            other => format!("{other:?}"),
                        };
                        text.push_str(&value);
                        text.push('\n');
                    }
                }
            }
            Ok(text)
        })
        .unwrap()
}

#[tokio::test]
async fn a_person_signs_in_with_their_password_and_out_again() {
    let (people, ..) = people();
    let added = people.add(ann()).await.unwrap();
    let (person, session) = people.sign_in("ANN@example.com", PASSWORD.into()).await.unwrap();
    assert_eq!(person, added);
    assert_eq!(people.session(&session).await.unwrap(), Some(added));
    assert_eq!(people.session("another").await.unwrap(), None);
    people.sign_out(&session).await.unwrap();
    assert_eq!(people.session(&session).await.unwrap(), None);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_login_are_told_the_same() {
    let (people, ..) = people();
    people.add(ann()).await.unwrap();
    let long = "x".repeat(LONGEST_PASSWORD + 1);
    for (login, password) in [
        ("ann@example.com", "correct horse batterz"),
        ("ann@example.com", ""),
        ("ann@example.com", long.as_str()),
        ("bob@example.com", PASSWORD),
        ("", PASSWORD),
    ] {
        let refused = people.sign_in(login, password.into()).await;
        assert!(matches!(refused, Err(SignInError::Wrong)), "{login}: {refused:?}");
    }
}

#[tokio::test]
async fn guessing_is_slowed_down_for_known_and_unknown_logins_alike() {
    let (people, clock, _) = people();
    people.add(ann()).await.unwrap();
    for login in ["ann@example.com", "nobody@example.com"] {
        for _ in 0..5 {
            let refused = people.sign_in(login, "wrong".into()).await;
            assert!(matches!(refused, Err(SignInError::Wrong)));
        }
        // The right password is not looked at either.
        let refused = people.sign_in(login, PASSWORD.into()).await;
        assert!(matches!(refused, Err(SignInError::Wait(until)) if until == NOW + 1_000));
    }
    clock.advance(1_000);
    assert!(people.sign_in("ann@example.com", PASSWORD.into()).await.is_ok());
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_or_old_and_when_the_password_changes() {
    let (people, clock, _) = people();
    people.add(ann()).await.unwrap();
    let (_, session) = people.sign_in("ann@example.com", PASSWORD.into()).await.unwrap();
    clock.advance(milliseconds(IDLE));
    assert!(people.session(&session).await.unwrap().is_some());
    clock.advance(milliseconds(IDLE) + 1);
    assert!(people.session(&session).await.unwrap().is_none());

    let (_, session) = people.sign_in("ann@example.com", PASSWORD.into()).await.unwrap();
    let step = milliseconds(IDLE) / 2;
    for _ in 0..milliseconds(LIFETIME) / step {
        clock.advance(step);
        assert!(people.session(&session).await.unwrap().is_some());
    }
    clock.advance(step);
    assert!(people.session(&session).await.unwrap().is_none());

    let (_, session) = people.sign_in("ann@example.com", PASSWORD.into()).await.unwrap();
    people
        .set_password("ann@example.com", "another password".into())
        .await
        .unwrap();
    assert!(people.session(&session).await.unwrap().is_none());
    assert!(
        people
            .sign_in("ann@example.com", "another password".into())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_token_acts_for_its_person_until_it_expires_or_is_revoked() {
    let (people, clock, _) = people();
    let ann = people.add(ann()).await.unwrap();
    let new = |expires_at| NewToken {
        login: ann.login.clone(),
        name: "export".into(),
        expires_at,
    };
    let lasting = people.create_token(new(None)).await.unwrap();
    let short = people.create_token(new(Some(NOW + 1_000))).await.unwrap();
    for made in [&lasting, &short] {
        let found = people.bearer(made.secret.expose_secret()).await.unwrap();
        assert_eq!(found.as_ref(), Some(&ann));
    }
    clock.advance(1_000);
    assert_eq!(people.bearer(short.secret.expose_secret()).await.unwrap(), None);
    let listed = people.tokens(Some(&ann.tenant)).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].used_at.or(listed[1].used_at), Some(NOW));
    assert_eq!(people.tokens(Some(&TenantId::new("other"))).await.unwrap(), []);
    people.revoke_token(&lasting.token.id).await.unwrap();
    assert_eq!(people.bearer(lasting.secret.expose_secret()).await.unwrap(), None);
    assert!(matches!(
        people.revoke_token(&lasting.token.id).await,
        Err(PeopleError::Unknown)
    ));
    assert_eq!(people.bearer("twinbox_").await.unwrap(), None);
}

#[tokio::test]
async fn what_a_person_had_ends_with_them() {
    let (people, ..) = people();
    let ann = people.add(ann()).await.unwrap();
    let (_, session) = people.sign_in(&ann.login, PASSWORD.into()).await.unwrap();
    let new = NewToken {
        login: ann.login.clone(),
        name: "export".into(),
        expires_at: None,
    };
    let made = people.create_token(new).await.unwrap();
    people.remove(&ann.login).await.unwrap();
    assert_eq!(people.session(&session).await.unwrap(), None);
    assert_eq!(people.bearer(made.secret.expose_secret()).await.unwrap(), None);
    assert_eq!(people.list().await.unwrap(), []);
    assert!(matches!(
        people.remove(&ann.login).await,
        Err(PeopleError::Unknown)
    ));
}

#[tokio::test]
async fn a_login_and_a_user_have_one_account_each_and_rules_are_kept() {
    let (people, ..) = people();
    people.add(ann()).await.unwrap();
    let again = people.add(ann()).await;
    assert!(matches!(again, Err(PeopleError::Taken)), "{again:?}");
    let same_user = people
        .add(NewPerson {
            login: "bob".into(),
            ..ann()
        })
        .await;
    assert!(matches!(same_user, Err(PeopleError::Taken)), "{same_user:?}");
    for wrong in [
        NewPerson {
            password: "too short".into(),
            ..ann()
        },
        NewPerson {
            login: "a b".into(),
            ..ann()
        },
        NewPerson {
            login: "x".repeat(300),
            ..ann()
        },
        NewPerson {
            tenant: TenantId::new(""),
            ..ann()
        },
    ] {
        let refused = people.add(wrong).await;
        assert!(matches!(refused, Err(PeopleError::Invalid(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn nothing_in_the_database_opens_anything() {
    let (people, _, database) = people();
    let ann = people.add(ann()).await.unwrap();
    let (_, session) = people.sign_in(&ann.login, PASSWORD.into()).await.unwrap();
    let new = NewToken {
        login: ann.login,
        name: "export".into(),
        expires_at: None,
    };
    let made = people.create_token(new).await.unwrap();
    let dump = dump(&database);
    assert!(dump.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{dump}");
    for secret in [PASSWORD, session.as_str(), made.secret.expose_secret()] {
        assert!(!dump.contains(secret));
    }
    assert!(!format!("{made:?}").contains(made.secret.expose_secret()));
}

#[test]
fn a_made_password_is_long_enough_and_never_the_same() {
    let (one, other) = (new_password(), new_password());
    assert!(password::check(&one).is_ok());
    assert_ne!(one.expose_secret(), other.expose_secret());
}

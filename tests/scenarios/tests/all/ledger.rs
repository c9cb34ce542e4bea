//! T01 to T03: every message ends somewhere, and the ledger says why.

use gmail_sim::FaultKind;
use scenarios::{ANN, CrmFault, ME, Moment, Setup, World};
use twinbox_host::{
    contract::{AuditMode, Outcome, Problem, Subject},
    crm::CrmError,
};

#[tokio::test]
async fn t01_every_message_of_the_mailbox_has_a_fate() {
    let world = World::connected().await;
    world.mail().arrives();
    world.mail().from("stranger@x.example").arrives();
    world.mail().labelled(&["SPAM"]).arrives();
    world.mail().labelled(&["TRASH"]).arrives();
    world.mail().from_me().to(ANN).is_drafted_in_gmail().await;
    world.mail().from_me().to(ANN).is_sent_from_gmail().await;
    world.sync().await;
    let report = world.assert_all_accounted_for().await;
    let excluded: u32 = report.excluded.iter().map(|rule| rule.count).sum();
    assert_eq!((report.listed, report.delivered, excluded), (6, 2, 4));
}

#[tokio::test]
async fn t01_a_message_the_crm_refuses_is_quarantined_and_holds_up_nothing() {
    let world = World::connected().await;
    world.crm_fault(CrmFault::RefuseSubject("Two".into()));
    world.mail().subject("One").arrives();
    let refused = world.mail().subject("Two").arrives();
    world.mail().subject("Three").arrives();
    let ran = world.sync().await;
    assert_eq!(ran.report.problem, None);
    assert_eq!(world.subjects(ANN).await, ["One", "Three"]);
    let report = world.assert_all_accounted_for().await;
    assert_eq!(report.quarantined.len(), 1);
    assert_eq!(report.quarantined[0].id, refused.id);
    assert!(matches!(
        world.explain(&refused.id).await.outcome,
        Outcome::Quarantined(_)
    ));
}

#[tokio::test]
async fn t01_what_was_quarantined_is_listed_and_tried_again_when_somebody_asks() {
    let world = World::connected().await;
    world.crm_fault(CrmFault::RefuseSubject("Two".into()));
    let refused = world.mail().subject("Two").arrives();
    world.sync().await;
    let listed = world.explain_all(Subject::Quarantined).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, refused.id);
    assert!(matches!(&listed[0].outcome, Outcome::Quarantined(why) if why.contains("refused")));
    world.crm_recovers();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Two"]);
    assert_eq!(world.explain_all(Subject::Quarantined).await, []);
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn t01_a_rate_limit_in_the_middle_of_a_page_keeps_the_cursor_and_doubles_nothing() {
    for method in ["messages.get", "history.list"] {
        for kind in [
            FaultKind::RateLimited,
            FaultKind::RetryAfter(30_000),
            FaultKind::Concurrent,
        ] {
            let world = World::connected().await;
            let subjects: Vec<String> = (0..40).map(|n| format!("Mail {n}")).collect();
            for subject in &subjects {
                world.mail().subject(subject).arrives();
            }
            let mut fault = gmail_sim::Fault::next(method, kind);
            fault.skip = if method == "messages.get" { 50 } else { 0 };
            world.sim().inject(fault);
            let ran = world.sync().await;
            assert!(
                matches!(ran.report.problem, Some(Problem::RateLimited(_))),
                "{method} {kind:?}"
            );
            world.settle().await;
            assert_eq!(world.subjects(ANN).await, subjects, "{method} {kind:?}");
            world.assert_all_accounted_for().await;
        }
    }
}

#[tokio::test]
async fn t01_a_crm_that_asks_to_wait_gets_everything_later_and_once() {
    let errors = |now| {
        [
            CrmError::RateLimited(now + 60_000),
            CrmError::Unavailable("down".into()),
        ]
    };
    for which in 0..2 {
        let world = World::connected().await;
        let subjects: Vec<String> = (0..40).map(|n| format!("Mail {n}")).collect();
        for subject in &subjects {
            world.mail().subject(subject).arrives();
        }
        let error = errors(world.now())[which].clone();
        world.crm_fault(CrmFault::FailPut { after: 1, error });
        assert!(world.sync().await.report.problem.is_some());
        world.settle().await;
        assert_eq!(world.subjects(ANN).await, subjects);
        assert!(world.assert_all_accounted_for().await.quarantined.is_empty());
    }
}

#[tokio::test]
async fn t01_a_crm_that_does_not_know_what_it_stored_is_asked_before_a_put_is_repeated() {
    let world = World::connected().await;
    world.mail().subject("One").arrives();
    world.mail().subject("Two").arrives();
    world.crm_fault(CrmFault::ForgetPut);
    world.settle().await;
    assert_eq!(world.subjects(ANN).await, ["One", "Two"]);
}

#[tokio::test]
async fn t01_a_message_that_is_gone_before_it_is_read_is_gone() {
    let world = World::connected().await;
    let mail = world.mail().arrives();
    world.mail().subject("Stays").arrives();
    let (gmail, id) = (world.gmail(), mail.id.clone());
    world.before_request("format=metadata", async move { gmail.delete(&id).await });
    assert_eq!(world.sync().await.report.problem, None);
    assert_eq!(world.explain(&mail.id).await.outcome, Outcome::Gone);
    assert_eq!(world.subjects(ANN).await, ["Stays"]);
}

#[tokio::test]
async fn t01_a_message_added_and_deleted_between_two_passes_is_gone() {
    let world = World::connected().await;
    let mail = world.mail().arrives();
    world.gmail().delete(&mail.id).await;
    world.sync().await;
    assert_eq!(world.explain(&mail.id).await.outcome, Outcome::Gone);
    assert_eq!(world.conversation(ANN).await.len(), 0);
}

#[tokio::test]
async fn t01_a_process_that_dies_at_any_request_loses_and_doubles_no_mail() {
    for moment in [Moment::Before, Moment::After] {
        for n in 0.. {
            let world = World::connected().await;
            for subject in ["One", "Two", "Three"] {
                world.mail().subject(subject).arrives();
            }
            let died = world.pass_that_dies(n, moment).await;
            world.settle().await;
            assert_eq!(
                world.subjects(ANN).await,
                ["One", "Two", "Three"],
                "{moment:?} {n}"
            );
            world.assert_all_accounted_for().await;
            if died == scenarios::Died::No {
                assert!(n > 3, "a pass makes more requests than {n}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn t01_spam_that_was_none_and_mail_out_of_the_trash_comes_in() {
    let world = World::connected().await;
    let spam = world.mail().subject("No spam").labelled(&["SPAM"]).arrives();
    let trash = world.mail().subject("No trash").labelled(&["TRASH"]).arrives();
    world.sync().await;
    assert_eq!(world.conversation(ANN).await.len(), 0);
    world.gmail().label(&spam.id, &["INBOX"], &["SPAM"]).await;
    world.gmail().untrash(&trash.id).await;
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["No spam", "No trash"]);
}

#[tokio::test]
async fn t02_an_explanation_names_the_rule_and_what_it_looked_at() {
    let world = World::connected().await;
    let known = world.mail().arrives();
    let strange = world.mail().from("stranger@x.example").arrives();
    let spam = world.mail().labelled(&["SPAM"]).arrives();
    let forwarded = world
        .mail()
        .from_me()
        .to(ANN)
        .subject("Fwd: x")
        .is_sent_from_gmail()
        .await;
    let letter = world.letter(ANN).await.queued().await;
    world.sync().await;
    assert_eq!(world.rule(&known.id).await, "S10");
    assert_eq!(world.rule(&strange.id).await, "S10");
    assert_eq!(world.rule(&spam.id).await, "spam");
    assert_eq!(world.rule(&forwarded).await, "S12");
    let key = world.message(&letter).await.message.key;
    assert_eq!(world.rule(key.rsplit('/').next().unwrap()).await, "S20");
    let explanation = world.explain(&strange.id).await;
    assert_eq!(explanation.outcome, Outcome::Excluded("S10".into()));
    let input = |name: &str| explanation.inputs.iter().find(|input| input.name == name);
    assert_eq!(input("sender").unwrap().value, "stranger@x.example");
}

#[tokio::test]
async fn t02_all_of_a_contact_is_explained_by_address() {
    let world = World::connected().await;
    let mail = world.mail().arrives();
    world.mail().from("stranger@x.example").arrives();
    let sent = world.mail().from_me().to(ANN).is_sent_from_gmail().await;
    world.sync().await;
    let explained = world.explain_all(Subject::Contact(ANN.into())).await;
    let mut ids: Vec<&str> = explained.iter().map(|found| found.id.as_str()).collect();
    let mut expected = [mail.id.as_str(), sent.as_str()];
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn t02_each_rule_says_what_it_looked_at() {
    let world = Setup::default()
        .contact("Bob", &["bob@other.example"])
        .connected()
        .await;
    let from = world.mail().arrives();
    let copy = world.mail().to("bob@other.example").cc(ME).arrives();
    let strange = world.mail().from("stranger@x.example").arrives();
    let to = format!("x@nobody.example, {ANN}");
    let sent = world
        .mail()
        .from_me()
        .to(&to)
        .subject("Fwd: x")
        .is_sent_from_gmail()
        .await;
    let nobody = world
        .mail()
        .from_me()
        .to("x@nobody.example")
        .is_sent_from_gmail()
        .await;
    world.sync().await;
    for (id, name, value) in [
        (&from.id, "address", ANN),
        (&from.id, "in", "from"),
        (&copy.id, "user-in", "cc"),
        (&strange.id, "no-contact", "stranger@x.example"),
        (&sent, "address", ANN),
        (&sent, "in", "to"),
        (&sent, "subject-begins-with", "fwd:"),
        (&nobody, "no-contact", "x@nobody.example"),
    ] {
        assert_eq!(world.input(id, name).await.as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn t02_a_message_is_found_by_its_message_id_with_brackets_or_without() {
    let world = World::connected().await;
    let mail = world.mail().arrives();
    let strange = world.mail().from("stranger@x.example").arrives();
    let gone = world.mail().subject("Gone").arrives();
    world.sync().await;
    world.gmail().delete(&gone.id).await;
    world.sync().await;
    for found in [&mail, &strange, &gone] {
        for id in [
            found.message_id.as_str(),
            found.message_id.trim_matches(['<', '>']),
        ] {
            let explained = world.explain_all(Subject::MessageId(id.into())).await;
            assert_eq!(explained.len(), 1, "{id}");
            assert_eq!(explained[0].id, found.id);
        }
    }
    let nothing = world
        .explain_all(Subject::MessageId("<never@seen.example>".into()))
        .await;
    assert!(nothing.is_empty());
}

#[tokio::test]
async fn t02_a_message_that_was_never_looked_at_is_missing_or_past_or_nowhere() {
    let world = World::unconnected().await;
    let past = world.mail().arrives();
    let mut world = world;
    world.tick(60_000);
    world.connect().await.unwrap();
    let missing = world.mail().arrives();
    let explanation = world.explain(&missing.id).await;
    assert_eq!(explanation.outcome, Outcome::Missing);
    assert_eq!(explanation.rule, "S10");
    let would_be = world.input(&missing.id, "would-be").await.unwrap();
    assert!(would_be.starts_with("delivered to "), "{would_be}");
    assert_eq!(
        world.explain(&past.id).await.outcome,
        Outcome::Excluded("S04".into())
    );
    assert!(world.input(&past.id, "connected-at").await.is_some());
    // Past mail is past mail, also where Gmail has put it aside.
    world.gmail().label(&past.id, &["SPAM"], &["INBOX"]).await;
    assert_eq!(
        world.explain(&past.id).await.outcome,
        Outcome::Excluded("S04".into())
    );
    for nowhere in ["00000000000000ff", "no id at all"] {
        assert!(
            world
                .explain_all(Subject::Message(nowhere.into()))
                .await
                .is_empty()
        );
    }
    world.sync().await;
    assert!(matches!(
        world.explain(&missing.id).await.outcome,
        Outcome::Delivered(_)
    ));
}

#[tokio::test]
async fn t02_a_connection_that_was_ended_still_says_what_it_did() {
    let world = World::connected().await;
    let mail = world.mail().arrives();
    world.sync().await;
    world.disconnect().await;
    assert_eq!(world.rule(&mail.id).await, "S10");
    let by_id = world.explain_all(Subject::MessageId(mail.message_id)).await;
    assert_eq!(by_id.len(), 1);
}

#[tokio::test]
async fn t03_an_audit_finds_what_is_missing_and_heals_it() {
    // History that does not tell about a message yet: for a while, only the list knows it.
    let setup = Setup::default().behaviour(|gmail| gmail.history_lag_ms = 3_600_000);
    let world = setup.connected().await;
    let mail = world.mail().subject("Overlooked").arrives();
    world.sync().await;
    let report = world.audit(AuditMode::ReportOnly).await;
    assert_eq!(report.missing, [mail.id]);
    let healed = world.audit(AuditMode::Heal).await;
    assert_eq!((healed.healed, healed.missing.len()), (1, 0));
    assert_eq!(world.subjects(ANN).await, ["Overlooked"]);
    world.tick(3_600_000);
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Overlooked"]);
}

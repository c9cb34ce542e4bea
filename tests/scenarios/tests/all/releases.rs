//! Versions of the plugin: one takes over between passes, is tried in the shadow, is rolled back.

use bytes::Bytes;

use scenarios::{ANN, Instead, Setup, World, replaced, with_run};
use twinbox_host::{
    release::{Incompatible, ReleaseError},
    trace::Trace,
};

async fn world() -> World {
    Setup::default().recorded().with_releases().connected().await
}

/// The component with another text somewhere.
async fn with(from: &str, to: &str) -> Bytes {
    replaced(&scenarios::bytes().await, from, to).into()
}

/// A version that decides the same.
async fn same() -> Bytes {
    with("Keeps a Gmail mailbox", "Keeps the one mailbox").await
}

/// A version that decides otherwise about pictures.
async fn other() -> Bytes {
    with("data-remote-src", "data-elsewhere-").await
}

fn picture(world: &World) {
    let html = "<p>Look<img src=\"https://pictures.example/a.png\"></p>";
    world.mail().html(html).arrives();
}

fn digests(traces: &[Trace]) -> Vec<&str> {
    traces
        .iter()
        .map(|trace| trace.header.plugin.digest.as_str())
        .collect()
}

#[tokio::test]
async fn a_version_takes_over_between_passes_and_never_within_one() {
    let world = world().await;
    let first = scenarios::plugin().await.digest().to_owned();
    world.traces();
    picture(&world);
    let (plugins, bytes) = (world.plugins().clone(), other().await);
    // In a task of its own, as another process would.
    world.before_request("messages/", async move {
        let promoted = tokio::spawn(async move { plugins.promote(Some(bytes)).await });
        promoted.await.unwrap().unwrap();
    });
    world.pass().await.unwrap();
    picture(&world);
    world.pass().await.unwrap();
    let traces = world.traces();
    let ran = digests(&traces);
    assert_eq!(ran[0], first, "the pass under way goes on as it began");
    assert_ne!(ran[1], first);
    let conversation = world.conversation(ANN).await;
    let html: Vec<_> = conversation
        .iter()
        .map(|stored| stored.message.content.html.clone().unwrap())
        .collect();
    assert!(html[0].contains("data-remote-src") && html[1].contains("data-elsewhere-"));
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn a_version_is_rolled_back_and_forth() {
    let world = world().await;
    let first = scenarios::plugin().await.digest().to_owned();
    let refused = world.plugins().roll_back().await.unwrap_err();
    assert!(matches!(refused, ReleaseError::NoPrevious));
    let second = world.plugins().promote(Some(other().await)).await.unwrap().digest;
    world.traces();
    world.pass().await.unwrap();
    assert_eq!(world.plugins().roll_back().await.unwrap().digest, first);
    world.pass().await.unwrap();
    assert_eq!(world.plugins().roll_back().await.unwrap().digest, second);
    world.pass().await.unwrap();
    assert_eq!(digests(&world.traces()), [&second, &first, &second]);
}

#[tokio::test]
async fn the_choice_survives_the_process() {
    let world = world().await;
    let second = world.plugins().promote(Some(other().await)).await.unwrap();
    let candidate = world.plugins().try_out(same().await).await.unwrap();
    let again = world.reopened_plugins().await.chosen().await;
    assert_eq!(again.current.digest(), second.digest);
    assert_eq!(again.candidate.unwrap().digest(), candidate.digest);
}

#[tokio::test]
async fn another_process_may_change_the_choice() {
    let world = world().await;
    let elsewhere = world.reopened_plugins().await;
    let second = elsewhere.promote(Some(other().await)).await.unwrap();
    world.traces();
    world.pass().await.unwrap();
    assert_eq!(digests(&world.traces()), [&second.digest]);
}

#[tokio::test]
async fn a_shadow_that_decides_the_same_shows_no_difference() {
    let world = world().await;
    world.plugins().try_out(same().await).await.unwrap();
    picture(&world);
    world.letter(ANN).await.queued().await;
    world.pass().await.unwrap();
    let shadow = world.shadow().await;
    assert_eq!(
        (shadow.passes, shadow.same, shadow.unanswered),
        (1, 1, 0),
        "{shadow:?}"
    );
    assert_eq!(world.gmail().sent().len(), 1);
    assert_eq!(world.conversation(ANN).await.len(), 2);
}

#[tokio::test]
async fn a_shadow_that_decides_otherwise_is_reported_and_writes_nothing() {
    let world = world().await;
    world.plugins().try_out(other().await).await.unwrap();
    picture(&world);
    world.pass().await.unwrap();
    let shadow = world.shadow().await;
    assert_eq!((shadow.passes, shadow.different), (1, 1), "{shadow:?}");
    assert!(shadow.latest[0].contains("data-elsewhere-"), "{shadow:?}");
    let html = world.only_message(ANN).await.message.content.html.unwrap();
    assert!(html.contains("data-remote-src"));
    // What was tried takes over.
    world.plugins().promote(None).await.unwrap();
    picture(&world);
    world.pass().await.unwrap();
    let html = world.conversation(ANN).await[1]
        .message
        .content
        .html
        .clone()
        .unwrap();
    assert!(html.contains("data-elsewhere-"));
}

#[tokio::test]
async fn a_shadow_that_traps_or_hangs_is_reported_and_not_felt() {
    for instead in [Instead::Trap, Instead::Spin] {
        let world = world().await;
        let broken = with_run(&scenarios::bytes().await, instead);
        world.plugins().try_out(broken.into()).await.unwrap();
        picture(&world);
        let ran = world.pass().await.unwrap();
        assert_eq!(ran.report.problem, None);
        assert_eq!(world.conversation(ANN).await.len(), 1);
        assert_eq!(world.connection_row().await.failures, 0);
        let shadow = world.shadow().await;
        assert_eq!((shadow.passes, shadow.failed), (1, 1), "{instead:?} {shadow:?}");
    }
}

#[tokio::test]
async fn a_version_that_asks_for_more_is_refused_with_the_reason() {
    let world = world().await;
    let wider = with("https://gmail.googleapis.com", "https://gmail.somewhere.else").await;
    let refused = world.plugins().promote(Some(wider.clone())).await.unwrap_err();
    assert!(matches!(
        &refused,
        ReleaseError::Incompatible(Incompatible::Origins(origins)) if origins == &["https://gmail.somewhere.else"]
    ));
    world.plugins().try_out(wider).await.unwrap_err();
    let scopes = with("auth/gmail.modify", "auth/gmail.wholly").await;
    let refused = world.plugins().promote(Some(scopes)).await.unwrap_err();
    assert!(matches!(
        refused,
        ReleaseError::Incompatible(Incompatible::Scopes(_))
    ));
    let name = with("twinbox-gmail", "twinbox-other").await;
    let refused = world.plugins().promote(Some(name)).await.unwrap_err();
    assert!(matches!(
        refused,
        ReleaseError::Incompatible(Incompatible::Name { .. })
    ));
    let current = scenarios::bytes().await;
    let refused = world.plugins().promote(Some(current)).await.unwrap_err();
    assert!(matches!(refused, ReleaseError::IsCurrent(_)));
    let refused = world
        .plugins()
        .promote(Some(Bytes::from_static(b"no component")))
        .await
        .unwrap_err();
    assert!(matches!(refused, ReleaseError::Load(_)));
}

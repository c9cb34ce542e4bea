//! The one way out, through the real sandbox.

use std::{num::NonZeroUsize, time::Duration};

use twinbox_host::{
    egress::{EgressLimits, Grants},
    sandbox::{Limits, PassError, Sandbox, SandboxConfig},
};

use crate::harness::{NEWER_TOKEN, TOKEN, World, command, component, said, tight};

async fn answer(world: &World, text: &str) -> String {
    said(&command(world, tight(), text).await).to_owned()
}

#[tokio::test]
async fn a_granted_request_is_answered_without_its_cookies() {
    let world = World::new("t");
    assert_eq!(
        answer(&world, "http https://mail.example/a").await,
        "200 [etag] hello"
    );
    let sent = world.net.sent.lock().unwrap();
    assert_eq!(sent[0].addresses, ["93.184.216.34:443"]);
    assert_eq!(sent[0].bearer, None);
}

#[tokio::test]
async fn every_grant_is_needed_and_the_refusal_names_the_one_that_lacks() {
    let refused = async |world: &World, url: &str| answer(world, &format!("http {url}")).await;
    let world = World::new("t");
    assert!(
        refused(&world, "https://evil.example/")
            .await
            .contains("Denial::Manifest")
    );
    assert!(
        refused(&world, "http://mail.example/")
            .await
            .contains("Denial::Manifest")
    );
    assert!(
        refused(&world, "https://mail.example:8443/")
            .await
            .contains("Denial::Manifest")
    );
    assert!(
        refused(&world, "https://other.example/")
            .await
            .contains("Denial::HostGrant")
    );
    assert!(
        refused(&world, "https://user@mail.example/")
            .await
            .contains("Denial::Malformed")
    );
    assert!(
        refused(&world, "file:///etc/passwd")
            .await
            .contains("Denial::Malformed")
    );
    let mut world = World::new("t");
    world.policy.tenant = Grants::default();
    assert!(
        refused(&world, "https://mail.example/")
            .await
            .contains("Denial::TenantGrant")
    );
    assert!(world.net.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_with_one_private_address_is_not_reached() {
    let world = World::new("t");
    assert!(
        answer(&world, "http https://inside.example/")
            .await
            .contains("Denial::Address")
    );
    assert!(world.net.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_guest_may_not_set_the_hosts_header_fields() {
    let world = World::new("t");
    for name in ["authorization", "Cookie", "host", "proxy-authorization"] {
        let said = answer(&world, &format!("http-header {name} https://mail.example/")).await;
        assert!(said.contains("Denial::Header"), "{name}: {said}");
    }
    assert!(
        answer(&world, "http-header x-a https://mail.example/")
            .await
            .starts_with("200")
    );
}

#[tokio::test]
async fn the_credential_goes_only_where_the_manifest_says_and_is_refreshed_once() {
    let mut world = World::new("t");
    let said = answer(&world, "http-mailbox https://mail.example/401").await;
    assert!(said.starts_with("200"), "{said}");
    {
        let sent = world.net.sent.lock().unwrap();
        let tokens: Vec<_> = sent.iter().map(|sent| sent.bearer.as_deref()).collect();
        assert_eq!(tokens, [Some(TOKEN), Some(NEWER_TOKEN)]);
        assert!(sent[0].url.ends_with("/401"));
    }
    world.policy.credential = Grants::default();
    assert!(
        answer(&world, "http-mailbox https://mail.example/")
            .await
            .contains("Denial::Credential")
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let world = World::new("t");
    assert!(
        answer(&world, "http https://mail.example/redirect")
            .await
            .starts_with("302")
    );
    assert_eq!(world.net.sent.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_may_have_been_sent() {
    let mut world = World::new("t");
    let soon = Duration::from_millis(50);
    world.limits = EgressLimits {
        inline_timeout: soon,
        streamed_timeout: soon,
        ..EgressLimits::default()
    };
    let said = answer(&world, "http https://mail.example/hang").await;
    assert!(
        said.contains("Timeout") && said.contains("request-sent: true"),
        "{said}"
    );
}

#[tokio::test]
async fn more_passes_than_there_are_turns_wait_and_then_are_told() {
    let config = SandboxConfig {
        concurrency: NonZeroUsize::MIN,
        patience: Duration::from_millis(100),
        ..SandboxConfig::default()
    };
    let plugin = Sandbox::new(config)
        .unwrap()
        .load_file(&component())
        .await
        .unwrap();
    let world = World::new("t");
    let limits = Limits {
        wall: Duration::from_millis(600),
        ..tight()
    };
    let run = |text: &'static str| {
        let pass = plugin.pass(world.capabilities(), limits);
        async move {
            pass.run(twinbox_host::contract::Trigger::Manual, text.into())
                .await
                .result
        }
    };
    let (_, second) = tokio::join!(run("hang"), run("nop"));
    assert_eq!(second, Err(PassError::Busy));
    assert!(run("nop").await.is_ok());
}

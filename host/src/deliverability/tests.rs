use base64::{Engine, engine::general_purpose::STANDARD};
use rsa::{BigUint, RsaPublicKey, pkcs8::EncodePublicKey};

use super::*;

/// A domain whose mail from Gmail passes everywhere.
fn in_order() -> Table {
    let modulus = (BigUint::from(1_u8) << 2_047) + BigUint::from(1_u8);
    let key = RsaPublicKey::new_unchecked(modulus, BigUint::from(65_537_u32));
    let key = STANDARD.encode(key.to_public_key_der().unwrap().as_bytes());
    without_key().txt(
        "google._domainkey.example.com",
        &format!("v=DKIM1; k=rsa; p={key}"),
    )
}

fn without_key() -> Table {
    Table::new()
        .mx("example.com", 1, "smtp.google.com")
        .txt("example.com", "v=spf1 include:_spf.google.com ~all")
        .txt("_spf.google.com", "v=spf1 ip4:192.0.2.0/24 ~all")
        .txt(
            "_dmarc.example.com",
            "v=DMARC1; p=reject; rua=mailto:d@example.com",
        )
}

async fn report(table: &Table, domain: &str) -> Report {
    check(table, &Question::new(domain, Sender::Gmail).unwrap()).await
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.code).collect()
}

#[tokio::test]
async fn t08_a_domain_in_order_has_nothing_to_do() {
    let report = report(&in_order(), "ann@Example.com").await;
    assert_eq!(
        codes(&report),
        ["mx-in-order", "spf-in-order", "dkim-in-order", "dmarc-in-order"]
    );
    assert_eq!((report.worst(), report.is_complete()), (Severity::Fine, true));
}

#[tokio::test]
async fn t08_an_address_of_gmail_has_nothing_to_set_up() {
    for domain in ["gmail.com", "ann@googlemail.com"] {
        let report = report(&Table::new(), domain).await;
        assert_eq!(
            (codes(&report), report.worst()),
            (vec!["google-publishes"], Severity::Fine)
        );
    }
}

#[tokio::test]
async fn t08_a_domain_that_does_not_exist_is_one_finding() {
    let report = report(&in_order(), "exmaple.com").await;
    assert_eq!(codes(&report), ["domain-absent"]);
}

#[tokio::test]
async fn t08_what_matters_most_comes_first() {
    let report = report(&without_key(), "example.com").await;
    assert_eq!(
        codes(&report),
        ["dkim-missing", "mx-in-order", "spf-in-order", "dmarc-in-order"]
    );
}

#[tokio::test]
async fn t08_one_good_key_of_several_is_enough() {
    let table = in_order()
        .txt("old._domainkey.example.com", "v=DKIM1; p=")
        .txt("example.com", "v=spf1 -all");
    let question = Question::new("example.com", Sender::Gmail).unwrap();
    let question = question.with_selectors(["old", "google"]).unwrap();
    let report = check(&table, &question).await;
    assert_eq!(
        codes(&report),
        [
            "spf-several",
            "dkim-revoked",
            "mx-in-order",
            "dkim-in-order",
            "dmarc-in-order"
        ]
    );
}

#[tokio::test]
async fn t08_mail_that_proves_nothing_meets_its_own_policy() {
    let table = Table::new().mx("example.com", 1, "smtp.google.com").txt(
        "_dmarc.example.com",
        "v=DMARC1; p=reject; rua=mailto:d@example.com",
    );
    assert!(codes(&report(&table, "example.com").await).contains(&"own-policy-hits-own-mail"));
    let without = Table::new().mx("example.com", 1, "smtp.google.com");
    assert!(codes(&report(&without, "example.com").await).contains(&"unauthenticated"));
}

#[tokio::test]
async fn t08_what_was_not_answered_is_no_verdict() {
    let table = Table::new()
        .mx("example.com", 1, "smtp.google.com")
        .failing("google._domainkey.example.com", LookupError::TimedOut);
    let report = report(&table, "example.com").await;
    assert!(!report.is_complete());
    assert!(!codes(&report).contains(&"unauthenticated"), "{report:?}");
}

#[tokio::test]
async fn t08_a_report_is_the_same_for_programs_from_version_to_version() {
    let report = report(&without_key(), "example.com").await;
    insta::assert_json_snapshot!(report);
}

#[tokio::test]
async fn t08_what_a_domain_says_is_quoted_on_one_printable_line() {
    let record = format!(
        "v=spf1 include:_spf.google.com \u{1b}[31mred\u{202e}{} -all",
        "x".repeat(2_000)
    );
    let table = Table::new()
        .mx("example.com", 1, "smtp.google.com\u{7}")
        .txt("example.com", &record)
        .txt("_dmarc.example.com", "v=DMARC1; p=\u{1b}]0;title\u{7}");
    let report = report(&table, "example.com").await;
    for finding in &report.findings {
        let texts = [&finding.happened, &finding.advice];
        let published = finding.publish.as_ref().map(|publish| &publish.value);
        for text in texts.into_iter().chain(published) {
            assert!(
                !text.contains(|c: char| c.is_control() || c == '\u{202e}'),
                "{text:?}"
            );
            assert!(text.chars().count() < 700, "{text}");
        }
    }
}

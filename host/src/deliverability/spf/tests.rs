use super::*;
use crate::deliverability::{Table, lookup::Asking};

const DOMAIN: &str = "example.com";

/// A world in which Google's servers are there.
fn world() -> Table {
    Table::new().txt(GOOGLES, "v=spf1 ip4:192.0.2.0/24 ~all")
}

async fn of(table: Table, sender: Sender) -> Vec<Finding> {
    let published = look(Asking::new(&table), DOMAIN).await;
    judge(DOMAIN, &published, sender)
}

async fn codes(record: &str) -> Vec<&'static str> {
    let findings = of(world().txt(DOMAIN, record), Sender::Gmail).await;
    findings.iter().map(|finding| finding.code).collect()
}

fn published(findings: &[Finding]) -> Option<&str> {
    let [finding] = findings else {
        panic!("{findings:?}");
    };
    finding.publish.as_ref().map(|publish| publish.value.as_str())
}

#[tokio::test]
async fn t08_one_record_with_google_is_in_order() {
    for record in [
        "v=spf1 include:_spf.google.com ~all",
        "v=spf1 mx include:_SPF.google.com. -all",
        "v=spf1 redirect=_spf.google.com",
    ] {
        assert_eq!(codes(record).await, ["spf-in-order"], "{record}");
    }
    let through = world()
        .txt(DOMAIN, "v=spf1 include:all.example.net -all")
        .txt("all.example.net", "v=spf1 include:_spf.google.com ?all")
        .txt(DOMAIN, "google-site-verification=x");
    assert_eq!(of(through, Sender::Gmail).await[0].code, "spf-in-order");
}

#[tokio::test]
async fn t08_without_spf_the_record_to_publish_is_named() {
    let findings = of(world().mx(DOMAIN, 1, "smtp.google.com"), Sender::Gmail).await;
    assert_eq!(findings[0].code, "spf-missing");
    assert_eq!(published(&findings), Some("v=spf1 include:_spf.google.com ~all"));
    let elsewhere = of(Table::new(), Sender::Elsewhere).await;
    assert_eq!((elsewhere[0].code, published(&elsewhere)), ("spf-missing", None));
}

#[tokio::test]
async fn t08_two_spf_records_become_one() {
    let two = world()
        .txt(DOMAIN, "v=spf1 include:_spf.google.com ip4:192.0.2.7 ~all")
        .txt(DOMAIN, "v=spf1 mx include:_spf.google.com -all");
    let findings = of(two, Sender::Gmail).await;
    assert_eq!(findings[0].code, "spf-several");
    assert_eq!(
        published(&findings),
        Some("v=spf1 include:_spf.google.com ip4:192.0.2.7 mx ~all")
    );
}

#[tokio::test]
async fn t08_a_record_without_google_is_completed() {
    let findings = of(world().txt(DOMAIN, "v=spf1 ip4:192.0.2.7 -all"), Sender::Gmail).await;
    assert_eq!(findings[0].code, "spf-without-google");
    assert_eq!(
        published(&findings),
        Some("v=spf1 include:_spf.google.com ip4:192.0.2.7 -all")
    );
    let elsewhere = of(
        Table::new().txt(DOMAIN, "v=spf1 ip4:192.0.2.7 -all"),
        Sender::Elsewhere,
    )
    .await;
    assert_eq!(elsewhere[0].code, "spf-in-order");
    assert_eq!(
        codes("v=spf1 -include:_spf.google.com ~all").await,
        ["spf-without-google"]
    );
    assert_eq!(
        codes("v=spf1 ~all include:_spf.google.com").await,
        ["spf-without-google", "spf-after-all"]
    );
}

#[tokio::test]
async fn t08_an_open_end_is_closed() {
    for (end, code, severity) in [
        (" +all", "spf-all-pass", Severity::Problem),
        (" all", "spf-all-pass", Severity::Problem),
        (" ?all", "spf-all-neutral", Severity::Warning),
        ("", "spf-all-missing", Severity::Warning),
    ] {
        let record = format!("v=spf1 include:_spf.google.com{end}");
        let findings = of(world().txt(DOMAIN, &record), Sender::Gmail).await;
        assert_eq!(
            (findings[0].code, findings[0].severity),
            (code, severity),
            "{end}"
        );
        assert_eq!(
            published(&findings),
            Some("v=spf1 include:_spf.google.com ~all"),
            "{end}"
        );
    }
}

#[tokio::test]
async fn t08_more_than_ten_lookups_are_too_many() {
    let ten = "v=spf1 include:_spf.google.com a a a a mx mx mx exists:x.example a ~all";
    assert_eq!(codes(ten).await, ["spf-in-order"]);
    let eleven = "v=spf1 include:_spf.google.com a a a a mx mx mx exists:x.example a mx ~all";
    assert_eq!(codes(eleven).await, ["spf-lookups"]);
    let nested = (0..11).fold(
        world().txt(DOMAIN, "v=spf1 include:_spf.google.com include:n0.example -all"),
        |table, n| {
            table.txt(
                &format!("n{n}.example"),
                &format!("v=spf1 include:n{}.example -all", n + 1),
            )
        },
    );
    let nested = of(nested, Sender::Gmail).await;
    assert!(
        nested.iter().any(|finding| finding.code == "spf-lookups"),
        "{nested:?}"
    );
}

#[tokio::test]
async fn t08_records_that_include_each_other_end() {
    let circle = world()
        .txt(DOMAIN, "v=spf1 include:_spf.google.com include:a.example -all")
        .txt("a.example", "v=spf1 include:b.example -all")
        .txt("b.example", "v=spf1 include:a.example -all");
    assert_eq!(of(circle, Sender::Gmail).await[0].code, "spf-lookups");
    let myself = world().txt(DOMAIN, "v=spf1 redirect=example.com");
    let codes: Vec<_> = of(myself, Sender::Gmail)
        .await
        .iter()
        .map(|finding| finding.code)
        .collect();
    assert_eq!(codes, ["spf-lookups", "spf-without-google"]);
}

#[tokio::test]
async fn t08_a_tree_without_end_is_not_followed() {
    let wide = (0..200).fold(String::from("v=spf1"), |record, n| {
        format!("{record} include:w{n}.example")
    });
    let table = Table::new().txt(DOMAIN, &wide);
    let published = look(Asking::new(&table), DOMAIN).await;
    assert_eq!(published.0.len(), MOST_NAMES);
}

#[tokio::test]
async fn t08_a_broken_include_is_named() {
    assert_eq!(
        codes("v=spf1 include:_spf.google.com include:gone.example -all").await,
        ["spf-include-broken"]
    );
    let several = world()
        .txt(DOMAIN, "v=spf1 include:_spf.google.com include:two.example -all")
        .txt("two.example", "v=spf1 -all")
        .txt("two.example", "v=spf1 mx -all");
    assert!(
        of(several, Sender::Gmail).await[0]
            .happened
            .contains("several SPF records")
    );
    let failing = world()
        .txt(DOMAIN, "v=spf1 include:_spf.google.com include:late.example -all")
        .failing("late.example", LookupError::TimedOut);
    assert_eq!(of(failing, Sender::Gmail).await[0].code, "dns-unanswered");
    assert_eq!(
        codes("v=spf1 include:_spf.google.com include:%{d}.example -all").await,
        ["spf-in-order"]
    );
}

#[tokio::test]
async fn t08_the_rest_of_spf_is_judged() {
    assert_eq!(
        codes("v=spf1 include:_spf.google.com includ:x -all").await,
        ["spf-syntax"]
    );
    assert_eq!(
        codes("v=spf1 include:_spf.google.com ptr -all").await,
        ["spf-ptr"]
    );
    assert_eq!(
        codes("v=spf1 include:_spf.google.com -all mx").await,
        ["spf-after-all"]
    );
    let failing = Table::new().failing(DOMAIN, LookupError::Failed("refused".into()));
    let findings = of(failing, Sender::Gmail).await;
    assert_eq!(findings[0].code, "dns-unanswered");
    assert!(findings[0].happened.contains("refused"));
}

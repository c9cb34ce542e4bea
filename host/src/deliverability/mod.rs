//! Whether receivers can tell that mail from a domain is genuine (T08): SPF, DKIM, DMARC and the way back for bounces.
//!
//! [`check`] asks the domain name system for what the domain publishes and judges it. The judgements are pure functions
//! over the answers, one module each; the looking up is a trait, [`Dns`], with an implementation over the name servers
//! of the system and one over a table. All answers are somebody else's text: how many there are, how long they are and
//! how long they may take is limited, and what is quoted of them is one short printable line.
//!
//! What receivers ask for: Google's and Yahoo's sender guidelines (<https://support.google.com/a/answer/81126>).

mod dkim;
mod dmarc;
mod lookup;
mod mail_servers;
mod name_servers;
mod question;
mod report;
mod spf;
mod tags;
mod together;

use futures_util::future::{join_all, join4};
use tokio::time::timeout;

pub use lookup::{Dns, LookupError, MailServer, Table};
pub use name_servers::{NameServers, NameServersError};
pub use question::{Question, QuestionError, Sender};
pub use report::{Finding, Publish, Report, Severity, Subject};

use lookup::{Asking, WHOLE_TIME};

/// Looks the domain up and says what is in order, what is not, and what to publish. Never fails: what could not be
/// looked up is a finding. Takes as long as the slowest of its lookups, and no longer than 20 seconds.
pub async fn check(dns: &dyn Dns, question: &Question) -> Report {
    let domain = question.domain();
    if question.is_consumer() {
        return Report::new(domain, vec![together::googles_own(domain)]);
    }
    let asking = Asking::new(dns);
    let selectors = question.selectors();
    let keys = join_all(selectors.iter().map(|selector| {
        let name = dkim::name(selector, domain);
        async move { asking.txt(&name).await }
    }));
    let (servers, policies, published, keys) = join4(
        asking.mx(domain),
        timeout(WHOLE_TIME, dmarc::look(asking, domain)),
        timeout(WHOLE_TIME, spf::look(asking, domain)),
        keys,
    )
    .await;
    let policies = policies.unwrap_or_else(|_| dmarc::Published::unanswered(domain));
    let published = published.unwrap_or_else(|_| spf::Published::unanswered(domain));
    if published.is_absent(domain) && servers.as_ref().err() == Some(&LookupError::NoSuchName) {
        return Report::new(domain, vec![together::absent(domain)]);
    }
    let mut findings = mail_servers::judge(domain, &servers, question.sender());
    findings.extend(spf::judge(domain, &published, question.sender()));
    for (selector, records) in selectors.iter().zip(&keys) {
        findings.extend(dkim::judge(domain, selector, records, question));
    }
    findings.extend(dmarc::judge(domain, &policies));
    let policy = dmarc::policy(&policies);
    findings.extend(together::judge(domain, &findings, policy, question.sender()));
    Report::new(domain, findings)
}

#[cfg(test)]
mod tests;

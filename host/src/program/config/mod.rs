//! `twinbox.toml`.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::{failure::Failure, telemetry::Telemetry};
use crate::{
    contract::AuditMode, egress::AddressRule, privacy::AssignedUsers, quota::Rates, schedule::Auditing,
    vault::Endpoints,
};

mod bcc;
mod bulk;
mod push;

pub(super) use bcc::Bcc;
pub(super) use bulk::{BulkMail, WrongBulk};
pub(super) use push::{Delivery, Push};

/// Largest configuration read, bytes.
const LARGEST: u64 = 1024 * 1024;

/// The configuration of `twinbox serve` and what goes with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Where the pages are.
    #[serde(default = "listen")]
    pub(super) listen: SocketAddr,
    /// How browsers reach them; the consent page sends them back to `/oauth/callback` below it.
    pub(super) public_url: Option<Url>,
    /// Where the state is, and the key that seals the tokens.
    #[serde(default = "data")]
    pub(super) data: PathBuf,
    /// The component; by default the one beside the program.
    pub(super) plugin: Option<PathBuf>,
    /// Seconds between two looks at a mailbox.
    #[serde(default = "poll_seconds")]
    pub(super) poll_seconds: u64,
    /// Which of Google's tables of quota units holds for the project.
    #[serde(default)]
    pub(super) quota_table: QuotaTable,
    /// Messages a mailbox may send in 24 hours: 500, or 2,000 for Workspace.
    #[serde(default = "daily_limit")]
    pub(super) daily_limit: u32,
    /// Whose contacts are synced of users who have not chosen (S30).
    #[serde(default)]
    pub(super) assigned_users: AssignedUsers,
    pub(super) google: Google,
    /// Gmail announces changes.
    pub(super) push: Option<Push>,
    /// Mail is logged that users send to an address of ours in Bcc.
    pub(super) bcc: Option<Bcc>,
    /// Where bulk and workflow mail goes.
    pub(super) bulk: Option<BulkMail>,
    /// What single tenants have of their own, by their names.
    #[serde(default)]
    pub(super) tenants: BTreeMap<String, TenantConfig>,
    /// Where traces go.
    pub(super) telemetry: Option<Telemetry>,
    /// Who may be told of what happens.
    #[serde(default)]
    pub(super) webhooks: WebhookReceivers,
    #[serde(default)]
    pub(super) quota: QuotaRates,
    #[serde(default)]
    pub(super) audit: Audit,
    #[serde(default)]
    pub(super) origins: Origins,
}

/// Who may be told of what happens (webhooks).
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookReceivers {
    /// Lets administrators name receivers in the operator's own network, and without TLS. By default only addresses of the
    /// public internet are reached, with TLS.
    #[serde(default)]
    private_addresses: bool,
}

impl WebhookReceivers {
    pub(super) fn addresses(self) -> AddressRule {
        if self.private_addresses {
            AddressRule::Any
        } else {
            AddressRule::PublicOnly
        }
    }
}

/// What a tenant has of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantConfig {
    /// Where its bulk and workflow mail goes.
    pub(super) bulk: BulkMail,
}

/// Google's tables of quota units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum QuotaTable {
    /// Projects from before 2026-05-01.
    Old,
    /// Projects made since.
    #[default]
    New,
}

impl QuotaTable {
    /// What it allows in a minute.
    pub(super) fn rates(self) -> Rates {
        let account = match self {
            Self::Old => 15_000,
            Self::New => 6_000,
        };
        Rates {
            account,
            project: 1_200_000,
        }
    }

    /// The plugin's settings. With a topic the plugin watches the mailboxes.
    pub(super) fn settings(
        self,
        daily_limit: u32,
        push_topic: Option<&str>,
        assigned_users: AssignedUsers,
    ) -> String {
        let table = match self {
            Self::Old => "old",
            Self::New => "new",
        };
        let mut settings = serde_json::json!({ "quota-table": table, "daily-limit": daily_limit });
        if let Some(topic) = push_topic {
            settings["push-topic"] = topic.into();
        }
        if assigned_users == AssignedUsers::Any {
            settings["assigned-users"] = assigned_users.as_str().into();
        }
        settings.to_string()
    }
}

/// Units a minute where they are not those of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct QuotaRates {
    /// For each mailbox.
    account_per_minute: Option<NonZeroU32>,
    /// For the whole project: what Google allows it, or this server's share.
    project_per_minute: Option<NonZeroU32>,
}

/// When mailboxes are compared with their ledgers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Audit {
    /// Whether they are, once a day.
    daily: bool,
    /// Whether what is missing is brought in, or only said.
    heal: bool,
    /// The hour of the day, UTC, at which the first is.
    from_hour: u8,
    /// Over how many hours they are spread.
    spread_hours: u8,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            daily: true,
            heal: true,
            from_hour: 0,
            spread_hours: 24,
        }
    }
}

/// The OAuth client of the Google Cloud project.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Google {
    pub(super) client_id: String,
    /// A file that holds the client secret and nothing else.
    pub(super) client_secret_file: PathBuf,
}

/// Servers that stand in for Google's.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Origins {
    /// For `https://gmail.googleapis.com`.
    pub(super) api: Option<String>,
    authorize: Option<String>,
    token: Option<String>,
    revoke: Option<String>,
    jwks: Option<String>,
    userinfo: Option<String>,
    /// For `https://pubsub.googleapis.com`.
    pub(super) pubsub: Option<String>,
    /// What id tokens may name as their issuer.
    issuers: Option<Vec<String>>,
}

impl Origins {
    /// Google's endpoints, or what stands in for them.
    pub(super) fn endpoints(&self) -> Endpoints {
        let google = Endpoints::default();
        let or = |stand_in: &Option<String>, real: String| stand_in.clone().unwrap_or(real);
        Endpoints {
            authorize: or(&self.authorize, google.authorize),
            token: or(&self.token, google.token),
            revoke: or(&self.revoke, google.revoke),
            jwks: or(&self.jwks, google.jwks),
            userinfo: or(&self.userinfo, google.userinfo),
            issuers: self.issuers.clone().unwrap_or(google.issuers),
        }
    }
}

impl Config {
    /// Reads the file. Paths in it are relative to its folder.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let advice = "The README shows a whole twinbox.toml; --config names another file.";
        let text =
            read_small(path).map_err(|error| Failure::configuration(format!("{shown}: {error}"), advice))?;
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| Failure::configuration(format!("{shown}: {error}"), advice))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.data = folder.join(&config.data);
        config.plugin = config.plugin.map(|plugin| folder.join(plugin));
        config.google.client_secret_file = folder.join(&config.google.client_secret_file);
        if let Some(push) = &mut config.push {
            let file = push.service_account_key_file.take();
            push.service_account_key_file = file.map(|file| folder.join(file));
        }
        if let Some(bcc) = &mut config.bcc {
            bcc.certificate_file = bcc.certificate_file.take().map(|file| folder.join(file));
            bcc.key_file = bcc.key_file.take().map(|file| folder.join(file));
        }
        let own = config.tenants.values_mut().map(|tenant| &mut tenant.bulk);
        for bulk in config.bulk.iter_mut().chain(own) {
            bulk.in_folder(folder);
        }
        if let Some(telemetry) = &mut config.telemetry {
            telemetry.header_file = telemetry.header_file.take().map(|file| folder.join(file));
        }
        Ok(config)
    }

    /// The plugin's settings.
    pub(super) fn settings(&self) -> String {
        let topic = self.push.as_ref().map(|push| push.topic.as_str());
        self.quota_table
            .settings(self.daily_limit, topic, self.assigned_users)
    }

    /// What a mailbox and the project may spend in a minute.
    pub(super) fn rates(&self) -> Rates {
        let table = self.quota_table.rates();
        let or = |own: Option<NonZeroU32>, table| own.map_or(table, |own| own.get().into());
        Rates {
            account: or(self.quota.account_per_minute, table.account),
            project: or(self.quota.project_per_minute, table.project),
        }
    }

    /// When audits are, if they are.
    pub(super) fn auditing(&self) -> Result<Option<Auditing>, Failure> {
        let Audit {
            daily,
            heal,
            from_hour,
            spread_hours,
        } = self.audit;
        if from_hour > 23 || !(1..=24).contains(&spread_hours) {
            return Err(Failure::configuration(
                format!("[audit] from_hour = {from_hour}, spread_hours = {spread_hours}"),
                "from_hour is 0 to 23, spread_hours 1 to 24.",
            ));
        }
        let hours = |hours: u8| Duration::from_secs(u64::from(hours) * 3_600);
        Ok(daily.then_some(Auditing {
            mode: if heal {
                AuditMode::Heal
            } else {
                AuditMode::ReportOnly
            },
            begins: hours(from_hour),
            spread: hours(spread_hours),
        }))
    }

    /// The client secret.
    pub(super) fn client_secret(&self) -> Result<SecretString, Failure> {
        let path = &self.google.client_secret_file;
        let secret = read_small(path).map_err(|error| {
            let advice = "Put the OAuth client's secret into this file, readable for you alone.";
            Failure::configuration(format!("{}: {error}", path.display()), advice)
        })?;
        Ok(secret.trim().to_owned().into())
    }

    /// Where browsers find the pages.
    pub(super) fn public_url(&self) -> Result<Url, Failure> {
        match &self.public_url {
            Some(url) => Ok(url.clone()),
            None => Url::parse(&format!("http://{}", self.listen))
                .map_err(|error| Failure::configuration(error, "Set public_url in the configuration.")),
        }
    }
}

pub(super) fn read_small(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > LARGEST {
        return Err(std::io::Error::other("the file is too large"));
    }
    std::fs::read_to_string(path)
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

fn data() -> PathBuf {
    PathBuf::from("data")
}

fn poll_seconds() -> u64 {
    30
}

fn daily_limit() -> u32 {
    500
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_client_has_no_default() {
        let config: Config =
            toml::from_str("[google]\nclient_id = \"x\"\nclient_secret_file = \"s\"").unwrap();
        assert_eq!(config.poll_seconds, 30);
        assert_eq!(config.origins.endpoints().token, Endpoints::default().token);
    }

    fn with_push(table: &str) -> Config {
        let text = format!("[google]\nclient_id=\"x\"\nclient_secret_file=\"s\"\n[push]\n{table}");
        toml::from_str(&text).unwrap()
    }

    fn delivery(table: &str) -> Result<Delivery, Failure> {
        let endpoint = Url::parse("https://crm.example.com/push/gmail").unwrap();
        with_push(table).push.unwrap().delivery(&endpoint)
    }

    #[test]
    fn push_needs_a_service_account_and_takes_the_endpoint_as_its_audience() {
        let topic = "topic = \"projects/p/topics/t\"\n";
        let whole = format!("{topic}service_account = \"push@p.iam.gserviceaccount.com\"");
        match delivery(&whole).unwrap() {
            Delivery::Push {
                audience,
                subscription,
                ..
            } => {
                assert_eq!(audience, "https://crm.example.com/push/gmail");
                assert_eq!(subscription, None);
            }
            Delivery::Pull { .. } => panic!("it is push"),
        }
        assert!(delivery(topic).is_err());
        assert!(delivery(&format!("{topic}mode = \"pull\"")).is_err());
        for name in [
            "t",
            "projects/p/subscriptions/t",
            "projects/p/topics/t?x",
            "projects//topics/t",
        ] {
            assert!(
                delivery(&whole.replace("projects/p/topics/t", name)).is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn push_is_a_setting_of_the_plugin_only_where_it_is_configured() {
        let config = with_push("topic = \"projects/p/topics/t\"");
        assert!(
            config
                .settings()
                .contains("\"push-topic\":\"projects/p/topics/t\"")
        );
        let without: Config =
            toml::from_str("[google]\nclient_id = \"x\"\nclient_secret_file = \"s\"").unwrap();
        assert!(!without.settings().contains("push"));
    }

    fn config(more: &str) -> Config {
        let google = "[google]\nclient_id = \"x\"\nclient_secret_file = \"s\"";
        toml::from_str(&format!("{more}\n{google}")).unwrap()
    }

    #[test]
    fn both_of_googles_tables_say_what_a_mailbox_and_the_project_may_spend_and_what_calls_cost() {
        let rates = |account| Rates {
            account,
            project: 1_200_000,
        };
        let old = config("quota_table = \"old\"");
        assert_eq!(old.rates(), rates(15_000));
        assert_eq!(old.settings(), r#"{"daily-limit":500,"quota-table":"old"}"#);
        let new = config("quota_table = \"new\"");
        assert_eq!(new.rates(), rates(6_000));
        assert_eq!(new.settings(), r#"{"daily-limit":500,"quota-table":"new"}"#);
        assert_eq!(config("").rates(), rates(6_000));
    }

    #[test]
    fn s22_a_tenant_may_have_a_provider_of_its_own_and_what_is_wrong_with_it_is_said_of_its_table() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pw"), "s3cret\n").unwrap();
        let file = folder.path().join("twinbox.toml");
        let text = "[google]\nclient_id = \"x\"\nclient_secret_file = \"s\"
            [bulk]\nhost = \"localhost\"\nfrom = \"news@x.example\"
            [tenants.acme.bulk]\nhost = \"smtp.acme.example\"\nfrom = \"Acme <post@acme.example>\"
            username = \"acme\"\npassword_file = \"pw\"";
        std::fs::write(&file, text).unwrap();
        let config = Config::read(&file).unwrap();
        let own = &config.tenants["acme"].bulk;
        own.provider("localhost").unwrap();
        assert_eq!(own.sender().unwrap().address, "post@acme.example");
        assert_eq!(config.bulk.unwrap().sender().unwrap().address, "news@x.example");
        std::fs::write(&file, format!("{text}\nsecurity = \"none\"")).unwrap();
        let config = Config::read(&file).unwrap();
        let wrong = config.tenants["acme"].bulk.provider("localhost").unwrap_err();
        let said = wrong.in_table("tenants.acme.bulk").to_string();
        assert!(
            said.contains("[tenants.acme.bulk]") && !said.contains("s3cret"),
            "{said}"
        );
    }

    #[test]
    fn s30_the_filter_on_assigned_users_is_a_setting_of_the_plugin() {
        let any = config("assigned_users = \"any\"").settings();
        assert!(any.contains(r#""assigned-users":"any""#), "{any}");
        assert!(!config("assigned_users = \"own\"").settings().contains("assigned"));
    }

    #[test]
    fn a_server_may_have_a_share_of_the_projects_units() {
        let config = config("[quota]\nproject_per_minute = 300000");
        let rates = Rates {
            account: 6_000,
            project: 300_000,
        };
        assert_eq!(config.rates(), rates);
    }

    #[test]
    fn t03_audits_heal_once_a_day_unless_told_otherwise() {
        assert_eq!(config("").auditing().unwrap(), Some(Auditing::default()));
        let own = config("[audit]\nheal = false\nfrom_hour = 22\nspread_hours = 4");
        let own = own.auditing().unwrap().unwrap();
        assert_eq!(own.mode, AuditMode::ReportOnly);
        assert_eq!(
            (own.begins.as_secs(), own.spread.as_secs()),
            (22 * 3_600, 4 * 3_600)
        );
        assert_eq!(config("[audit]\ndaily = false").auditing().unwrap(), None);
        assert!(config("[audit]\nfrom_hour = 24").auditing().is_err());
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(
            toml::from_str::<Config>("lisen = \"x\"\n[google]\nclient_id=\"\"\nclient_secret_file=\"\"")
                .is_err()
        );
    }
}

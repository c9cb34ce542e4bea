//! The exports, nothing else.

use crate::{
    contract::{
        self, AuditMode, AuditReport, Connected, Explanation, Guest, Imports, IngestedMail, Outcome,
        PluginManifest, Problem, Report, SettingsError, Subject, Trigger,
    },
    mail, settings, sync,
};

struct Component;

impl Guest for Component {
    fn manifest() -> PluginManifest {
        crate::manifest()
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsError>> {
        settings::parse(&settings).map(|_| ())
    }

    async fn connect(expected_address: Option<String>, settings: String) -> Result<Connected, Problem> {
        sync::connect(&Imports, expected_address.as_deref(), &settings).await
    }

    async fn run(trigger: Trigger, settings: String) -> Report {
        sync::run(&Imports, trigger, &settings).await
    }

    async fn ingest(mail: IngestedMail, settings: String) -> Result<Outcome, Problem> {
        let mail = sync::Mail {
            recipient: mail.recipient,
            // One byte over the limit is enough to be over it.
            raw: contract::whole(mail.raw, mail::MAX_RAW_BYTES + 1).await,
            received_at: mail.received_at,
        };
        sync::ingest(&Imports, mail, &settings).await
    }

    async fn audit(mode: AuditMode, settings: String) -> Result<AuditReport, Problem> {
        sync::audit(&Imports, mode, &settings).await
    }

    async fn explain(subject: Subject, settings: String) -> Result<Vec<Explanation>, Problem> {
        sync::explain(&Imports, subject, &settings).await
    }

    async fn disconnect() -> Result<(), Problem> {
        sync::disconnect(&Imports).await
    }
}

contract::export!(Component);

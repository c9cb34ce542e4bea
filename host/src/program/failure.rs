//! Errors people see: a code, what happened, what to do; and the exit code for scripts.

use std::{fmt::Display, process::ExitCode};

use crate::{
    accounts::ConnectError,
    contract::Problem,
    crm::CrmError,
    host::HostError,
    people::PeopleError,
    problem::{Described, describe},
    release::ReleaseError,
    sandbox::LoadError,
    store::StoreError,
    trace::ReadError,
    vault::{RotateError, VaultError},
    web::Trouble,
    webhooks::WebhookError,
};

/// Something failed in general.
pub(super) const FAILED: u8 = 1;
/// The command line is wrong.
pub(super) const USAGE: u8 = 2;
/// The configuration is wrong.
pub(super) const CONFIGURATION: u8 = 3;
/// The user has to connect again.
pub(super) const RECONNECT: u8 = 4;
/// Try again later.
pub(super) const LATER: u8 = 5;
/// Messages are missing.
pub(super) const MISSING: u8 = 6;
/// Something of a domain has to be put right.
pub(super) const DOMAIN: u8 = 7;

/// Why the program did not do it.
#[derive(Debug)]
pub(super) struct Failure {
    code: String,
    happened: String,
    advice: String,
    exit: u8,
}

impl Failure {
    pub(super) fn new(code: &str, happened: impl Display, advice: impl Display) -> Self {
        Self {
            code: code.to_owned(),
            happened: happened.to_string(),
            advice: advice.to_string(),
            exit: FAILED,
        }
    }

    pub(super) fn configuration(happened: impl Display, advice: impl Display) -> Self {
        Self {
            exit: CONFIGURATION,
            ..Self::new("configuration", happened, advice)
        }
    }

    /// The same in other words.
    pub(super) fn saying(self, described: Described) -> Self {
        Self {
            happened: described.happened,
            advice: described.advice,
            ..self
        }
    }

    /// The same with another exit code.
    pub(super) fn exiting(self, exit: u8) -> Self {
        Self { exit, ..self }
    }

    pub(super) fn print(&self, json: bool) {
        if json {
            println!("{}", serde_json::json!({ "error": self.value() }));
        } else {
            eprintln!("twinbox: {self}");
        }
    }

    pub(super) fn value(&self) -> serde_json::Value {
        serde_json::json!({ "code": self.code, "happened": self.happened, "advice": self.advice })
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}\n  {}", self.code, self.happened, self.advice)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let exit = match &problem {
            Problem::ReconnectNeeded => RECONNECT,
            Problem::RateLimited(_)
            | Problem::ProviderUnavailable(_)
            | Problem::CrmUnavailable(_)
            | Problem::StorageUnavailable(_)
            | Problem::Superseded => LATER,
            _ => FAILED,
        };
        let described = describe(&problem);
        Self {
            exit,
            ..Self::new(described.code, described.happened, described.advice)
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        error.problem().into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Problem::StorageUnavailable(error.to_string()).into()
    }
}

impl From<CrmError> for Failure {
    fn from(error: CrmError) -> Self {
        Problem::CrmUnavailable(error.to_string()).into()
    }
}

impl From<WebhookError> for Failure {
    fn from(error: WebhookError) -> Self {
        Problem::StorageUnavailable(error.to_string()).into()
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        HostError::Vault(error).into()
    }
}

impl From<RotateError> for Failure {
    fn from(error: RotateError) -> Self {
        let happened = error.to_string();
        match error {
            RotateError::UnderWay => Self::new(
                "rotation-under-way",
                happened,
                "Wait until it is over; `twinbox keys list` shows the keys.",
            )
            .exiting(LATER),
            RotateError::Key(_) | RotateError::NotInAFile => Self::configuration(
                happened,
                "Check the file sealing.key in the data folder; what was done stays, and the next `twinbox keys rotate` carries on.",
            ),
            _ => Self::new(
                "storage-unavailable",
                happened,
                "Run `twinbox keys rotate` again: it carries on where it stopped.",
            )
            .exiting(LATER),
        }
    }
}

impl From<PeopleError> for Failure {
    fn from(error: PeopleError) -> Self {
        let happened = error.to_string();
        match error {
            PeopleError::Taken => Self::new(
                "account-taken",
                happened,
                "`twinbox user list` shows the accounts; --user names another user of the tenant.",
            ),
            PeopleError::Unknown => Self::new(
                "account-unknown",
                happened,
                "`twinbox user list` shows the accounts, `twinbox token list` the tokens.",
            ),
            PeopleError::Invalid(_) => Self::new("account-invalid", happened, "Change it and try again."),
            PeopleError::Unavailable(_) => Problem::StorageUnavailable(happened).into(),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let trouble = Trouble::from(error);
        Self::new(trouble.code, trouble.happened, trouble.advice)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::configuration(
            error,
            "Check the path of the component, or build it with `make component`.",
        )
    }
}

impl From<ReleaseError> for Failure {
    fn from(error: ReleaseError) -> Self {
        let happened = error.to_string();
        match error {
            ReleaseError::Load(error) => error.into(),
            ReleaseError::Store(error) => error.into(),
            ReleaseError::Incompatible(_) => Self::new(
                "plugin-incompatible",
                happened,
                "Name it in the configuration and let the users connect again, or use a version that asks for no more.",
            ),
            ReleaseError::NoCandidate => Self::new(
                "no-candidate",
                happened,
                "`twinbox plugin shadow FILE` tries a component; `promote FILE` takes one without a trial.",
            ),
            ReleaseError::NoPrevious => Self::new(
                "no-previous",
                happened,
                "There is something to roll back to after the first `twinbox plugin promote`.",
            ),
            ReleaseError::IsCurrent(_) => Self::new(
                "plugin-current",
                happened,
                "`twinbox plugin status` shows what runs.",
            ),
            _ => Self::new(
                "plugin",
                happened,
                "Check that the file is the component that was meant.",
            ),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let advice = match &error {
            ReadError::Version { .. } => "Replay it with the version of twinbox that recorded it.",
            ReadError::OverLimit(_) => "Record a smaller pass; docs/trace.md has the limits.",
            _ => "Check that the file is a trace that `twinbox record` wrote, and whole.",
        };
        Self::new("trace-unreadable", error, advice).exiting(CONFIGURATION)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(
            "io",
            error,
            "Check that the file or address exists and may be used.",
        )
    }
}

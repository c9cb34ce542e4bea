//! Errors people see: a code, what happened, what to do; and the exit code for scripts.

use std::{fmt::Display, process::ExitCode};

use crate::{
    accounts::ConnectError, contract::Problem, crm::CrmError, host::HostError, problem::describe,
    sandbox::LoadError, store::StoreError, vault::VaultError, web::Trouble,
};

/// Something failed in general.
pub(super) const FAILED: u8 = 1;
/// The configuration is wrong.
pub(super) const CONFIGURATION: u8 = 3;
/// The user has to connect again.
pub(super) const RECONNECT: u8 = 4;
/// Try again later.
pub(super) const LATER: u8 = 5;
/// Messages are missing.
pub(super) const MISSING: u8 = 6;

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

    pub(super) fn print(&self, json: bool) {
        if json {
            let error = serde_json::json!({
                "error": { "code": self.code, "happened": self.happened, "advice": self.advice }
            });
            println!("{error}");
        } else {
            eprintln!("twinbox: {}: {}\n  {}", self.code, self.happened, self.advice);
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
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

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        HostError::Vault(error).into()
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

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(
            "io",
            error,
            "Check that the file or address exists and may be used.",
        )
    }
}

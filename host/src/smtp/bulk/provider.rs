//! An SMTP server that takes bulk mail.

use std::{future::Future, time::Duration};

use async_trait::async_trait;
use lettre::{
    Address,
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Mutex, time::timeout};

use super::{BulkProvider, Letter, NotSent, Refusal};

/// How long the server may take for one step.
const STEP: Duration = Duration::from_mins(2);
/// How long it may take to accept a whole message (RFC 5321, 4.5.3.2.6: ten minutes).
const ACCEPTING: Duration = Duration::from_mins(10);
/// The most characters of an answer that are kept.
const ANSWER: usize = 500;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS after a plain greeting (RFC 3207); without it nothing is sent.
    #[default]
    StartTls,
    /// TLS from the start.
    Tls,
    /// Not at all: for a server on this machine.
    None,
}

/// Where the server is and what it wants.
#[derive(Debug)]
pub struct SmtpSettings {
    /// Its name; its certificate has to be of this name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// User name and password, if it wants any.
    pub credentials: Option<(String, SecretString)>,
    /// A certificate, PEM, to trust beside those of the system.
    pub trusted: Option<Vec<u8>>,
    /// How we call ourselves.
    pub hostname: String,
}

/// Why there is no such provider.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ProviderError(String);

/// The server.
pub struct SmtpProvider {
    settings: SmtpSettings,
    hello: ClientId,
    tls: Option<TlsParameters>,
    /// Kept from letter to letter.
    connection: Mutex<Option<AsyncSmtpConnection>>,
}

impl SmtpProvider {
    /// A provider at this server. Nothing is connected yet.
    pub fn new(settings: SmtpSettings) -> Result<Self, ProviderError> {
        let wrong = |error: Error| ProviderError(error.to_string());
        let tls = match settings.security {
            Security::None => None,
            Security::StartTls | Security::Tls => {
                let mut tls = TlsParameters::builder(settings.host.clone());
                if let Some(trusted) = &settings.trusted {
                    tls = tls.add_root_certificate(Certificate::from_pem(trusted).map_err(wrong)?);
                }
                Some(tls.build_rustls().map_err(wrong)?)
            }
        };
        let hello = ClientId::Domain(settings.hostname.clone());
        Ok(Self {
            settings,
            hello,
            tls,
            connection: Mutex::default(),
        })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, NotSent> {
        let settings = &self.settings;
        let server = (settings.host.as_str(), settings.port);
        let at_once = self.tls.clone().filter(|_| settings.security == Security::Tls);
        let connecting = AsyncSmtpConnection::connect_tokio1(server, Some(STEP), &self.hello, at_once, None);
        let mut connection = step(connecting).await?;
        if let (Security::StartTls, Some(tls)) = (settings.security, &self.tls) {
            step(connection.starttls(tls.clone(), &self.hello)).await?;
        }
        if let Some((user, password)) = &settings.credentials {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            // A wrong password is the operator's to mend: the mail waits.
            step(connection.auth(&mechanisms, &credentials))
                .await
                .map_err(|error| match error {
                    NotSent::Refused(refusal) => NotSent::Later(refusal),
                    other => other,
                })?;
        }
        Ok(connection)
    }

    async fn transact(&self, connection: &mut AsyncSmtpConnection, letter: &Letter) -> Result<(), NotSent> {
        let address = |text: &str| {
            text.parse::<Address>()
                .map_err(|error| NotSent::Refused(in_words(&error.to_string())))
        };
        let (sender, recipient) = (address(&letter.sender)?, address(&letter.recipient)?);
        let server = connection.server_info();
        let mut parameters = Vec::new();
        if !letter.recipient.is_ascii() || !letter.sender.is_ascii() {
            if !server.supports_feature(Extension::SmtpUtfEight) {
                let text = "the provider takes no addresses with other letters than ASCII";
                return Err(NotSent::Refused(in_words(text)));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !letter.raw.is_ascii() && server.supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        step(connection.command(Mail::new(Some(sender), parameters))).await?;
        step(connection.command(Rcpt::new(recipient, Vec::new()))).await?;
        step(connection.command(Data)).await?;
        match timeout(ACCEPTING, connection.message(&letter.raw)).await {
            Ok(Ok(_)) => Ok(()),
            // An answer is an answer; everything else leaves open whether the server has the message.
            Ok(Err(error)) if error.status().is_some() => Err(refusal(&error)),
            Ok(Err(error)) => Err(NotSent::Unclear(in_words(&chain(&error)).text)),
            Err(_) => Err(NotSent::Unclear("the provider did not answer in time".to_owned())),
        }
    }
}

#[async_trait]
impl BulkProvider for SmtpProvider {
    async fn send(&self, letter: &Letter) -> Result<(), NotSent> {
        let mut kept = self.connection.lock().await;
        // Out of its place while it is used: whoever gives this up half-way leaves no half-used connection.
        let mut usable = kept.take();
        if let Some(connection) = &mut usable
            && timeout(STEP, connection.test_connected()).await != Ok(true)
        {
            usable = None;
        }
        let mut connection = match usable {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let sent = self.transact(&mut connection, letter).await;
        match sent {
            Ok(()) => *kept = Some(connection),
            // The next letter begins anew.
            Err(_) => drop(timeout(Duration::from_secs(5), connection.abort()).await),
        }
        sent
    }
}

impl std::fmt::Debug for SmtpProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpProvider")
            .field("host", &self.settings.host)
            .field("port", &self.settings.port)
            .finish_non_exhaustive()
    }
}

/// A step before the message: whatever fails here, nothing was sent.
async fn step<T>(step: impl Future<Output = Result<T, Error>>) -> Result<T, NotSent> {
    match timeout(STEP, step).await {
        Ok(result) => result.map_err(|error| refusal(&error)),
        Err(_) => Err(NotSent::Later(in_words("the provider did not answer in time"))),
    }
}

fn refusal(error: &Error) -> NotSent {
    let refusal = Refusal {
        status: error.status().map(|code| code.to_string()).unwrap_or_default(),
        ..in_words(&chain(error))
    };
    if error.is_permanent() {
        NotSent::Refused(refusal)
    } else {
        NotSent::Later(refusal)
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn in_words(text: &str) -> Refusal {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    Refusal {
        status: String::new(),
        text: visible.take(ANSWER).collect(),
    }
}

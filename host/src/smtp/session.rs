//! One connection of another server: its commands, in order, and what they are answered.
//!
//! A mail is acknowledged when the spool has it. Nobody learns which addresses there are but by writing to
//! them, and nothing that is not for one of them is taken.

use std::{net::IpAddr, sync::Arc, time::Duration};

use smtp_proto::{Error as Syntax, Request};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{
    listener::Shared,
    reader::{Malformed, ReadError, Reader},
};
use crate::{scope::ConnectionId, store::StoreError};

/// Failures of one session, after which it is ended.
const MOST_FAILURES: u32 = 10;

/// Whether commands can be overheard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Privacy {
    Plain,
    Tls,
}

/// What comes after a session.
pub(super) enum After<S> {
    /// Nothing.
    Closed,
    /// TLS, and a session in it.
    Tls(S),
}

/// Serves a connection until it ends.
pub(super) async fn serve<S>(shared: Arc<Shared>, stream: S, peer: IpAddr, privacy: Privacy) -> After<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut session = Session {
        reader: Reader::new(stream),
        shared,
        peer,
        privacy,
        hello: None,
        mail: None,
        failures: 0,
        commands: 0,
    };
    let ended = session.run().await;
    match ended {
        Ok(Next::Tls) => match session.reader.into_stream() {
            Some(stream) => After::Tls(stream),
            // Commands that somebody put in front of the encrypted ones (CVE-2011-0411).
            None => After::Closed,
        },
        Ok(Next::Go | Next::Close) => After::Closed,
        Err(error) => {
            session.farewell(&error).await;
            tracing::debug!(%peer, %error, "an SMTP session has ended");
            After::Closed
        }
    }
}

struct Session<S> {
    reader: Reader<S>,
    shared: Arc<Shared>,
    peer: IpAddr,
    privacy: Privacy,
    /// How the other side calls itself.
    hello: Option<Hello>,
    mail: Option<Mail>,
    failures: u32,
    commands: u32,
}

struct Hello {
    name: String,
    is_extended: bool,
}

/// A mail whose recipients are being told.
#[derive(Default)]
struct Mail {
    recipients: Vec<(ConnectionId, String)>,
}

enum Next {
    Go,
    Close,
    Tls,
}

/// Why a session ends that the other side did not end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("no command in time")]
    Idle,
    #[error("too many failures or commands")]
    TooMuch,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    async fn run(&mut self) -> Result<Next, Broken> {
        if self.privacy == Privacy::Plain {
            let greeting = format!("220 {} ESMTP", self.shared.hostname);
            self.reply(&greeting).await?;
        }
        loop {
            let limits = &self.shared.limits;
            self.commands += 1;
            if self.failures >= MOST_FAILURES || self.commands > limits.commands {
                return Err(Broken::TooMuch);
            }
            let line = timeout(limits.idle, self.reader.command()).await;
            let line = line.map_err(|_| Broken::Idle)??;
            match Request::parse(&mut line.iter()) {
                Ok(request) => match self.answer(&request).await? {
                    Next::Go => {}
                    end => return Ok(end),
                },
                Err(error) => self.refuse(wrong(&error)).await?,
            }
        }
    }

    async fn answer<T: AsRef<str> + std::fmt::Display>(
        &mut self,
        request: &Request<T>,
    ) -> Result<Next, Broken> {
        match request {
            Request::Ehlo { host } => self.hello(host.as_ref(), true).await?,
            Request::Helo { host } => self.hello(host.as_ref(), false).await?,
            Request::Mail { from } => self.begin(from.size as u64).await?,
            Request::Rcpt { to } => self.recipient(to.address.as_ref()).await?,
            Request::Data => return self.data().await,
            Request::Rset => {
                self.mail = None;
                self.reply("250 2.0.0 OK").await?;
            }
            Request::Noop { .. } => self.reply("250 2.0.0 OK").await?,
            Request::Vrfy { .. } => self.reply("252 2.0.0 Send mail and see").await?,
            Request::Help { .. } => self.reply("214 2.0.0 RFC 5321").await?,
            Request::StartTls => return self.start_tls().await,
            Request::Quit => {
                self.reply("221 2.0.0 Bye").await?;
                return Ok(Next::Close);
            }
            _ => self.refuse("502 5.5.1 Command not implemented").await?,
        }
        Ok(Next::Go)
    }

    async fn hello(&mut self, name: &str, is_extended: bool) -> std::io::Result<()> {
        self.mail = None;
        // It goes into a header field: nothing but what a name or an address literal is made of.
        let name = name.chars().take(255);
        let name = name.filter(|c| c.is_ascii_alphanumeric() || ".-:[]_".contains(*c));
        self.hello = Some(Hello {
            name: name.collect(),
            is_extended,
        });
        let hostname = self.shared.hostname.clone();
        if !is_extended {
            return self.reply(&format!("250 {hostname}")).await;
        }
        let size = format!("SIZE {}", self.shared.limits.message);
        let mut lines = vec![hostname.as_str(), "PIPELINING", &size, "8BITMIME", "SMTPUTF8"];
        if self.shared.tls.is_some() && self.privacy == Privacy::Plain {
            lines.push("STARTTLS");
        }
        lines.push("ENHANCEDSTATUSCODES");
        let last = lines.len() - 1;
        let reply: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(number, line)| format!("250{}{line}", if number == last { ' ' } else { '-' }))
            .collect();
        self.reply(&reply.join("\r\n")).await
    }

    async fn begin(&mut self, announced: u64) -> std::io::Result<()> {
        if self.hello.is_none() {
            return self.refuse("503 5.5.1 EHLO first").await;
        }
        if self.mail.is_some() {
            return self.refuse("503 5.5.1 One mail at a time").await;
        }
        if announced > self.shared.limits.message {
            return self.refuse(TOO_LARGE).await;
        }
        self.mail = Some(Mail::default());
        self.reply("250 2.1.0 OK").await
    }

    async fn recipient(&mut self, address: &str) -> std::io::Result<()> {
        let Some(mail) = &self.mail else {
            return self.refuse("503 5.5.1 MAIL first").await;
        };
        if mail.recipients.len() >= self.shared.limits.recipients {
            return self.refuse("452 4.5.3 Too many recipients").await;
        }
        let address = address.trim_end_matches('.').to_ascii_lowercase();
        let connection = match self.shared.admit(&address).await {
            Ok(connection) => connection,
            Err(refusal) => return self.refuse(refusal.reply()).await,
        };
        if let Some(mail) = &mut self.mail {
            mail.recipients.push((connection, address));
        }
        self.reply("250 2.1.5 OK").await
    }

    async fn data(&mut self) -> Result<Next, Broken> {
        let recipients = match self.mail.take() {
            Some(mail) if !mail.recipients.is_empty() => mail.recipients,
            _ => {
                self.refuse("503 5.5.1 RCPT first").await?;
                return Ok(Next::Go);
            }
        };
        self.reply("354 End with a dot alone on its line").await?;
        let shared = self.shared.clone();
        let now = shared.clock.now();
        let mut mail = shared.spool.receive(now);
        let mut written = mail.write(self.trace(now).as_bytes()).await;
        let mut size = 0;
        while let Some(lines) = timeout(shared.limits.idle, self.reader.data())
            .await
            .map_err(|_| Broken::Idle)??
        {
            size += lines.len() as u64;
            // What is too much is read to its end and kept by nobody.
            if size <= shared.limits.message && written.is_ok() {
                written = mail.write(&lines).await;
            }
        }
        if size > shared.limits.message {
            self.refuse(TOO_LARGE).await?;
            return Ok(Next::Go);
        }
        let size = mail.size();
        let taken = match written {
            Ok(()) => mail.finish(recipients, now).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(()) => {
                tracing::info!(peer = %self.peer, size, "a mail came to a BCC address");
                self.reply("250 2.0.0 OK").await?;
            }
            Err(error) => {
                tracing::warn!(%error, "a mail cannot be written down; it has to come again");
                self.refuse("451 4.3.0 Try again later").await?;
            }
        }
        Ok(Next::Go)
    }

    /// Where it came from (RFC 5321, 4.4).
    fn trace(&self, now: u64) -> String {
        let name = self.hello.as_ref().map_or("", |hello| hello.name.as_str());
        let with = match (
            self.hello.as_ref().is_some_and(|hello| hello.is_extended),
            self.privacy,
        ) {
            (true, Privacy::Tls) => "ESMTPS",
            (true, Privacy::Plain) => "ESMTP",
            (false, _) => "SMTP",
        };
        let at = OffsetDateTime::from_unix_timestamp(i64::try_from(now / 1_000).unwrap_or_default());
        let date = at
            .ok()
            .and_then(|at| at.format(&Rfc2822).ok())
            .unwrap_or_default();
        let (peer, hostname) = (self.peer, &self.shared.hostname);
        format!("Received: from {name} ([{peer}])\r\n\tby {hostname} with {with};\r\n\t{date}\r\n")
    }

    async fn start_tls(&mut self) -> Result<Next, Broken> {
        if self.shared.tls.is_none() || self.privacy == Privacy::Tls {
            self.refuse("502 5.5.1 Not offered").await?;
            return Ok(Next::Go);
        }
        self.reply("220 2.0.0 Go ahead").await?;
        Ok(Next::Tls)
    }

    async fn refuse(&mut self, reply: &str) -> std::io::Result<()> {
        self.failures += 1;
        self.reply(reply).await
    }

    async fn reply(&mut self, reply: &str) -> std::io::Result<()> {
        let line = format!("{reply}\r\n");
        let writing = async {
            let stream = self.reader.stream();
            stream.write_all(line.as_bytes()).await?;
            stream.flush().await
        };
        timeout(WRITING, writing)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }

    async fn farewell(&mut self, broken: &Broken) {
        let reply = match broken {
            Broken::Read(ReadError::Malformed(Malformed::BareLineEnd)) => "550 5.5.2 Lines end with CR LF",
            Broken::Read(ReadError::Malformed(Malformed::LineTooLong)) => "500 5.5.2 Line too long",
            Broken::Idle => "421 4.4.2 Timeout",
            Broken::TooMuch => "421 4.7.0 Too many errors",
            Broken::Read(_) | Broken::Io(_) => return,
        };
        // It may be gone already.
        let _ = self.reply(reply).await;
    }
}

/// How long the other side may take to read an answer.
const WRITING: Duration = Duration::from_mins(1);
const TOO_LARGE: &str = "552 5.3.4 The message is too large";

/// Why there is no mail for an address.
#[derive(Debug)]
pub(super) enum Refused {
    Unknown,
    TooOften,
    Full,
    Store(StoreError),
}

impl Refused {
    fn reply(&self) -> &'static str {
        match self {
            Self::Unknown => "550 5.1.1 No such address",
            Self::TooOften => "450 4.7.1 Too much mail for this address; try again later",
            Self::Full => "452 4.2.2 Too much mail waits for this address; try again later",
            Self::Store(error) => {
                tracing::warn!(%error, "whose a BCC address is cannot be read");
                "451 4.3.0 Try again later"
            }
        }
    }
}

fn wrong(error: &Syntax) -> &'static str {
    match error {
        Syntax::UnknownCommand => "500 5.5.1 Command unknown",
        Syntax::InvalidSenderAddress => "501 5.1.7 Bad sender address",
        Syntax::InvalidRecipientAddress => "501 5.1.3 Bad recipient address",
        Syntax::UnsupportedParameter { .. } => "555 5.5.4 Parameter not supported",
        _ => "501 5.5.4 Syntax error",
    }
}

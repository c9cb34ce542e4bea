//! Mail that other servers bring: the listener of a world, and a client that says what it is told to.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use twinbox_host::smtp::{Listener, ListenerLimits, Listening, Spool, Spooled, TlsFiles};

use crate::World;

/// What comes after the `@` of BCC addresses.
pub const BCC_DOMAIN: &str = "log.twinbox.example";

/// An SMTP server for a world's BCC addresses.
pub struct Post {
    listening: Listening,
}

impl Post {
    /// A server within these limits.
    pub async fn of(world: &World, limits: ListenerLimits, tls: Option<TlsFiles>) -> Self {
        let parts = world.host().parts();
        let addresses = parts.bcc_addresses.clone().expect("a world with BCC addresses");
        let mut listener = Listener::new(
            "mx.twinbox.example".to_owned(),
            addresses,
            world.spool(),
            parts.registry.clone(),
            parts.clock.clone(),
        )
        .limited(limits);
        if let Some(tls) = tls {
            listener = listener.with_tls(tls);
        }
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listening: listener.start(any).await.expect("a free port"),
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// Somebody who speaks to it, and has said hello.
    pub async fn client(&self) -> SmtpClient {
        let stream = TcpStream::connect(self.address()).await.expect("a connection");
        let mut client = SmtpClient {
            stream: BufReader::new(stream),
        };
        client.answer().await;
        client.say("EHLO mail.example").await;
        client
    }

    /// Brings one mail; what that was answered in the end.
    pub async fn bring(&self, recipient: &str, raw: &[u8]) -> String {
        self.client().await.bring(recipient, raw).await
    }
}

/// A client that says what it is told to.
pub struct SmtpClient {
    stream: BufReader<TcpStream>,
}

impl SmtpClient {
    /// Says a line; the last line of the answer, empty when the connection is over.
    pub async fn say(&mut self, line: &str) -> String {
        self.write(format!("{line}\r\n").as_bytes()).await;
        self.answer().await
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) {
        // The other side may have gone: the answer says so.
        let _ = self.stream.write_all(bytes).await;
    }

    /// The last line of an answer.
    pub async fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            match self.stream.read_line(&mut line).await {
                Ok(0) | Err(_) => return String::new(),
                Ok(_) if line.as_bytes().get(3) == Some(&b'-') => {}
                Ok(_) => return line.trim_end().to_owned(),
            }
        }
    }

    /// Brings one mail; the answer that settles it.
    pub async fn bring(&mut self, recipient: &str, raw: &[u8]) -> String {
        for line in [
            "MAIL FROM:<mia@acme.example>".to_owned(),
            format!("RCPT TO:<{recipient}>"),
        ] {
            let answer = self.say(&line).await;
            if !answer.starts_with("250") {
                self.say("RSET").await;
                return answer;
            }
        }
        let go = self.say("DATA").await;
        assert!(go.starts_with("354"), "{go}");
        self.write(&stuffed(raw)).await;
        self.write(b".\r\n").await;
        self.answer().await
    }
}

fn stuffed(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len() + 2);
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            text.push(b'.');
        }
        text.extend_from_slice(line);
    }
    if !text.ends_with(b"\r\n") {
        text.extend_from_slice(b"\r\n");
    }
    text
}

impl World {
    /// A server for BCC addresses.
    pub async fn post(&self) -> Post {
        Post::of(self, ListenerLimits::default(), None).await
    }

    /// The connection's BCC address.
    pub async fn bcc_address(&self) -> String {
        let addresses = self.host().parts().bcc_addresses.clone();
        let addresses = addresses.expect("a world with BCC addresses");
        addresses.of(self.connection_id()).await.expect("an address")
    }

    /// Mail that came to BCC addresses and was not handed over yet.
    pub fn spool(&self) -> Spool {
        Spool::new(self.platform.database.clone()).expect("a spool")
    }

    /// What waits or was kept for the connection.
    pub async fn spooled(&self) -> Vec<Spooled> {
        self.spool().of(self.connection_id()).await.expect("a spool")
    }

    /// Hands over what came; how many mails that settled.
    pub async fn takes_in(&self) -> usize {
        self.spool().hand_over(self.host()).await.expect("a spool")
    }

    /// What left the simulator for an address elsewhere, as its server gets it.
    pub fn left_for(&self, address: &str) -> Vec<Vec<u8>> {
        let outside = self.sim().outside();
        let left = outside.iter().filter(|mail| mail.recipient == address);
        left.map(|mail| mail.raw.to_vec()).collect()
    }
}

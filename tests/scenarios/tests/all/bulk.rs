//! S22: bulk and workflow mail goes to the provider, never through Gmail, once as far as SMTP lets anybody know.

use std::{
    collections::VecDeque,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use scenarios::{ANN, File, ME, Setup, World};
use twinbox_host::{
    contract::{Mailbox, OutboundKind, Problem, UndeliveredKind},
    crm::Delivery,
    scope::TenantId,
    smtp::bulk::{
        Bulk, BulkProvider, Letter, NoProvider, NotSent, Refusal, Security, SmtpProvider, SmtpSettings,
        Tenants,
    },
};

/// A provider that answers as it is told, and keeps what it was given.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Result<(), NotSent>>>,
    letters: Mutex<Vec<Letter>>,
}

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = Result<(), NotSent>>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            letters: Mutex::default(),
        })
    }

    fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap().clone()
    }
}

#[async_trait]
impl BulkProvider for Scripted {
    async fn send(&self, letter: &Letter) -> Result<(), NotSent> {
        self.letters.lock().unwrap().push(letter.clone());
        self.answers.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }
}

fn bulk(world: &World, provider: Arc<dyn BulkProvider>) -> Bulk {
    let parts = world.host().parts();
    Bulk {
        tenants: Tenants::AllBut(Vec::new()),
        queue: Arc::new(world.crm()),
        provider,
        registry: parts.registry.clone(),
        clock: parts.clock.clone(),
        sender: Mailbox {
            name: Some("Acme News".to_owned()),
            address: "news@acme.example".to_owned(),
        },
    }
}

async fn send_all(bulk: &Bulk) {
    while bulk.send_next().await.unwrap() {}
}

fn refusal(status: &str) -> Refusal {
    Refusal {
        status: status.to_owned(),
        text: "said the server".to_owned(),
    }
}

#[tokio::test]
async fn s22_bulk_and_workflow_mail_never_goes_through_gmail_and_does_not_count() {
    let world = Setup::default()
        .settings(r#"{"daily-limit": 1}"#)
        .connected()
        .await;
    let provider = Scripted::answering([]);
    let bulk = bulk(&world, provider.clone());
    let mut ids = Vec::new();
    for kind in [OutboundKind::Bulk, OutboundKind::Workflow, OutboundKind::Bulk] {
        ids.push(
            world
                .letter(ANN)
                .await
                .kind(kind)
                .cc("bob@b.example")
                .bcc("cy@c.example")
                .queued()
                .await,
        );
    }
    world.settle().await;
    assert_eq!(world.gmail().sent().len(), 0);
    assert!(provider.letters().is_empty());
    send_all(&bulk).await;
    assert_eq!(provider.letters().len(), 9, "a copy for each recipient");
    for id in &ids {
        assert_eq!(world.delivery(id).await, Delivery::Sent);
    }
    // The day's one message is still to be had.
    let own = world.letter(ANN).await.queued().await;
    world.settle().await;
    assert_eq!(world.delivery(&own).await, Delivery::Sent);
    assert_eq!(world.gmail().sent().len(), 1);
    assert_eq!(world.conversation("Ann").await.len(), 4);
    assert!(
        provider
            .letters()
            .iter()
            .all(|letter| letter.sender == "news@acme.example")
    );
}

#[tokio::test]
async fn s22_recipients_of_bulk_mail_do_not_see_each_other_and_answer_the_user() {
    let world = World::connected().await;
    let provider = Scripted::answering([]);
    world
        .letter(ANN)
        .await
        .kind(OutboundKind::Bulk)
        .cc("bob@b.example")
        .subject("Grüße")
        .queued()
        .await;
    world
        .letter(ANN)
        .await
        .kind(OutboundKind::Workflow)
        .cc("bob@b.example")
        .bcc("cy@c.example")
        .queued()
        .await;
    send_all(&bulk(&world, provider.clone())).await;
    let letters = provider.letters();
    let text = |letter: &Letter| String::from_utf8_lossy(&letter.raw).into_owned();
    let (to_ann, to_bob) = (text(&letters[0]), text(&letters[1]));
    assert!(
        to_ann.contains(&format!("To: {ANN}")) && !to_ann.contains("bob@"),
        "{to_ann}"
    );
    assert!(
        to_bob.contains("To: bob@b.example") && !to_bob.contains(ANN),
        "{to_bob}"
    );
    assert!(to_ann.contains(&format!("Reply-To: {ME}")) && to_ann.contains("Precedence: bulk"));
    let flow = text(&letters[2]);
    assert!(
        flow.contains("Cc: bob@b.example") && !flow.contains("cy@"),
        "{flow}"
    );
    assert!(flow.contains("Auto-Submitted: auto-generated"));
    assert_eq!(letters[4].recipient, "cy@c.example");
}

#[tokio::test]
async fn s22_a_tenant_that_has_a_provider_of_its_own_uses_that_alone() {
    let world = World::connected().await;
    let acme = world.sharing("acme").await;
    for world in [&world, &acme] {
        world.letter(ANN).await.kind(OutboundKind::Bulk).queued().await;
    }
    let (own, everybodys) = (Scripted::answering([]), Scripted::answering([]));
    let tenant = TenantId::new("acme");
    let acmes = Bulk {
        tenants: Tenants::Only(tenant.clone()),
        sender: Mailbox {
            name: None,
            address: "post@acme.example".to_owned(),
        },
        ..bulk(&world, own.clone())
    };
    let others = Bulk {
        tenants: Tenants::AllBut(vec![tenant]),
        ..bulk(&world, everybodys.clone())
    };
    send_all(&others).await;
    assert_eq!((everybodys.letters().len(), own.letters().len()), (1, 0));
    send_all(&acmes).await;
    assert_eq!((everybodys.letters().len(), own.letters().len()), (1, 1));
    assert_eq!(own.letters()[0].sender, "post@acme.example");
    assert_eq!(everybodys.letters()[0].sender, "news@acme.example");
}

#[tokio::test]
async fn s22_each_recipient_has_a_result_of_its_own() {
    let world = World::connected().await;
    let provider = Scripted::answering([
        Ok(()),
        Err(NotSent::Refused(refusal("550"))),
        Err(NotSent::Later(refusal("451"))),
    ]);
    let bulk = bulk(&world, provider.clone());
    let letter = world.letter(ANN).await.kind(OutboundKind::Bulk);
    let id = letter.cc("bob@b.example").cc("cy@c.example").queued().await;
    send_all(&bulk).await;
    assert!(matches!(world.delivery(&id).await, Delivery::Deferred(_)));
    world.tick(61_000);
    send_all(&bulk).await;
    assert_eq!(world.delivery(&id).await, Delivery::Sent);
    let sent: Vec<String> = provider
        .letters()
        .into_iter()
        .map(|letter| letter.recipient)
        .collect();
    assert_eq!(sent, [ANN, "bob@b.example", "cy@c.example", "cy@c.example"]);
    let failed = world.message(&id).await.undelivered;
    assert_eq!(failed.len(), 1);
    assert_eq!(
        (failed[0].recipient.as_str(), failed[0].kind),
        ("bob@b.example", UndeliveredKind::Failed)
    );
    assert_eq!(failed[0].status, "550");
}

#[tokio::test]
async fn s22_what_is_unclear_is_unconfirmed_and_never_sent_again() {
    let world = World::connected().await;
    let provider = Scripted::answering([Err(NotSent::Unclear("the line broke".to_owned()))]);
    let sender = bulk(&world, provider.clone());
    let unclear = world.letter(ANN).await.kind(OutboundKind::Bulk).queued().await;
    send_all(&sender).await;
    assert!(matches!(world.delivery(&unclear).await, Delivery::Unconfirmed(_)));

    // A process that dies while it sends: whoever comes after it does not know either.
    let died = world.letter(ANN).await.kind(OutboundKind::Bulk).queued().await;
    let begun = sender.queue.begin(&sender.tenants, world.now()).await.unwrap();
    assert_eq!(begun.map(|dispatch| dispatch.outbound.id), Some(died.clone()));
    for _ in 0..3 {
        send_all(&sender).await;
        world.tick(3_600_000);
    }
    send_all(&sender).await;
    assert!(matches!(world.delivery(&died).await, Delivery::Unconfirmed(_)));
    assert_eq!(provider.letters().len(), 1);
}

#[tokio::test]
async fn s22_nothing_that_was_written_becomes_a_header_or_a_command() {
    let world = World::connected().await;
    let provider = Scripted::answering([]);
    let sender = bulk(&world, provider.clone());
    let evil = "x\r\nBcc: evil@x.example\r\n\r\nbody";
    let letter = world.letter(ANN).await.kind(OutboundKind::Bulk).subject(evil);
    letter
        .carrying(File::attached(evil, "text/plain", b"x".to_vec()))
        .queued()
        .await;
    let mut failed = Vec::new();
    for address in [
        "ann@a.example>\r\nRCPT TO:<evil@x.example",
        "a b@c.example",
        "@",
        "",
    ] {
        failed.push(
            world
                .letter(ANN)
                .await
                .kind(OutboundKind::Bulk)
                .to_only(address)
                .queued()
                .await,
        );
    }
    let other = world
        .letter(ANN)
        .await
        .kind(OutboundKind::Bulk)
        .from("ceo@bank.example")
        .queued()
        .await;
    send_all(&sender).await;
    let letters = provider.letters();
    assert_eq!(letters.len(), 1, "what has no address is not sent");
    let raw = String::from_utf8_lossy(&letters[0].raw).into_owned();
    assert!(
        !raw.lines()
            .any(|line| line.to_ascii_lowercase().starts_with("bcc:")),
        "{raw}"
    );
    for id in failed.iter().chain([&other]) {
        assert!(world.failure(id).await.is_some());
    }
}

#[tokio::test]
async fn s22_without_a_provider_it_fails_and_says_why() {
    let world = World::connected().await;
    let id = world
        .letter(ANN)
        .await
        .kind(OutboundKind::Workflow)
        .queued()
        .await;
    send_all(&bulk(&world, Arc::new(NoProvider))).await;
    match world.failure(&id).await {
        Some(Problem::MessageRefused(why)) => assert!(why.contains("no provider"), "{why}"),
        other => panic!("{other:?}"),
    }
    let page = world.conversation("Ann").await;
    assert_eq!(page.len(), 1);
}

/// Debian's exim, for one folder; it ends when this is dropped.
struct Exim {
    child: Child,
    port: u16,
    spool: tempfile::TempDir,
}

impl Exim {
    /// Delivers to files of the folder what an authenticated client brings over TLS; refuses one recipient.
    async fn start() -> Option<Self> {
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp/setup.sh");
        let ready = Command::new("bash")
            .arg(setup)
            .output()
            .is_ok_and(|done| done.status.success());
        if !ready {
            println!("SKIPPED: bulk mail to a real SMTP server: exim4 cannot be installed here");
            return None;
        }
        let spool = tempfile::tempdir().unwrap();
        let folder = spool.path().display().to_string();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(spool.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(spool.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let configuration = format!(
            "primary_hostname = localhost
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = {folder}/cert.pem
tls_privatekey = {folder}/key.pem
acl_smtp_rcpt = rcpt
acl_smtp_data = data
queue_only = false
keep_environment =
deliver_drop_privilege = true
begin acl
rcpt:
  deny message = no such recipient
       local_parts = gone
  accept authenticated = *
         encrypted = *
  deny message = authenticate first
data:
  accept
begin routers
all:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = {folder}/mail/all
  create_directory = false
  delivery_date_add
  envelope_to_add
begin retry
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and{{{{eq{{$auth2}}{{acme}}}}{{eq{{$auth3}}{{secret}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
"
        );
        std::fs::write(spool.path().join("exim.conf"), configuration).unwrap();
        for inner in ["mail", "log", "spool"] {
            std::fs::create_dir(spool.path().join(inner)).unwrap();
        }
        let mut open = Command::new("bash");
        open.arg("-c").arg(format!(
            "chmod 755 {folder} && chown -R Debian-exim {folder} && chmod 777 {folder}/mail && chown root {folder}/exim.conf"
        ));
        if !open.status().is_ok_and(|status| status.success()) {
            println!("SKIPPED: bulk mail to a real SMTP server: it can only be started as root");
            return None;
        }
        let child = Command::new("/usr/sbin/exim4")
            .args(["-bdf", "-C"])
            .arg(spool.path().join("exim.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let exim = Self { child, port, spool };
        for _ in 0..100 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some(exim);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = std::fs::read_to_string(exim.spool.path().join("log/mainlog"));
        panic!("exim does not listen: {log:?}");
    }

    async fn first_mail(&self) -> String {
        let file = self.spool.path().join("mail/all");
        for _ in 0..100 {
            if let Ok(text) = std::fs::read_to_string(&file) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = std::fs::read_to_string(self.spool.path().join("log/mainlog"));
        panic!("nothing came: {log:?}");
    }

    fn provider(&self, password: &str, security: Security) -> Arc<SmtpProvider> {
        let settings = SmtpSettings {
            host: "localhost".to_owned(),
            port: self.port,
            security,
            credentials: Some(("acme".to_owned(), password.to_owned().into())),
            trusted: Some(std::fs::read(self.spool.path().join("cert.pem")).unwrap()),
            hostname: "crm.acme.example".to_owned(),
        };
        Arc::new(SmtpProvider::new(settings).unwrap())
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_a_real_smtp_server_takes_bulk_mail() {
    let Some(exim) = Exim::start().await else { return };
    let world = World::connected().await;
    let sender = bulk(&world, exim.provider("secret", Security::StartTls));
    let letter = world.letter(ANN).await.kind(OutboundKind::Bulk).subject("Grüße");
    let letter = letter
        .cc("gone@b.example")
        .text("Guten Tag,\r\n.\r\n..\r\nTschüß");
    let id = letter
        .carrying(File::attached("a.bin", "image/png", vec![1, 2, 3]))
        .queued()
        .await;
    send_all(&sender).await;
    assert_eq!(
        world.delivery(&id).await,
        Delivery::Sent,
        "{:?}",
        world.message(&id).await.undelivered
    );
    let failed = world.message(&id).await.undelivered;
    assert_eq!(failed.len(), 1);
    assert_eq!(
        (failed[0].recipient.as_str(), failed[0].status.as_str()),
        ("gone@b.example", "550")
    );
    assert!(failed[0].diagnostic.contains("no such recipient"), "{failed:?}");
    let mail = exim.first_mail().await;
    assert!(
        mail.contains("Envelope-to: ann@client.example") && mail.contains("with esmtpsa"),
        "{mail}"
    );
    assert!(mail.contains("=?utf-8?b?") && mail.contains("a.bin"), "{mail}");

    // A wrong password is the operator's to mend: the mail waits for it.
    let waiting = world.letter(ANN).await.kind(OutboundKind::Bulk).queued().await;
    send_all(&bulk(&world, exim.provider("wrong", Security::StartTls))).await;
    assert!(matches!(world.delivery(&waiting).await, Delivery::Deferred(_)));
}

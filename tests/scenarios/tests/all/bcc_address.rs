//! S18: mail with the BCC address in Bcc is logged once, whichever way it comes.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use gmail_sim::Verification;
use scenarios::{ANN, BCC_DOMAIN, CrmFault, File, ME, Mail, Moment, Post, Setup, World, bytes_of, replaced};
use twinbox_host::{
    contract::{AuditMode, Flags, Subject},
    crm::CrmError,
    smtp::{IntakeSchedule, ListenerLimits, TlsFiles},
};

async fn world() -> World {
    Setup::default().with_bcc_addresses().connected().await
}

/// A mail to Ann that the user sends with the address in Bcc.
async fn to_ann(world: &World) -> Mail<'_> {
    let bcc = world.bcc_address().await;
    world.mail().from_me().to(&format!("Ann <{ANN}>")).bcc(&bcc)
}

/// What Gmail delivered to the BCC address last.
async fn copy(world: &World) -> Vec<u8> {
    let copies = world.left_for(&world.bcc_address().await);
    copies.last().expect("a copy").clone()
}

async fn bring(world: &World, post: &Post, raw: &[u8]) {
    let answer = post.bring(&world.bcc_address().await, raw).await;
    assert!(answer.starts_with("250"), "{answer}");
}

#[tokio::test]
async fn t02_mail_that_came_to_the_address_alone_is_explained_by_its_message_id() {
    let world = world().await;
    let post = world.post().await;
    let mail = to_ann(&world).await.header("Message-ID", "<alone@example.com>");
    bring(&world, &post, &mail.raw()).await;
    assert_eq!(world.takes_in().await, 1);
    let subject = Subject::MessageId("<alone@example.com>".into());
    let found = world.explain_all(subject).await;
    let [explanation] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(explanation.rule, "S18");
}

#[tokio::test]
async fn s18_what_waits_for_one_connection_is_in_nobody_elses_way() {
    let busy = world().await;
    let quiet = busy.sharing("quiet").await;
    let post = busy.post().await;
    let raw = to_ann(&busy).await.raw();
    for _ in 0..3 {
        bring(&busy, &post, &raw).await;
    }
    bring(&quiet, &post, &to_ann(&quiet).await.raw()).await;
    let id = busy.connection_row().await.scope.connection;
    let (store, now) = (busy.host().parts().store.clone(), busy.now());
    store.acquire(&id, now, now + 600_000).await.unwrap().unwrap();
    let _intake = IntakeSchedule::start(busy.host().clone(), busy.spool());
    let mut looks = 0;
    while quiet.conversation(ANN).await.is_empty() {
        looks += 1;
        assert!(looks < 600, "the other's mail does not come in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(busy.conversation(ANN).await.is_empty());
}

#[tokio::test]
async fn s18_mail_is_logged_once_whichever_way_it_comes() {
    for ways in ["m", "s", "ms", "sm", "sms", "mssm", "ssm"] {
        let world = world().await;
        let post = world.post().await;
        to_ann(&world)
            .await
            .cc("boss@acme.example")
            .is_sent_from_gmail()
            .await;
        let copy = copy(&world).await;
        for way in ways.chars() {
            if way == 'm' {
                world.sync().await;
            } else {
                bring(&world, &post, &copy).await;
                assert_eq!(world.takes_in().await, 1);
            }
        }
        let stored = world.only_message("Ann").await;
        let shown = &stored.message;
        assert!(["S11", "S18"].contains(&shown.rule.as_str()), "{ways}");
        assert_eq!(shown.to.len() + shown.cc.len(), 2, "{ways}");
        assert_eq!(shown.bcc, [], "{ways}: nobody is shown the address");
        assert_eq!(world.contacts().await, 1, "{ways}: the address is no contact");
        assert_eq!(world.spooled().await, [], "{ways}");
        world.sync().await;
        world.assert_all_accounted_for().await;
        assert_eq!(world.subjects("Ann").await.len(), 1, "{ways}");
    }
}

#[tokio::test]
async fn s18_mail_is_logged_once_where_a_colleague_has_the_mailbox_too_whoever_is_first() {
    for ways in ["tsm", "tms", "mts", "stm", "smt", "mst", "ssttmm"] {
        let world = world().await;
        let mut colleague = world.colleague("tom").await;
        colleague.connect().await.unwrap();
        let post = world.post().await;
        let mail = to_ann(&world)
            .await
            .carrying(File::attached("a.bin", "application/x-a", bytes_of(500)));
        let sent = mail.is_sent_from_gmail().await;
        let copy = copy(&world).await;
        for way in ways.chars() {
            match way {
                'm' => drop(world.sync().await),
                't' => drop(colleague.sync().await),
                _ => {
                    bring(&world, &post, &copy).await;
                    assert_eq!(world.takes_in().await, 1);
                }
            }
        }
        let stored = world.only_message("Ann").await;
        let [attachment] = stored.message.attachments.as_slice() else {
            panic!("{ways}: {stored:?}");
        };
        assert_eq!(
            world.attachment(&stored, &attachment.part).await,
            bytes_of(500),
            "{ways}"
        );
        for user in [&world, &colleague] {
            user.assert_all_accounted_for().await;
        }
        // What becomes of it in Gmail shows, by whichever of the two.
        world.gmail().label(&sent, &["STARRED"], &[]).await;
        colleague.sync().await;
        assert!(world.only_message("Ann").await.message.flags.starred, "{ways}");
        world.gmail().delete(&sent).await;
        world.sync().await;
        assert!(world.conversation("Ann").await[0].deleted, "{ways}");
    }
}

#[tokio::test]
async fn s18_a_crash_of_either_of_two_colleagues_logs_nothing_twice() {
    for n in 0..6 {
        for moment in [Moment::Before, Moment::After] {
            for ways in ["tsm", "mst"] {
                let world = world().await;
                let mut colleague = world.colleague("tom").await;
                colleague.connect().await.unwrap();
                let post = world.post().await;
                let sent = to_ann(&world).await.is_sent_from_gmail().await;
                let copy = copy(&world).await;
                for (turn, way) in ways.chars().enumerate() {
                    let user = if way == 'm' { &world } else { &colleague };
                    if way == 's' {
                        bring(&world, &post, &copy).await;
                        world.takes_in().await;
                    } else if turn == 0 {
                        user.pass_that_dies(n, moment).await;
                    } else {
                        user.settle().await;
                    }
                }
                // What was put and not written down is deleted before anybody looks again.
                world.gmail().delete(&sent).await;
                for user in [&world, &colleague] {
                    user.settle().await;
                }
                let here = world.conversation("Ann").await;
                assert_eq!(here.len(), 1, "request {n}, {moment:?}, {ways}");
                assert!(here[0].deleted, "request {n}, {moment:?}, {ways}");
            }
        }
    }
}

#[tokio::test]
async fn s18_a_crash_at_any_request_logs_nothing_twice() {
    for n in 0..6 {
        for moment in [Moment::Before, Moment::After] {
            let world = world().await;
            let post = world.post().await;
            to_ann(&world).await.is_sent_from_gmail().await;
            let copy = copy(&world).await;
            world.pass_that_dies(n, moment).await;
            bring(&world, &post, &copy).await;
            world.takes_in().await;
            world.settle().await;
            assert_eq!(world.subjects("Ann").await.len(), 1, "request {n}, {moment:?}");
        }
    }
}

#[tokio::test]
async fn s18_a_crm_that_fails_or_forgets_gets_it_once_all_the_same() {
    let faults = [
        CrmFault::ForgetPut,
        CrmFault::FailPut {
            after: 0,
            error: CrmError::Unavailable("down".to_owned()),
        },
    ];
    for fault in faults {
        for is_mailbox_first in [true, false] {
            let world = world().await;
            let post = world.post().await;
            to_ann(&world).await.is_sent_from_gmail().await;
            bring(&world, &post, &copy(&world).await).await;
            world.crm_fault(fault.clone());
            if is_mailbox_first {
                world.pass().await.unwrap();
            }
            world.takes_in().await;
            world.settle().await;
            world.tick(3_600_000);
            world.takes_in().await;
            assert_eq!(world.subjects("Ann").await.len(), 1, "{fault:?}");
            assert_eq!(world.spooled().await, []);
        }
    }
}

#[tokio::test]
async fn s18_both_ways_at_the_same_time_log_it_once() {
    for _ in 0..3 {
        let world = world().await;
        let post = world.post().await;
        to_ann(&world).await.is_sent_from_gmail().await;
        let copy = copy(&world).await;
        bring(&world, &post, &copy).await;
        bring(&world, &post, &copy).await;
        let (_, settled, more) = tokio::join!(world.pass(), world.takes_in(), world.takes_in());
        world.tick(60_000);
        world.takes_in().await;
        world.settle().await;
        assert_eq!(world.subjects("Ann").await.len(), 1, "{settled} {more}");
        assert_eq!(world.spooled().await, []);
    }
}

#[tokio::test]
async fn s18_different_mails_with_one_message_id_or_none_are_all_logged() {
    let world = world().await;
    let post = world.post().await;
    let bcc = world.bcc_address().await;
    let mail = |id: &str, text: &str| {
        let id = if id.is_empty() {
            String::new()
        } else {
            format!("Message-ID: {id}\r\n")
        };
        format!(
            "From: {ME}\r\nTo: {ANN}\r\nDate: Mon, 21 Sep 2026 10:00:00 +0000\r\n{id}Subject: Same\r\n\r\n{text}\r\n"
        )
    };
    let mails = [
        mail("<1@x.example>", "One"),
        mail("<1@x.example>", "Two"),
        mail("<2@x.example>", "One"),
        mail("", "One"),
        mail("", "Two"),
    ];
    // Each twice, as from a server that has not heard the answer.
    for raw in mails.iter().chain(&mails) {
        assert!(post.bring(&bcc, raw.as_bytes()).await.starts_with("250"));
    }
    assert_eq!(world.takes_in().await, 10);
    assert_eq!(world.conversation("Ann").await.len(), 5);
    let report = world.audit(AuditMode::ReportOnly).await;
    assert_eq!(report.delivered, 5, "each has a row");
}

#[tokio::test]
async fn s18_only_the_user_and_their_aliases_log_to_the_address() {
    let world = world().await;
    let post = world.post().await;
    let alias = |address: &str, status| world.sim().add_send_as(ME, address, "Sales", status);
    alias("sales@acme.example", Verification::Accepted);
    alias("new@acme.example", Verification::Pending);
    for (from, is_logged) in [
        (ME, true),
        ("sales@acme.example", true),
        ("new@acme.example", false),
        (ANN, false),
        ("evil@x.example", false),
    ] {
        let before = world.conversation("Ann").await.len();
        let raw = world.mail().from(from).to(ANN).raw();
        bring(&world, &post, &raw).await;
        assert_eq!(world.takes_in().await, 1);
        let logged = world.conversation("Ann").await.len() - before;
        assert_eq!(logged, usize::from(is_logged), "{from}");
    }
    let report = world.audit(AuditMode::ReportOnly).await;
    let excluded = report.excluded.iter().find(|excluded| excluded.rule == "S18");
    assert_eq!(excluded.map(|excluded| excluded.count), Some(3), "{report:?}");
}

#[tokio::test]
async fn s18_mail_without_a_contact_stays_out() {
    let world = world().await;
    let post = world.post().await;
    let raw = world.mail().from_me().to("stranger@x.example").raw();
    bring(&world, &post, &raw).await;
    assert_eq!(world.takes_in().await, 1);
    assert_eq!(world.counts().await.messages, 0);
    let explained = world.explain_all(Subject::Contact(ME.to_owned())).await;
    assert_eq!(explained.len(), 1);
    assert_eq!(explained[0].rule, "S18");
}

#[tokio::test]
async fn s18_malformed_mail_is_accepted_kept_and_tried_again_by_another_version() {
    let world = Setup::default()
        .with_bcc_addresses()
        .with_releases()
        .connected()
        .await;
    let post = world.post().await;
    for garbage in [
        &b"\x00\xff no header at all"[..],
        b"Subject: who wrote it?\r\n\r\nx",
    ] {
        bring(&world, &post, garbage).await;
    }
    let broken = format!(
        "From: {ME}\r\nTo: {ANN}\r\nSubject: Broken\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nReadable\r\n\
         --b\r\nContent-Type: image/png; name=\"\r\nContent-Transfer-Encoding: base64\r\n\r\n=Z!"
    );
    bring(&world, &post, broken.as_bytes()).await;
    assert_eq!(world.takes_in().await, 3);
    assert_eq!(
        world.only_message("Ann").await.message.content.text.trim(),
        "Readable"
    );
    let kept = world.spooled().await;
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().all(|mail| mail.reason.is_some()));
    let report = world.audit(AuditMode::ReportOnly).await;
    assert_eq!(report.quarantined.len(), 2, "{report:?}");
    assert_eq!(world.takes_in().await, 0, "this version has had its chance");

    let bytes = scenarios::bytes().await;
    let other = replaced(&bytes, "Keeps a Gmail mailbox", "Keeps the one mailbox");
    world.plugins().promote(Some(other.into())).await.unwrap();
    assert_eq!(world.takes_in().await, 2, "another one tries");
    assert_eq!(world.spooled().await.len(), 2);
}

#[tokio::test]
async fn s18_the_largest_mail_passes_within_the_guests_memory() {
    let world = world().await;
    let post = world.post().await;
    let bytes = bytes_of(25 << 20);
    let file = File::attached("all.bin", "application/octet-stream", bytes.clone());
    let raw = world.mail().from_me().to(ANN).carrying(file).raw();
    assert!(raw.len() > 35_000_000);
    bring(&world, &post, &raw).await;
    assert_eq!(world.takes_in().await, 1);
    let stored = world.only_message("Ann").await;
    let part = &stored.message.attachments[0].part;
    assert!(world.attachment(&stored, part).await == bytes);
}

#[tokio::test]
async fn s18_what_is_done_to_mail_that_came_to_the_address_first_travels_both_ways() {
    let world = world().await;
    let post = world.post().await;
    let id = to_ann(&world).await.is_sent_from_gmail().await;
    bring(&world, &post, &copy(&world).await).await;
    world.takes_in().await;
    world.settle().await;
    world.gmail().label(&id, &["STARRED"], &[]).await;
    world.settle().await;
    let stored = world.only_message("Ann").await;
    assert!(stored.message.flags.starred);
    let flags = Flags {
        starred: false,
        trashed: true,
        ..stored.message.flags
    };
    world.marks(&stored, flags).await;
    world.settle().await;
    let labels = world.gmail().labels(&id);
    assert!(
        labels.contains(&"TRASH".to_owned()) && !labels.contains(&"STARRED".to_owned()),
        "{labels:?}"
    );
    world.gmail().delete(&id).await;
    world.settle().await;
    assert!(world.conversation("Ann").await[0].deleted);
}

#[tokio::test]
async fn s18_an_answer_in_the_crm_joins_the_thread_of_mail_that_came_to_the_address_first() {
    let world = world().await;
    let post = world.post().await;
    to_ann(&world).await.subject("Offer").is_sent_from_gmail().await;
    bring(&world, &post, &copy(&world).await).await;
    world.takes_in().await;
    world.sync().await;
    let logged = world.only_message("Ann").await;
    world.reply(&logged).to_only(ANN).queued().await;
    world.settle().await;
    let sent = world.gmail().sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].thread_id, sent[1].thread_id);
    let answer = String::from_utf8_lossy(&sent[1].raw).into_owned();
    let original = logged.message.message_id.unwrap();
    assert!(answer.contains(&format!("In-Reply-To: {original}")), "{answer}");
}

#[tokio::test]
async fn s18_mail_written_in_the_crm_does_not_go_to_the_address() {
    let world = world().await;
    let bcc = world.bcc_address().await;
    let id = world.letter(ANN).await.bcc(&bcc).queued().await;
    let alone = world.letter(ANN).await.to_only(&bcc).queued().await;
    world.settle().await;
    assert_eq!(world.left_for(&bcc).len(), 0);
    assert_eq!(world.gmail().sent().len(), 1);
    assert!(matches!(
        world.delivery(&id).await,
        twinbox_host::crm::Delivery::Sent
    ));
    assert!(world.failure(&alone).await.is_some());
}

#[tokio::test]
async fn s18_unknown_rotated_and_disconnected_addresses_are_refused() {
    let world = world().await;
    let post = world.post().await;
    let raw = world.mail().from_me().to(ANN).raw();
    let old = world.bcc_address().await;
    for unknown in [
        format!("log-aaaaaaaaaaaaaaaaaaaaaaaaaa@{BCC_DOMAIN}"),
        "x@elsewhere.example".into(),
        ANN.into(),
    ] {
        assert!(
            post.bring(&unknown, &raw).await.starts_with("550 5.1.1"),
            "{unknown}"
        );
    }
    let addresses = world.host().parts().bcc_addresses.clone().unwrap();
    let id = world.connection_row().await.scope.connection;
    let new = addresses.rotate(&id).await.unwrap();
    assert_ne!(old, new);
    assert!(post.bring(&old, &raw).await.starts_with("550"));
    assert!(post.bring(&new.to_uppercase(), &raw).await.starts_with("250"));
    world.disconnect().await;
    assert!(post.bring(&new, &raw).await.starts_with("550"));
    assert_eq!(
        world.takes_in().await,
        1,
        "what was queued goes without an error (S06)"
    );
    assert_eq!(world.spooled().await, []);
    assert_eq!(world.counts().await.messages, 0);
}

#[tokio::test]
async fn s18_a_flood_at_one_address_is_limited_and_others_are_not() {
    let world = world().await;
    let mut other = world.in_another_tenant("other").await;
    other.connect().await.unwrap();
    let limits = ListenerLimits {
        burst: 5,
        per_minute: 1,
        message: 100_000,
        recipients: 2,
        ..ListenerLimits::default()
    };
    let post = Post::of(&world, limits, None).await;
    let raw = world.mail().from_me().to(ANN).raw();
    let (flooded, quiet) = (world.bcc_address().await, other.bcc_address().await);
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(post.bring(&flooded, &raw).await[..3].to_owned());
    }
    assert_eq!(answers, ["250", "250", "250", "250", "250", "450", "450", "450"]);
    assert!(post.bring(&quiet, &raw).await.starts_with("250"));
    world.tick(60_000);
    assert!(post.bring(&flooded, &raw).await.starts_with("250"));

    let mut client = post.client().await;
    client.say("MAIL FROM:<> BODY=8BITMIME SMTPUTF8").await;
    for expected in ["250", "450"] {
        // One for each: the third address would be one too many.
        let to = if expected == "250" { &quiet } else { &flooded };
        assert!(client.say(&format!("RCPT TO:<{to}>")).await.starts_with(expected));
    }
    let too_large = vec![b'x'; 70]
        .into_iter()
        .chain(*b"\r\n")
        .collect::<Vec<u8>>()
        .repeat(2_000);
    assert!(post.bring(&quiet, &too_large).await.starts_with("552"));
    let mut client = post.client().await;
    assert!(
        client
            .say("MAIL FROM:<a@b.example> SIZE=100001")
            .await
            .starts_with("552")
    );
}

#[tokio::test]
async fn s18_an_address_full_of_what_nobody_can_handle_is_exchanged_and_has_room_again() {
    let world = world().await;
    let limits = ListenerLimits {
        held: 2,
        ..ListenerLimits::default()
    };
    let post = Post::of(&world, limits, None).await;
    let old = world.bcc_address().await;
    for _ in 0..2 {
        assert!(post.bring(&old, b"no mail at all\r\n").await.starts_with("250"));
    }
    assert_eq!(world.takes_in().await, 2);
    assert_eq!(world.spooled().await.len(), 2, "they wait for another component");
    let raw = to_ann(&world).await.raw();
    assert!(post.bring(&old, &raw).await.starts_with("452 4.2.2"));
    let addresses = world.host().parts().bcc_addresses.clone().unwrap();
    let id = world.connection_row().await.scope.connection;
    let new = addresses.rotate(&id).await.unwrap();
    assert!(post.bring(&new, &raw).await.starts_with("250"));
    assert_eq!(world.takes_in().await, 1);
    assert_eq!(world.conversation("Ann").await.len(), 1);
    assert_eq!(world.spooled().await.len(), 2, "nothing is lost");
}

#[tokio::test]
async fn s18_smuggled_line_ends_end_the_session_and_nothing_is_relayed_or_told() {
    let world = world().await;
    let post = world.post().await;
    let bcc = world.bcc_address().await;
    for end in ["\n.\r\n", "\r\n.\n", "\n.\n", "\r.\r"] {
        let mut client = post.client().await;
        for line in [
            "MAIL FROM:<mia@acme.example>".to_owned(),
            format!("RCPT TO:<{bcc}>"),
            "DATA".to_owned(),
        ] {
            client.say(&line).await;
        }
        let smuggled = format!("From: {ME}\r\n\r\nx{end}MAIL FROM:<evil@x.example>\r\nRCPT TO:<{bcc}>\r\n");
        client.write(smuggled.as_bytes()).await;
        assert!(client.answer().await.starts_with("550 5.5.2"), "{end:?}");
        assert_eq!(client.say("NOOP").await, "", "{end:?}: it is over");
    }
    assert_eq!(world.spooled().await, []);

    let mut client = post.client().await;
    assert!(client.say(&format!("VRFY {bcc}")).await.starts_with("252"));
    assert!(client.say("EXPN list").await.starts_with("502"));
    assert!(client.say("AUTH PLAIN AGEAYg==").await.starts_with("502"));
    assert!(client.say("BDAT 10").await.starts_with("502"));
    assert!(client.say("RCPT TO:<x@y.example>").await.starts_with("503"));
    assert!(client.say("DATA").await.starts_with("503"));
    assert!(client.say("STARTTLS").await.starts_with("502"), "no certificate");
    assert!(
        client.say(&"x".repeat(3_000)).await.starts_with("500"),
        "a line that is too long"
    );

    let mut client = post.client().await;
    let mut last = String::new();
    for _ in 0..12 {
        last = client.say("GIBBERISH").await;
    }
    assert_eq!(last, "", "who says nothing but nonsense is sent away");

    // Many commands in one write (RFC 2920).
    let mut client = post.client().await;
    let all = format!("MAIL FROM:<mia@acme.example>\r\nRCPT TO:<{bcc}>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n");
    client.write(all.as_bytes()).await;
    for expected in ["250", "250", "550", "354"] {
        assert!(client.answer().await.starts_with(expected));
    }
    client
        .write(format!("From: {ME}\r\nTo: {ANN}\r\n\r\n..dot\r\n.\r\nQUIT\r\n").as_bytes())
        .await;
    assert!(client.answer().await.starts_with("250"));
    assert!(client.answer().await.starts_with("221"));
    world.takes_in().await;
    assert_eq!(
        world.only_message("Ann").await.message.content.text.trim(),
        ".dot"
    );
}

#[tokio::test]
async fn s18_what_was_acknowledged_survives_the_process() {
    let mut world = world().await;
    let post = world.post().await;
    let raw = world.mail().from_me().to(ANN).raw();
    bring(&world, &post, &raw).await;
    drop(post);
    world.restart().await;
    assert_eq!(world.takes_in().await, 1);
    assert_eq!(world.conversation("Ann").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn s18_pythons_smtplib_delivers_with_and_without_tls() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("SKIPPED: mail from Python's smtplib: python3 is absent");
        return;
    }
    let world = world().await;
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = TlsFiles::open(certificate.clone(), key).unwrap();
    let post = Post::of(&world, ListenerLimits::default(), Some(tls)).await;
    let script = "
import smtplib, ssl, sys
port, bcc, cert = int(sys.argv[1]), sys.argv[2], sys.argv[3]
for n, tls in enumerate([False, True]):
    with smtplib.SMTP('localhost', port, timeout=20) as smtp:
        smtp.ehlo('python.example')
        assert smtp.has_extn('starttls') and smtp.has_extn('size') and smtp.has_extn('pipelining')
        if tls:
            smtp.starttls(context=ssl.create_default_context(cafile=cert))
            smtp.ehlo('python.example')
            assert not smtp.has_extn('starttls')
        text = f'From: mia@acme.example\\r\\nTo: ann@client.example\\r\\nSubject: From Python {n}\\r\\n\\r\\n.\\r\\n..two dots\\r\\n'
        assert smtp.sendmail('mia@acme.example', [bcc], text) == {}
        try:
            smtp.sendmail('mia@acme.example', ['nobody@log.twinbox.example'], text)
        except smtplib.SMTPRecipientsRefused as refused:
            assert list(refused.recipients.values())[0][0] == 550
        else:
            raise AssertionError('an unknown address was taken')
";
    let bcc = world.bcc_address().await;
    let mut python = tokio::process::Command::new("python3");
    python
        .arg("-c")
        .arg(script)
        .arg(post.address().port().to_string())
        .arg(&bcc)
        .arg(&certificate)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ran = tokio::time::timeout(Duration::from_mins(1), python.output()).await;
    let ran = ran.expect("an end").expect("Python");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(world.takes_in().await, 2);
    let messages = world.conversation("Ann").await;
    let subjects: Vec<&str> = messages
        .iter()
        .map(|stored| stored.message.subject.as_str())
        .collect();
    assert_eq!(subjects, ["From Python 0", "From Python 1"]);
    assert_eq!(messages[1].message.content.text, ".\n..two dots\n");
}

//! S19: attachments and inline images, byte for byte, both ways, within the guest's memory.

use mail_parser::{MessageParser, MimeHeaders};
use scenarios::{ANN, File, World, bytes_of};
use twinbox_host::{contract::Disposition, crm::StoredMessage};

/// The most memory a guest may have, bytes.
const MEMORY: usize = 64 << 20;
const MEGABYTE: usize = 1 << 20;

#[tokio::test]
async fn s19_attachments_and_inline_images_come_in_byte_for_byte() {
    let world = World::connected().await;
    let (document, image) = (bytes_of(100_003), bytes_of(30_001));
    world
        .mail()
        .html("<p>Look: <img src=\"cid:pic1\"></p>")
        .carrying(File::inline("pic.png", "image/png", "pic1", image.clone()))
        .carrying(File::attached("offer.pdf", "application/pdf", document.clone()))
        .arrives();
    world.sync().await;
    let stored = world.only_message(ANN).await;
    assert_eq!(content(&world, &stored, "offer.pdf").await, document);
    assert_eq!(content(&world, &stored, "pic.png").await, image);
    let inline = named(&stored, "pic.png");
    assert_eq!(inline.content_id.as_deref(), Some("pic1"));
    assert_eq!(inline.disposition, Disposition::Inline);
    assert!(stored.message.content.html.unwrap().contains("cid:pic1"));
}

#[tokio::test]
async fn s19_a_message_over_two_megabytes_comes_in_parts() {
    let world = World::connected().await;
    let (document, image) = (bytes_of(3 * MEGABYTE), bytes_of(70_000));
    world
        .mail()
        .text("See attached.")
        .html("<p>See <img src=\"cid:pic1\"></p>")
        .carrying(File::inline("pic.png", "image/png", "pic1", image.clone()))
        .carrying(File::attached(
            "film.bin",
            "application/octet-stream",
            document.clone(),
        ))
        .arrives();
    world.sync().await;
    let requests = world.requests();
    assert!(requests.iter().any(|line| line.contains("/attachments/")));
    assert!(!requests.iter().any(|line| line.contains("format=raw")));
    let stored = world.only_message(ANN).await;
    assert_eq!(stored.message.content.text.trim(), "See attached.");
    assert_eq!(content(&world, &stored, "film.bin").await, document);
    assert_eq!(content(&world, &stored, "pic.png").await, image);
    assert_eq!(named(&stored, "pic.png").content_id.as_deref(), Some("pic1"));
}

#[tokio::test]
async fn s19_attachments_and_inline_images_go_out_byte_for_byte() {
    let world = World::connected().await;
    let (document, image) = (bytes_of(600_001), bytes_of(30_002));
    let id = world
        .letter(ANN)
        .await
        .html("<p>Look: <img src=\"cid:pic1\"></p>")
        .carrying(File::inline("pic.png", "image/png", "pic1", image.clone()))
        .carrying(File::attached(
            "Angebot für Ann.pdf",
            "application/pdf",
            document.clone(),
        ))
        .queued()
        .await;
    world.sync().await;
    let received = world.mailbox(ANN).inbox().remove(0);
    let parsed = MessageParser::new().parse(&received.raw[..]).unwrap();
    let file = |name: &str| {
        let found = parsed
            .attachments()
            .find(|part| part.attachment_name() == Some(name));
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    assert_eq!(file("Angebot für Ann.pdf").contents(), document);
    assert_eq!(file("pic.png").contents(), image);
    assert_eq!(file("pic.png").content_id(), Some("pic1"));
    // And the CRM still has its own.
    let stored = world.message(&id).await;
    assert_eq!(content(&world, &stored, "pic.png").await, image);
    assert_eq!(stored.message.attachments.len(), 2);
}

#[tokio::test]
async fn s19_a_mail_of_25_megabytes_comes_in_within_the_guests_memory() {
    let world = World::connected().await;
    let (first, second) = (bytes_of(9 * MEGABYTE), bytes_of(9 * MEGABYTE + 77));
    world
        .mail()
        .carrying(File::attached("first.bin", "application/zip", first.clone()))
        .carrying(File::attached("second.bin", "application/zip", second.clone()))
        .arrives();
    let ran = world.sync().await;
    assert_eq!(ran.report.counts.delivered, 1);
    let stored = world.only_message(ANN).await;
    assert_eq!(content(&world, &stored, "first.bin").await, first);
    assert_eq!(content(&world, &stored, "second.bin").await, second);
    println!("inbound 25 MB: guest_peak_bytes {}", ran.usage.guest_peak_bytes);
    assert!(ran.usage.guest_peak_bytes <= MEMORY);
}

#[tokio::test]
async fn s19_a_mail_of_25_megabytes_goes_out_within_the_guests_memory() {
    let world = World::connected().await;
    let (first, second) = (bytes_of(9 * MEGABYTE), bytes_of(9 * MEGABYTE + 77));
    let id = world
        .letter(ANN)
        .await
        .carrying(File::attached("first.bin", "application/zip", first.clone()))
        .carrying(File::attached("second.bin", "application/zip", second.clone()))
        .queued()
        .await;
    let ran = world.sync().await;
    assert_eq!(ran.report.counts.sent, 1, "{:?}", world.delivery(&id).await);
    let received = world.mailbox(ANN).inbox().remove(0);
    let parsed = MessageParser::new().parse(&received.raw[..]).unwrap();
    let contents: Vec<&[u8]> = parsed
        .attachments()
        .map(mail_parser::MessagePart::contents)
        .collect();
    assert!(contents == [&first[..], &second[..]]);
    println!("outbound 25 MB: guest_peak_bytes {}", ran.usage.guest_peak_bytes);
    assert!(ran.usage.guest_peak_bytes <= MEMORY);
}

fn named<'m>(stored: &'m StoredMessage, name: &str) -> &'m twinbox_host::contract::Attachment {
    let attachments = &stored.message.attachments;
    attachments
        .iter()
        .find(|attachment| attachment.name == name)
        .unwrap_or_else(|| panic!("no {name} in {attachments:?}"))
}

async fn content(world: &World, stored: &StoredMessage, name: &str) -> Vec<u8> {
    world.attachment(stored, &named(stored, name).part).await
}

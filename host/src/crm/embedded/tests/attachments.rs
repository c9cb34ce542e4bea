use std::io;

use super::*;

/// Rows of contents and chunks that are there.
async fn rows(crm: &EmbeddedCrm) -> (u64, u64) {
    crm.database
        .call(|sql| {
            sql.query_row(
                "SELECT (SELECT count(*) FROM crm_content), (SELECT count(*) FROM crm_chunk)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
        })
        .await
        .map_err(|error: rusqlite::Error| error)
        .unwrap()
}

/// Waits until what was dropped is removed.
async fn nothing_is_left(crm: &EmbeddedCrm) {
    for _ in 0..200 {
        if rows(crm).await == (0, 0) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{:?} rows are left", rows(crm).await);
}

async fn with_message() -> (EmbeddedCrm, String) {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let id = put(
        &crm,
        Message {
            attachments: vec![attachment("1", 700_000)],
            ..message("k", &bob)
        },
    )
    .await;
    (crm, id)
}

#[tokio::test]
async fn s19_bytes_come_out_as_they_went_in_and_never_whole() {
    let (crm, id) = with_message().await;
    let bytes: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    let missing = crm.attachment_body(&tenant(), &id, "1").await;
    assert!(matches!(missing, Err(CrmError::NotFound)));
    let part = attachment("1", bytes.len());
    let first = crm
        .put_attachment(&scope(), "k", &part, pieces(&bytes))
        .await
        .unwrap();
    assert!(matches!(first, PutOutcome::Stored(_)));
    let again = crm
        .put_attachment(&scope(), "k", &part, pieces(&bytes))
        .await
        .unwrap();
    assert!(matches!(again, PutOutcome::Already(_)));
    let (known, body) = crm.attachment_body(&tenant(), &id, "1").await.unwrap();
    assert_eq!(known, part);
    let mut stream = body.into_stream();
    let mut out = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        assert!(chunk.len() <= 256 << 10);
        out.extend_from_slice(&chunk);
    }
    assert!(out == bytes);
    assert_eq!(rows(&crm).await, (1, 3));
    assert_eq!(crm.message(&tenant(), &id).await.unwrap().stored_parts, ["1"]);
}

#[tokio::test]
async fn a_stream_that_is_short_or_long_or_breaks_leaves_nothing() {
    let (crm, id) = with_message().await;
    let part = attachment("1", 700_000);
    for length in [699_999, 700_001] {
        let outcome = crm
            .put_attachment(&scope(), "k", &part, pieces(&vec![7; length]))
            .await
            .unwrap();
        assert!(matches!(outcome, PutOutcome::Refused(_)));
    }
    let start = stream::once(async { Ok(Bytes::from(vec![7; 600_000])) });
    let end = stream::once(async { Err(io::Error::from(io::ErrorKind::ConnectionReset)) });
    let broken = Body::Stream(Box::pin(start.chain(end)));
    let outcome = crm.put_attachment(&scope(), "k", &part, broken).await;
    assert!(matches!(outcome, Err(CrmError::Unavailable(_))));
    assert!(crm.message(&tenant(), &id).await.unwrap().stored_parts.is_empty());
    nothing_is_left(&crm).await;
}

#[tokio::test]
async fn a_call_that_is_dropped_in_the_middle_leaves_nothing() {
    let (crm, _) = with_message().await;
    let start = stream::once(async { Ok(Bytes::from(vec![7; 600_000])) });
    let endless = Body::Stream(Box::pin(start.chain(stream::pending())));
    let part = attachment("1", 700_000);
    let scope = scope();
    let call = crm.put_attachment(&scope, "k", &part, endless);
    let dropped = tokio::time::timeout(std::time::Duration::from_millis(200), call).await;
    assert!(dropped.is_err());
    nothing_is_left(&crm).await;
}

#[tokio::test]
async fn what_a_crash_left_pending_is_removed_and_what_began_later_is_not() {
    let crm = crm().await;
    crm.database
        .call_blocking(|sql| {
            sql.execute_batch(
                "INSERT INTO crm_content (id, size, begun) VALUES (1, NULL, 999), (2, NULL, 1000);
                 INSERT INTO crm_chunk (content, position, bytes) VALUES (1, 0, x'00'), (2, 0, x'00')",
            )
        })
        .unwrap();
    assert_eq!(crm.remove_uploads(1_000).await.unwrap(), 1);
    assert_eq!(rows(&crm).await, (1, 1));
}

#[tokio::test]
async fn a_second_process_that_opens_the_crm_does_not_break_an_upload_under_way() {
    let (crm, id) = with_message().await;
    let database = crm.database.clone();
    let first = stream::once(async { Ok(Bytes::from(vec![7; 600_000])) });
    let rest = stream::once(async move {
        EmbeddedCrm::new(database).unwrap();
        Ok(Bytes::from(vec![8; 100_000]))
    });
    let content = Body::Stream(Box::pin(first.chain(rest)));
    let part = attachment("2", 700_000);
    let put = crm.put_attachment(&scope(), "k", &part, content).await;
    assert!(matches!(put, Ok(PutOutcome::Stored(_))));
    let (_, read) = crm.attachment_body(&tenant(), &id, "2").await.unwrap();
    assert_eq!(read.collect(700_000).await.unwrap().len(), 700_000);
}

#[tokio::test]
async fn an_attachment_of_a_message_that_does_not_exist_is_refused() {
    let crm = crm().await;
    let outcome = crm
        .put_attachment(&scope(), "none", &attachment("1", 0), Body::Empty)
        .await
        .unwrap();
    assert!(matches!(outcome, PutOutcome::Refused(_)));
}

#[tokio::test]
async fn s33_an_attachment_is_not_read_by_another_tenant() {
    let (crm, id) = with_message().await;
    let part = attachment("2", 3);
    let bytes = Body::Inline(Bytes::from_static(b"abc"));
    crm.put_attachment(&scope(), "k", &part, bytes).await.unwrap();
    let other = crm.attachment_body(&TenantId::new("other"), &id, "2").await;
    assert!(matches!(other, Err(CrmError::NotFound)));
    let (_, own) = crm.attachment_body(&tenant(), &id, "2").await.unwrap();
    assert_eq!(own.collect(10).await.unwrap(), "abc");
}

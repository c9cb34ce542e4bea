use super::*;

fn deferred() -> OutboundOutcome {
    OutboundOutcome::Deferred(Deferral {
        until: NOW + 100,
        problem: Problem::DailyLimit(NOW + 100),
    })
}

fn with_attachment(contact: &str) -> NewOutbound {
    let attachment = NewAttachment {
        name: "offer.pdf".into(),
        media_type: "application/pdf".into(),
        content_id: None,
        disposition: Disposition::Attached,
    };
    NewOutbound {
        attachments: vec![(attachment, pieces(&vec![9; 300_000]))],
        ..mail(contact)
    }
}

#[tokio::test]
async fn s20_mail_is_in_the_conversation_once_from_queued_to_sent() {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let id = crm.queue_outbound(mail(&bob)).await.unwrap();
    assert_eq!(conversation(&crm, &bob).await[0].delivery, Delivery::Queued);
    let waiting = crm.next_outbound(&scope(), 10).await.unwrap();
    assert_eq!(waiting[0].id, id);
    crm.report_outbound(&scope(), &id, &sent("k")).await.unwrap();
    crm.report_outbound(&scope(), &id, &sent("k")).await.unwrap();
    let outcomes = crm.put_messages(&scope(), &[message("k", &bob)]).await.unwrap();
    assert_eq!(outcomes, [PutOutcome::Already(id.clone())]);
    let shown = conversation(&crm, &bob).await;
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].delivery, Delivery::Sent);
    assert_eq!(shown[0].message.key, "k");
    assert_eq!(shown[0].message.thread, "new thread");
    assert_eq!(shown[0].message.received_at, NOW + 5);
    assert_eq!(
        shown[0].message.message_id.as_deref(),
        Some("<written-by-provider@example.com>")
    );
    assert!(crm.next_outbound(&scope(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn s23_sent_mail_that_came_by_the_mailbox_first_is_merged_into_its_own_row() {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let id = crm.queue_outbound(with_attachment(&bob)).await.unwrap();
    let twin = Message {
        attachments: vec![attachment("p", 3)],
        flags: Flags {
            starred: true,
            ..READ
        },
        ..message("k", &bob)
    };
    put(&crm, twin).await;
    let bytes = || Body::Inline(Bytes::from_static(b"abc"));
    crm.put_attachment(&scope(), "k", &attachment("p", 3), bytes())
        .await
        .unwrap();
    crm.report_outbound(&scope(), &id, &sent("k")).await.unwrap();
    let late = crm
        .put_attachment(&scope(), "k", &attachment("p", 3), bytes())
        .await
        .unwrap();
    assert!(matches!(late, PutOutcome::Already(_)));
    let shown = conversation(&crm, &bob).await;
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].id, id);
    assert!(shown[0].message.flags.starred);
    assert_eq!(shown[0].message.attachments.len(), 1);
    assert_eq!(shown[0].message.attachments[0].name, "offer.pdf");
}

#[tokio::test]
async fn s23_a_request_that_is_repeated_queues_one_mail() {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let request = || NewOutbound {
        idempotency_key: Some("request-1".into()),
        ..with_attachment(&bob)
    };
    let (one, two) = tokio::join!(crm.queue_outbound(request()), crm.queue_outbound(request()));
    let three = crm.queue_outbound(request()).await.unwrap();
    assert_eq!(one.unwrap(), three);
    assert_eq!(two.unwrap(), three);
    assert_eq!(crm.next_outbound(&scope(), 10).await.unwrap().len(), 1);
    let separate = NewOutbound {
        idempotency_key: None,
        ..request()
    };
    assert_ne!(crm.queue_outbound(separate).await.unwrap(), three);
}

#[tokio::test]
async fn s21_deferred_mail_comes_again_and_failed_mail_does_not() {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let id = crm.queue_outbound(mail(&bob)).await.unwrap();
    crm.report_outbound(&scope(), &id, &deferred()).await.unwrap();
    assert!(matches!(
        conversation(&crm, &bob).await[0].delivery,
        Delivery::Deferred(_)
    ));
    assert_eq!(crm.next_outbound(&scope(), 10).await.unwrap().len(), 1);
    let failed = OutboundOutcome::Failed(Problem::RecipientInvalid("bob".into()));
    crm.report_outbound(&scope(), &id, &failed).await.unwrap();
    assert!(crm.next_outbound(&scope(), 10).await.unwrap().is_empty());
    let late = crm.report_outbound(&scope(), &id, &deferred()).await;
    assert!(matches!(late, Err(CrmError::Refused(_))));
}

#[tokio::test]
async fn s23_mail_that_was_sent_stays_sent_whatever_is_reported_later() {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let id = crm.queue_outbound(mail(&bob)).await.unwrap();
    let unconfirmed = OutboundOutcome::Unconfirmed(Problem::Other("?".into()));
    crm.report_outbound(&scope(), &id, &unconfirmed).await.unwrap();
    assert!(crm.next_outbound(&scope(), 10).await.unwrap().is_empty());
    crm.report_outbound(&scope(), &id, &sent("k")).await.unwrap();
    assert!(crm.report_outbound(&scope(), &id, &unconfirmed).await.is_err());
    assert_eq!(conversation(&crm, &bob).await[0].delivery, Delivery::Sent);
}

#[tokio::test]
async fn cancelled_mail_is_not_sent_unless_it_was_already_under_way() {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let id = crm.queue_outbound(mail(&bob)).await.unwrap();
    crm.cancel_outbound(&tenant(), &id).await.unwrap();
    crm.cancel_outbound(&tenant(), &id).await.unwrap();
    assert!(crm.next_outbound(&scope(), 10).await.unwrap().is_empty());
    crm.report_outbound(&scope(), &id, &deferred()).await.unwrap();
    assert_eq!(conversation(&crm, &bob).await[0].delivery, Delivery::Cancelled);
    crm.report_outbound(&scope(), &id, &sent("k")).await.unwrap();
    assert_eq!(conversation(&crm, &bob).await[0].delivery, Delivery::Sent);
    let late = crm.cancel_outbound(&tenant(), &id).await;
    assert!(matches!(late, Err(CrmError::Refused(_))));
}

#[tokio::test]
async fn an_outbound_attachment_has_the_size_of_its_bytes_and_can_be_opened() {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let id = crm.queue_outbound(with_attachment(&bob)).await.unwrap();
    let waiting = crm.next_outbound(&scope(), 10).await.unwrap();
    let attachment = &waiting[0].attachments[0];
    assert_eq!(attachment.size, 300_000);
    let body = crm.open_attachment(&scope(), &id, &attachment.id).await.unwrap();
    assert_eq!(body.collect(1 << 20).await.unwrap(), vec![9; 300_000]);
}

#[tokio::test]
async fn mail_over_the_limit_is_refused_and_leaves_nothing() {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let piece = Bytes::from(vec![0; 1 << 20]);
    let endless = Body::Stream(Box::pin(stream::repeat_with(move || Ok(piece.clone()))));
    let mut large = with_attachment(&bob);
    large.attachments[0].1 = endless;
    let refused = crm.queue_outbound(large).await;
    assert!(matches!(refused, Err(CrmError::Refused(_))));
    let long = NewOutbound {
        text: "x".repeat(2 << 20),
        ..mail(&bob)
    };
    assert!(matches!(
        crm.queue_outbound(long).await,
        Err(CrmError::Refused(_))
    ));
    assert!(conversation(&crm, &bob).await.is_empty());
}

#[tokio::test]
async fn s33_mail_is_sent_and_seen_only_by_its_own_tenant_connection_and_user() {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let id = crm.queue_outbound(with_attachment(&bob)).await.unwrap();
    let second = Scope {
        connection: ConnectionId::new("second"),
        ..scope()
    };
    for scope in [stranger(), second] {
        assert!(crm.next_outbound(&scope, 10).await.unwrap().is_empty());
        let reported = crm.report_outbound(&scope, &id, &sent("k")).await;
        assert!(matches!(reported, Err(CrmError::NotFound)));
        let opened = crm.open_attachment(&scope, &id, "1").await;
        assert!(matches!(opened, Err(CrmError::NotFound)));
    }
    let other_user = Scope {
        user: UserId::new("eve"),
        ..scope()
    };
    assert!(crm.next_outbound(&other_user, 10).await.unwrap().is_empty());
    let other = TenantId::new("other");
    assert!(matches!(
        crm.cancel_outbound(&other, &id).await,
        Err(CrmError::NotFound)
    ));
    let foreign = NewOutbound {
        tenant: other,
        ..mail(&bob)
    };
    assert!(matches!(
        crm.queue_outbound(foreign).await,
        Err(CrmError::NotFound)
    ));
}

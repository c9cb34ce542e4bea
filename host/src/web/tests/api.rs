use super::{signing_in::Office, *};
use crate::{
    contract::{MessageUpdate, Undelivered, UndeliveredKind},
    people::NewToken,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// A program with a token.
pub(super) struct Program<'o> {
    office: &'o Office,
    token: String,
}

impl Office {
    pub(super) async fn program(&self, login: &str) -> Program<'_> {
        let new = NewToken {
            login: login.into(),
            name: "test".into(),
            expires_at: None,
        };
        let made = self.people.create_token(new).await.unwrap();
        Program {
            office: self,
            token: made.secret.expose_secret().to_owned(),
        }
    }
}

impl Program<'_> {
    pub(super) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask("GET", path, None, "").await
    }

    pub(super) async fn post(&self, path: &str, body: Value, key: &str) -> (StatusCode, Value) {
        self.ask("POST", path, Some(body), key).await
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        key: &str,
    ) -> (StatusCode, Value) {
        let mut asked = request(method, &format!("/api/v1{path}"), "")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if !key.is_empty() {
            asked = asked.header("idempotency-key", key);
        }
        let body = body.map(|body| body.to_string());
        if body.is_some() {
            asked = asked.header(header::CONTENT_TYPE, "application/json");
        }
        self.send(asked, body.unwrap_or_default()).await
    }

    /// Sends a file.
    pub(super) async fn upload(&self, path: &str, kind: &str, text: &str) -> (StatusCode, Value) {
        let asked = request("POST", &format!("/api/v1{path}"), "")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, kind);
        self.send(asked, text.to_owned()).await
    }

    async fn send(&self, asked: axum::http::request::Builder, body: String) -> (StatusCode, Value) {
        let answer = self.office.request(asked, Body::from(body)).await;
        let kind = answer.header(header::CONTENT_TYPE);
        let is_success = answer.status.is_success();
        assert!(
            is_success || kind == "application/problem+json",
            "{kind}: {}",
            answer.text
        );
        (
            answer.status,
            serde_json::from_str(&answer.text).unwrap_or_default(),
        )
    }
}

#[tokio::test]
async fn a_program_reads_and_marks_what_its_tenant_has_and_nothing_else() {
    let office = Office::new().await;
    let id = put(&office.crm, "t", message("k1", &office.bob)).await;
    let (ann, zoe) = (
        office.program("ann@example.com").await,
        office.program("zoe@example.com").await,
    );
    assert_eq!(ann.get("/me").await.1["tenant"], "t");
    let (_, list) = ann.get("/conversations?limit=1").await;
    assert_eq!(list["entries"][0]["contact"]["name"], "Bob");
    assert_eq!(
        (&list["entries"][0]["unread"], &list["next"]),
        (&json!(1), &Value::Null)
    );
    let (_, messages) = ann.get(&format!("/conversations/{}/messages", office.bob)).await;
    assert_eq!(messages["entries"][0]["id"], id);
    assert_eq!(messages["entries"][0]["authentication"]["dmarc"], "fail");

    let marks = Some(json!({"unread": false, "starred": true}));
    let (status, marked) = ann.ask("PATCH", &format!("/messages/{id}"), marks, "").await;
    assert_eq!((status, &marked["starred"]), (StatusCode::OK, &json!(true)));
    assert_eq!(office.links.woken.lock().unwrap().len(), 1);

    for path in [
        format!("/messages/{id}"),
        format!("/contacts/{}", office.bob),
        format!("/conversations/{}/messages", office.bob),
        format!("/messages/{id}/parts/1"),
    ] {
        let (status, problem) = zoe.get(&path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(problem["code"], "not-found");
    }
    let (status, _) = zoe.ask("DELETE", &format!("/messages/{id}"), None, "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = ann.ask("DELETE", &format!("/messages/{id}"), None, "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn s18_a_program_sees_whom_a_message_has_not_reached() {
    let office = Office::new().await;
    let id = put(&office.crm, "t", message("k1", &office.bob)).await;
    let ann = office.program("ann@example.com").await;
    let (_, before) = ann.get(&format!("/messages/{id}")).await;
    assert_eq!(before["undelivered"], json!([]));
    let news = MessageUpdate {
        key: "k1".into(),
        flags: None,
        deleted: false,
        released: false,
        retracted: None,
        undelivered: vec![Undelivered {
            recipient: "gone@x.example".into(),
            kind: UndeliveredKind::Failed,
            status: "5.1.1".into(),
            diagnostic: "no such user".into(),
        }],
    };
    let scope = scope("t", "ann", "c");
    office.crm.update_messages(&scope, &[news]).await.unwrap();
    let (_, after) = ann.get(&format!("/messages/{id}")).await;
    let expected = json!([{
        "recipient": "gone@x.example", "kind": "failed", "status": "5.1.1", "diagnostic": "no such user",
    }]);
    assert_eq!(after["undelivered"], expected);
}

#[tokio::test]
async fn s23_mail_is_queued_once_under_its_key_and_needs_one() {
    let office = Office::new().await;
    office
        .links
        .list
        .lock()
        .unwrap()
        .push(connection("t", "ann", "c"));
    let ann = office.program("ann@example.com").await;
    let mail = |text: &str| json!({"contact": office.bob, "subject": "Hi\r\nBcc: x@y", "text": text});
    let (status, problem) = ann.post("/messages", mail("one"), "").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::BAD_REQUEST, &json!("request-invalid"))
    );

    let key = "0123456789abcdef";
    let (status, first) = ann.post("/messages", mail("one"), key).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{first}");
    assert_eq!(
        (&first["delivery"]["state"], &first["subject"]),
        (&json!("queued"), &json!("Hi Bcc: x@y"))
    );
    assert_eq!(ann.post("/messages", mail("one"), key).await.1["id"], first["id"]);
    let (status, problem) = ann.post("/messages", mail("two"), key).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["code"], "idempotency-key-used");
    let waiting = office.crm.counts(&TenantId::new("t")).await.unwrap().waiting;
    assert_eq!(waiting, 1);

    let id = first["id"].as_str().unwrap();
    let (status, _) = ann.post(&format!("/messages/{id}/cancel"), Value::Null, "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(
        ann.get(&format!("/messages/{id}")).await.1["delivery"]["state"],
        "cancelled"
    );
}

#[tokio::test]
async fn s19_mail_with_files_is_a_form_and_is_queued_once_too() {
    let office = Office::new().await;
    office
        .links
        .list
        .lock()
        .unwrap()
        .push(connection("t", "ann", "c"));
    let ann = office.program("ann@example.com").await;
    let send = async |boundary: &str, text: &str| {
        let mail = json!({"contact": office.bob, "text": text});
        let body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n{mail}\r\n--{boundary}\r\nContent-Disposition: \
             form-data; name=\"files\"; filename=\"a.txt\"\r\n\r\nbytes\r\n--{boundary}--\r\n"
        );
        let asked = request("POST", "/api/v1/messages", "")
            .header(header::AUTHORIZATION, format!("Bearer {}", ann.token))
            .header("idempotency-key", "0123456789abcdef")
            .header(
                header::CONTENT_TYPE,
                format!("multipart/form-data; boundary={boundary}"),
            );
        let answer = office.request(asked, Body::from(body)).await;
        (
            answer.status,
            serde_json::from_str::<Value>(&answer.text).unwrap(),
        )
    };
    let (status, first) = send("x", "one").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{first}");
    assert_eq!(first["attachments"][0]["name"], "a.txt");
    assert_eq!(first["attachments"][0]["size"], 5);
    assert_eq!(send("y", "one").await.1["id"], first["id"]);
    let (status, problem) = send("z", "two").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency-key-used"))
    );
}

#[tokio::test]
async fn a_post_under_a_key_is_done_once_and_answered_the_same() {
    let office = Office::new().await;
    let ann = office.program("ann@example.com").await;
    let zoe = office.program("zoe@example.com").await;
    let new = |name: &str| json!({"name": name, "addresses": ["new@example.com"]});
    let (status, first) = ann.post("/contacts", new("New"), "k").await;
    assert_eq!(status, StatusCode::CREATED, "{first}");
    assert_eq!(
        ann.post("/contacts", new("New"), "k").await,
        (status, first.clone())
    );
    let (status, problem) = ann.post("/contacts", new("Other"), "k").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency-key-used"))
    );
    assert_eq!(office.crm.counts(&TenantId::new("t")).await.unwrap().contacts, 2);
    // Keys are their sender's own.
    let (status, theirs) = zoe.post("/contacts", new("New"), "k").await;
    assert_eq!(status, StatusCode::CREATED);
    assert_ne!(theirs["id"], first["id"]);
}

#[tokio::test]
async fn a_request_that_is_wrong_is_a_problem_with_a_code() {
    let office = Office::new().await;
    let ann = office.program("ann@example.com").await;
    let no_address = json!({"addresses": []});
    let wrong_address = json!({"addresses": ["nobody"]});
    let unknown_member = json!({"addresses": ["a@example.com"], "x": 1});
    let long_name = json!({"addresses": ["a@example.com"], "name": " ".repeat(251)});
    for (body, status, code) in [
        (no_address, 422, "request-refused"),
        (wrong_address, 422, "recipient-invalid"),
        (unknown_member, 422, "request-invalid"),
        (long_name, 422, "request-refused"),
    ] {
        let (found, problem) = ann.post("/contacts", body, "").await;
        assert_eq!(
            (found.as_u16(), problem["code"].as_str().unwrap()),
            (status, code)
        );
        assert_eq!(problem["type"], format!("urn:twinbox:problem:{code}"));
    }
    assert_eq!(ann.get("/contacts?limit=0").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(ann.get("/contacts?limit=x").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(ann.get("/nowhere").await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        ann.ask("PUT", "/contacts", None, "").await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    let nobody = Program {
        office: &office,
        token: "twinbox_x".into(),
    };
    let (status, problem) = nobody.get("/contacts").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNAUTHORIZED, &json!("sign-in-needed"))
    );
}

#[tokio::test]
async fn a_browsers_session_opens_nothing_of_the_api() {
    let office = Office::new().await;
    let mut ann = office.signed_in("ann@example.com").await;
    assert_eq!(ann.get("/api/v1/contacts").await.status, StatusCode::UNAUTHORIZED);
    let page = ann.get("/api").await;
    assert!(page.text.contains("/api/v1/messages/{message}"), "{}", page.text);
    assert!(!page.text.contains("<script"));
}

#[tokio::test]
async fn a_mailbox_is_connected_and_its_choice_changed_by_a_program() {
    let office = Office::new().await;
    let ann = office.program("ann@example.com").await;
    let asked = json!({"address": "ann@example.com", "google_contacts": true});
    let (status, begun) = ann.post("/connections", asked, "").await;
    assert_eq!(
        (status, &begun["page"]),
        (
            StatusCode::CREATED,
            &json!("https://accounts.example/consent?state=s")
        )
    );
    let back = json!({"flow": begun["flow"], "state": "s", "code": "c"});
    let (status, made) = ann.post("/connections/finish", back, "").await;
    assert_eq!((status, &made["status"]), (StatusCode::CREATED, &json!("active")));
    let id = made["id"].as_str().unwrap();
    let choose = async |on: bool| {
        let body = Some(json!({"google_contacts": on}));
        ann.ask("PUT", &format!("/connections/{id}/choices"), body, "")
            .await
    };
    assert_eq!(choose(false).await.0, StatusCode::NO_CONTENT);
    assert_eq!(choose(true).await.1["code"], "consent-needed");
    assert_eq!(
        ann.post(&format!("/connections/{id}/sync"), Value::Null, "")
            .await
            .0,
        StatusCode::ACCEPTED
    );
    let ended = ann
        .post(&format!("/connections/{id}/disconnect"), Value::Null, "")
        .await;
    assert_eq!(ended.0, StatusCode::NO_CONTENT);
    assert_eq!(
        ann.get("/connections").await.1["entries"][0]["status"],
        "disconnected"
    );
    let zoe = office.program("zoe@example.com").await;
    assert_eq!(zoe.get("/connections").await.1["entries"], json!([]));
    assert_eq!(
        zoe.post(&format!("/connections/{id}/sync"), Value::Null, "")
            .await
            .0,
        StatusCode::NOT_FOUND
    );
}

#[test]
fn every_operation_of_the_document_says_how_it_may_end() {
    let document = serde_json::to_value(crate::api::document()).unwrap();
    assert!(
        document
            .pointer("/components/schemas/Problem/properties/code")
            .is_some()
    );
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 14, "{paths:?}");
    let mut ids = std::collections::BTreeSet::new();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            let answers = operation["responses"].as_object().unwrap();
            assert!(
                answers.contains_key("401") && answers.contains_key("503"),
                "{method} {path}"
            );
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap()),
                "{method} {path}"
            );
        }
    }
}

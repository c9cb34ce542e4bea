//! Whatever comes in, the simulator answers; and what it stores comes out unchanged.

use axum::http::Request;
use bytes::Bytes;
use gmail_sim::{Contact, Delivery};
use proptest::prelude::*;

use crate::world::{ANNA, World};

/// Text out of the characters that mean something to the parsers.
fn tricky() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            Just("--b".to_owned()),
            Just("\r\n".to_owned()),
            Just("\n".to_owned()),
            Just("Content-Type: multipart/mixed; boundary=b\n".to_owned()),
            Just("Content-Type: message/rfc822\n\n".to_owned()),
            Just("Content-Transfer-Encoding: base64\n".to_owned()),
            Just("=?UTF-8?Q?=C3?=".to_owned()),
            Just("from:(".to_owned()),
            Just("-{".to_owned()),
            Just("\"".to_owned()),
            Just("a/b(".to_owned()),
            "[ -~]{0,12}",
            "\\PC{0,6}",
        ],
        0..24,
    )
    .prop_map(|pieces| pieces.concat())
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_message_can_be_delivered_and_read_in_every_format(text in tricky()) {
        let world = World::behaving(|behaviour| behaviour.add_trace_headers = false);
        let id = world.sim.deliver(&Delivery::new(ANNA, text)).unwrap().id;
        for format in ["minimal", "metadata", "full", "raw"] {
            prop_assert_eq!(world.get(&format!("messages/{id}?format={format}")).status, 200);
        }
    }

    #[test]
    fn the_body_of_a_delivered_message_is_not_touched(body in "[ -~]{0,40}(\r\n[ -~]{0,40}){0,4}") {
        let world = World::new();
        world.arrive(&format!("Subject: x\r\n\r\n{body}"));
        let raw = world.mailbox(ANNA)[0].raw.clone();
        let end = format!("Subject: x\r\n\r\n{body}");
        prop_assert!(raw.ends_with(end.as_bytes()));
    }

    #[test]
    fn any_query_and_any_field_selection_get_an_answer(text in tricky()) {
        let world = World::new();
        world.arrive("Subject: x\n\ny");
        prop_assert_eq!(world.get(&format!("messages?q={}", encoded(&text))).status, 200);
        let selected = world.get(&format!("messages?fields={}", encoded(&text))).status;
        prop_assert!(selected == 200 || selected == 400);
    }

    #[test]
    fn any_name_of_a_contact_can_be_listed_and_any_token_is_answered(text in tricky()) {
        let world = World::new();
        let contact = Contact::new(&text, &[&text]);
        world.sim.add_contact(ANNA, &contact).unwrap();
        let path = "/v1/people/me/connections?personFields=names,emailAddresses";
        let listed = world.get(path).ok();
        prop_assert_eq!(&listed["connections"][0]["emailAddresses"][0]["value"], &text);
        for parameter in ["pageToken", "syncToken", "personFields"] {
            let status = world.get(&format!("{path}&{parameter}={}", encoded(&text))).status;
            prop_assert!(status == 200 || status == 400);
        }
    }

    #[test]
    fn any_upload_or_batch_body_gets_an_answer(text in tricky()) {
        let world = World::new();
        for path in ["/upload/gmail/v1/users/me/messages/send?uploadType=multipart", "/batch/gmail/v1"] {
            let request = Request::post(path)
                .header("authorization", format!("Bearer {}", world.token))
                .header("content-type", "multipart/mixed; boundary=b")
                .body(Bytes::from(text.clone()))
                .unwrap();
            prop_assert!([200, 400].contains(&world.raw(request).status));
        }
    }
}

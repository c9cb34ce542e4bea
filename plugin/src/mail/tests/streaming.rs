use crate::mail::{AttachmentDecoder, AttachmentError, Base64Lines, encoded_size};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

fn decoded(json: &str, chunk: usize) -> Result<Vec<u8>, AttachmentError> {
    let mut decoder = AttachmentDecoder::new();
    let mut out = Vec::new();
    for bytes in json.as_bytes().chunks(chunk) {
        out.extend(decoder.push(bytes)?);
    }
    let total = decoder.finish()?;
    assert_eq!(total, out.len() as u64);
    Ok(out)
}

#[test]
fn s19_gmails_answer_is_decoded_in_all_its_forms() {
    for json in [
        r#"{"size":5,"data":"aGVsbG8="}"#,
        r#"{"size":5,"data":"aGVsbG8"}"#,
        r#"{ "data" : "aGVs\nbG8\u003d" , "size" : 5 }"#,
        r#"{"attachmentId":"x\"}","other":{"data":["}",{"a":1}]},"n":-1.5e3,"t":true,"data":"aGVsbG8=","size":5}
"#,
    ] {
        for chunk in [1, 3, 1000] {
            assert_eq!(decoded(json, chunk).unwrap(), b"hello", "{json}");
        }
    }
    assert_eq!(
        decoded(r#"{"size":3,"data":"-_\/+"}"#, 2).unwrap(),
        [0xfb, 0xff, 0xfe]
    );
    assert_eq!(decoded(r#"{"size":0,"data":""}"#, 2).unwrap(), b"");
}

#[test]
fn s19_the_announced_size_is_known() {
    let mut decoder = AttachmentDecoder::new();
    decoder.push(br#"{"size":12345,"#).unwrap();
    assert_eq!(decoder.announced_size(), Some(12_345));
}

#[test]
fn s19_what_is_no_attachment_is_an_error() {
    for (json, error) in [
        ("", AttachmentError::Truncated),
        ("{", AttachmentError::Truncated),
        (r#"{"size":5,"data":"aGVs"#, AttachmentError::Truncated),
        (r#"{"size":5,"data":"aGVs""#, AttachmentError::Truncated),
        (r#"{"size":5}"#, AttachmentError::NoData),
        (r#"{"error":{"code":404,"data":"aGVs"}}"#, AttachmentError::NoData),
        (r#"{"data":"aGVs","data":"aGVs"}"#, AttachmentError::NoData),
        (r#"{"data":"aG!s"}"#, AttachmentError::NotBase64),
        (r#"{"data":"aGVsb"}"#, AttachmentError::NotBase64),
        (r#"{"data":"aGVs=bG8"}"#, AttachmentError::NotBase64),
        ("<html>502</html>", AttachmentError::NotJson),
        (r#"{"data":"aGVs"}x"#, AttachmentError::NotJson),
    ] {
        assert_eq!(decoded(json, 2), Err(error), "{json}");
    }
    assert_eq!(
        decoded(&format!(r#"{{"a":{}"#, "[".repeat(100_000)), 1000),
        Err(AttachmentError::NotJson)
    );
}

#[test]
fn s21_lines_are_76_columns() {
    let mut lines = Base64Lines::new();
    let mut out = lines.push(&[0; 58]);
    out.extend(lines.finish());
    assert_eq!(
        out,
        [STANDARD.encode([0; 57]), "AA==".to_owned(), String::new()]
            .join("\r\n")
            .into_bytes()
    );
}

proptest! {
    #[test]
    fn s21_the_encoder_keeps_the_promised_size(content in prop::collection::vec(any::<u8>(), 0..2_000), chunk in 1_usize..300) {
        let mut lines = Base64Lines::new();
        let mut out = Vec::new();
        for bytes in content.chunks(chunk) {
            out.extend(lines.push(bytes));
        }
        out.extend(lines.finish());
        prop_assert_eq!(out.len() as u64, encoded_size(content.len() as u64));
        let joined: Vec<u8> = out.into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
        prop_assert_eq!(STANDARD.decode(joined).unwrap(), content);
    }

    #[test]
    fn s19_any_content_in_any_chunks(content in prop::collection::vec(any::<u8>(), 0..500), chunk in 1_usize..50, form in 0..3) {
        let data = match form {
            0 => URL_SAFE.encode(&content),
            1 => URL_SAFE_NO_PAD.encode(&content),
            _ => STANDARD.encode(&content).replace('/', "\\/").replace('=', "\\u003D"),
        };
        let json = format!("{{\"size\": {}, \"data\": \"{data}\"}}", content.len());
        prop_assert_eq!(decoded(&json, chunk).unwrap(), content);
    }

    #[test]
    fn s19_any_bytes_are_taken_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = AttachmentDecoder::new();
        if decoder.push(&bytes).is_ok() {
            let _ = decoder.finish();
        }
    }
}

//! DKIM (RFC 6376): the key that a domain's mail is signed with, under one selector.

use base64::{Engine, engine::general_purpose::STANDARD};
use rsa::{RsaPublicKey, pkcs1::DecodeRsaPublicKey, pkcs8::DecodePublicKey, traits::PublicKeyParts};

use super::{
    lookup::LookupError,
    question::{Question, Sender},
    report::{Finding, Publish, Severity, Subject},
    tags::Tags,
};

/// Bits that a key needs at least; receivers ignore a shorter one (RFC 8301, section 3.2).
const LEAST_BITS: usize = 1_024;
/// Bits that a key should have.
const GOOD_BITS: usize = 2_048;
/// The code of a key that is as it should be.
const IN_ORDER: &str = "dkim-in-order";
/// What to do in Google's Admin console (<https://support.google.com/a/answer/174124>).
const MAKE_A_KEY: &str = "In the Google Admin console, under Apps > Google Workspace > Gmail > Authenticate email, generate a \
                          key of 2048 bits, publish the record it shows, and then start the authentication there.";

/// Where the key is published.
pub(super) fn name(selector: &str, domain: &str) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// What is published under one selector.
pub(super) fn judge(
    domain: &str,
    selector: &str,
    records: &Result<Vec<String>, LookupError>,
    question: &Question,
) -> Vec<Finding> {
    let name = name(selector, domain);
    let records: Vec<&str> = match records {
        Ok(records) => records
            .iter()
            .map(String::as_str)
            .filter(|text| is_key(text))
            .collect(),
        Err(LookupError::NoSuchName) => Vec::new(),
        Err(error) => return vec![Finding::unanswered(Subject::Dkim, &name, error)],
    };
    let finding = match records.as_slice() {
        [] => return vec![missing(&name, selector, question)],
        [record] => judge_record(&name, record),
        several => Err(problem(
            "dkim-several",
            format!(
                "{name} has {} keys; which of them counts is not defined (RFC 6376, section 3.6.2.2).",
                several.len()
            ),
            "Keep the one that the mail is signed with, and publish others under other selectors.",
        )),
    };
    match finding {
        Ok(findings) => findings,
        Err(finding) => vec![with_googles_key(*finding, &name, question.sender())],
    }
}

/// Whether it is meant to be a key: names without one answer too where a wildcard stands.
fn is_key(text: &str) -> bool {
    let text: String = text.split_ascii_whitespace().collect();
    text.starts_with("v=DKIM") || text.split(';').any(|tag| tag.starts_with("p="))
}

fn missing(name: &str, selector: &str, question: &Question) -> Finding {
    match question.sender() {
        Sender::Gmail if !question.names_selectors() => {
            let finding = problem(
                "dkim-missing",
                format!(
                    "There is no key at {name}. Gmail then signs with a domain of its own, which proves nothing about yours and \
                     does not count for DMARC."
                ),
                format!("{MAKE_A_KEY} If the key has another name there, check again with that selector."),
            );
            with_googles_key(*finding, name, Sender::Gmail)
        }
        Sender::Gmail | Sender::Elsewhere => *problem(
            "dkim-missing",
            format!("There is no key at {name}: mail that is signed under the selector {selector} fails."),
            "Publish the key, or check the selector: it is the s= of the DKIM-Signature in a message that was sent.",
        ),
    }
}

fn judge_record(name: &str, record: &str) -> Result<Vec<Finding>, Box<Finding>> {
    let unreadable = |what: &str| {
        problem(
            "dkim-syntax",
            format!(
                "The key at {name} cannot be read at “{}”; every signature fails.",
                crate::problem::quoted(what)
            ),
            "Publish the key again exactly as it was given, in one record.",
        )
    };
    let tags = Tags::read(record).map_err(unreadable)?;
    let version = tags.get("v");
    if version.is_some_and(|version| version != "DKIM1") || (version.is_some() && tags.first() != Some("v")) {
        return Err(unreadable("v="));
    }
    let key = tags.get("p").ok_or_else(|| unreadable("p="))?;
    let key: String = key.split_ascii_whitespace().collect();
    if key.is_empty() {
        return Err(problem(
            "dkim-revoked",
            format!(
                "The key at {name} has been revoked: it is there without a value, and every signature under it fails."
            ),
            "Sign under another selector, or publish a new key.",
        ));
    }
    let has = |tag: &str, word: &str| {
        let words = tags.get(tag).map(|list| list.split(':').map(str::trim));
        words.is_none_or(|mut words| words.any(|known| known == word))
    };
    if !has("h", "sha256") {
        return Err(problem(
            "dkim-hash",
            format!(
                "The key at {name} does not allow SHA-256, and receivers no longer accept anything else (RFC 8301)."
            ),
            "Remove h= from the record.",
        ));
    }
    if !has("s", "*") && !has("s", "email") {
        return Err(problem(
            "dkim-not-for-mail",
            format!("The key at {name} is not meant for mail (s=)."),
            "Remove s= from the record.",
        ));
    }
    let mut findings = match tags.get("k").unwrap_or("rsa") {
        "rsa" => judge_rsa(name, &key)?,
        "ed25519" if STANDARD.decode(&key).is_ok_and(|key| key.len() == 32) => vec![Finding::new(
            Subject::Dkim,
            Severity::Advice,
            "dkim-ed25519",
            format!("The key at {name} is of Ed25519 (RFC 8463), which many receivers do not know."),
            "Sign with an RSA key of 2048 bits as well, under another selector.",
        )],
        kind => return Err(unreadable(&format!("k={kind}"))),
    };
    let testing = tags
        .get("t")
        .is_some_and(|flags| flags.split(':').any(|flag| flag.trim() == "y"));
    if testing {
        findings.retain(|finding| finding.severity > Severity::Fine);
        findings.push(Finding::new(
            Subject::Dkim,
            Severity::Warning,
            "dkim-testing",
            format!("The key at {name} says that it is only being tested (t=y); receivers may treat its mail as unsigned."),
            "Remove t=y from the record.",
        ));
    }
    Ok(findings)
}

fn judge_rsa(name: &str, key: &str) -> Result<Vec<Finding>, Box<Finding>> {
    let bits = bits(key).ok_or_else(|| {
        problem(
            "dkim-key-unreadable",
            format!("What stands at {name} is no RSA key of up to 4096 bits; every signature fails."),
            "Publish the key again exactly as it was given; a long one is split into strings of 255 characters, with nothing \
             between them.",
        )
    })?;
    if bits < LEAST_BITS {
        return Err(problem(
            "dkim-key-too-short",
            format!(
                "The key at {name} has {bits} bits; receivers ignore one with less than {LEAST_BITS} (RFC 8301)."
            ),
            "Publish a key of 2048 bits.",
        ));
    }
    Ok(vec![if bits < GOOD_BITS {
        Finding::new(
            Subject::Dkim,
            Severity::Advice,
            "dkim-key-short",
            format!("The key at {name} has {bits} bits, which works; {GOOD_BITS} are the rule today."),
            "Replace it by a key of 2048 bits when there is an occasion.",
        )
    } else {
        Finding::fine(
            Subject::Dkim,
            IN_ORDER,
            format!("There is a key of {bits} bits at {name}."),
        )
    }])
}

/// Bits of an RSA key as DKIM has it: of `SubjectPublicKeyInfo`, or of `RSAPublicKey` alone as the RFC once said.
fn bits(key: &str) -> Option<usize> {
    let der = STANDARD.decode(key).ok()?;
    let key = RsaPublicKey::from_public_key_der(&der)
        .ok()
        .or_else(|| RsaPublicKey::from_pkcs1_der(&der).ok())?;
    Some(key.n().bits())
}

fn problem(code: &'static str, happened: impl Into<String>, advice: impl Into<String>) -> Box<Finding> {
    Box::new(Finding::new(
        Subject::Dkim,
        Severity::Problem,
        code,
        happened,
        advice,
    ))
}

/// Only the Admin console knows the key.
fn with_googles_key(finding: Finding, name: &str, sender: Sender) -> Finding {
    match sender {
        Sender::Gmail => finding.publishing(Publish::txt(
            name,
            "v=DKIM1; k=rsa; p=<the key that the Admin console shows>",
        )),
        Sender::Elsewhere => finding,
    }
}

#[cfg(test)]
mod tests {
    use rsa::{BigUint, pkcs1::EncodeRsaPublicKey, pkcs8::EncodePublicKey};

    use super::*;

    const DOMAIN: &str = "example.com";

    /// A modulus of so many bits: nobody has its factors, and nobody needs them.
    fn key(bits: usize) -> RsaPublicKey {
        let modulus = (BigUint::from(1_u8) << (bits - 1)) + BigUint::from(1_u8);
        RsaPublicKey::new_unchecked(modulus, BigUint::from(65_537_u32))
    }

    fn encoded(bits: usize) -> String {
        STANDARD.encode(key(bits).to_public_key_der().unwrap().as_bytes())
    }

    fn of(records: &[&str]) -> Vec<Finding> {
        let records = records.iter().map(|&text| text.to_owned()).collect();
        let question = Question::new(DOMAIN, Sender::Gmail).unwrap();
        judge(DOMAIN, "google", &Ok(records), &question)
    }

    fn codes(record: &str) -> Vec<&'static str> {
        of(&[record]).iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn t08_a_key_of_2048_bits_is_in_order() {
        for record in [
            format!("v=DKIM1; k=rsa; p={}", encoded(2_048)),
            format!("p={}", encoded(4_096)),
            format!("v=DKIM1; t=s; s=email; h=sha1:sha256; p={}", encoded(2_048)),
            format!("v=DKIM1; p={} {}", &encoded(2_048)[..100], &encoded(2_048)[100..]),
            format!(
                "v=DKIM1; p={}",
                STANDARD.encode(key(2_048).to_pkcs1_der().unwrap().as_bytes())
            ),
        ] {
            assert_eq!(codes(&record), [IN_ORDER], "{record}");
        }
        let with_others = of(&["v=spf1 -all", &format!("v=DKIM1; p={}", encoded(2_048))]);
        assert_eq!(with_others[0].code, IN_ORDER);
    }

    #[test]
    fn t08_short_keys_are_pointed_out() {
        let of = |bits| of(&[&format!("v=DKIM1; p={}", encoded(bits))])[0].clone();
        assert_eq!(
            (of(512).code, of(512).severity),
            ("dkim-key-too-short", Severity::Problem)
        );
        assert_eq!(
            (of(1_024).code, of(1_024).severity),
            ("dkim-key-short", Severity::Advice)
        );
        assert!(of(1_024).happened.contains("1024 bits"));
        assert_eq!(of(4_104).code, "dkim-key-unreadable");
    }

    #[test]
    fn t08_without_a_key_the_way_to_one_is_said() {
        for records in [&[][..], &["v=spf1 -all"]] {
            let findings = of(records);
            assert_eq!(findings[0].code, "dkim-missing");
            assert!(findings[0].advice.contains("Admin console"));
            let publish = findings[0].publish.as_ref().unwrap();
            assert_eq!(publish.name, "google._domainkey.example.com");
        }
        let chosen = Question::new(DOMAIN, Sender::Gmail)
            .unwrap()
            .with_selectors(["s1"])
            .unwrap();
        let absent = judge(DOMAIN, "s1", &Err(LookupError::NoSuchName), &chosen);
        assert!(absent[0].advice.contains("s="), "{absent:?}");
        let late = judge(DOMAIN, "s1", &Err(LookupError::TimedOut), &chosen);
        assert_eq!(late[0].code, "dns-unanswered");
    }

    #[test]
    fn t08_a_key_that_proves_nothing_is_a_problem() {
        let good = encoded(2_048);
        for (record, code) in [
            ("v=DKIM1; p=".to_owned(), "dkim-revoked"),
            ("v=DKIM1; k=rsa; p= ;".to_owned(), "dkim-revoked"),
            ("v=DKIM1; k=rsa".to_owned(), "dkim-syntax"),
            (format!("v=DKIM2; p={good}"), "dkim-syntax"),
            (format!("k=rsa; v=DKIM1; p={good}"), "dkim-syntax"),
            (format!("v=DKIM1; k=dsa; p={good}"), "dkim-syntax"),
            (format!("v=DKIM1; k=rsa p={good}; p={good}"), "dkim-syntax"),
            ("v=DKIM1; p=!!!".to_owned(), "dkim-key-unreadable"),
            (format!("v=DKIM1; p={}", &good[..100]), "dkim-key-unreadable"),
            (format!("v=DKIM1; h=sha1; p={good}"), "dkim-hash"),
            (format!("v=DKIM1; s=tlsrpt; p={good}"), "dkim-not-for-mail"),
            (format!("v=DKIM1; t=y:s; p={good}"), "dkim-testing"),
            (
                format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode([7; 32])),
                "dkim-ed25519",
            ),
        ] {
            assert_eq!(codes(&record), [code], "{record}");
        }
        let record = format!("v=DKIM1; p={good}");
        assert_eq!(of(&[&record, &record])[0].code, "dkim-several");
    }
}

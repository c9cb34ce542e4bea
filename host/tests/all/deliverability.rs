//! The check of a sending domain (T08) against a name server on this machine, over UDP.

use std::net::SocketAddr;

use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{MX, TXT},
    },
};
use tokio::net::UdpSocket;
use twinbox_host::deliverability::{Dns, LookupError, NameServers, Question, Sender, check};

/// Answers for `example.com`, and lets `silent.example` wait.
async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4_096];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            if let Some(answer) = answer(&asked) {
                socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            }
        }
    });
    address
}

fn answer(asked: &Message) -> Option<Message> {
    let query = &asked.queries[0];
    let txt = |strings: &[&str]| RData::TXT(TXT::new(strings.iter().map(|&text| text.to_owned()).collect()));
    let name = query.name().to_ascii().to_ascii_lowercase();
    let records = match (name.as_str(), query.query_type()) {
        ("silent.example.", _) => return None,
        ("example.com.", RecordType::TXT) => {
            vec![
                txt(&["v=spf1 include:_spf.", "google.com ~all"]),
                txt(&["unrelated"]),
            ]
        }
        ("example.com.", RecordType::MX) => {
            vec![RData::MX(MX::new(
                1,
                Name::from_ascii("SMTP.google.com.").unwrap(),
            ))]
        }
        ("_spf.google.com.", RecordType::TXT) => vec![txt(&["v=spf1 ip4:192.0.2.0/24 ~all"])],
        ("_dmarc.example.com.", RecordType::TXT) => {
            vec![txt(&["v=DMARC1; p=none; rua=mailto:d@example.com"])]
        }
        ("_domainkey.example.com.", _) => Vec::new(),
        _ => {
            let mut absent = Message::response(asked.metadata.id, OpCode::Query);
            absent.metadata.response_code = ResponseCode::NXDomain;
            absent.add_query(query.clone());
            return Some(absent);
        }
    };
    let mut found = Message::response(asked.metadata.id, OpCode::Query);
    found.add_query(query.clone());
    for data in records {
        found.add_answer(Record::from_rdata(query.name().clone(), 300, data));
    }
    Some(found)
}

#[tokio::test]
async fn t08_a_domain_is_judged_by_what_its_name_servers_say() {
    let servers = NameServers::at(name_server().await).unwrap();
    let question = Question::new("example.com", Sender::Gmail).unwrap();
    let report = check(&servers, &question).await;
    let codes: Vec<&str> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(
        codes,
        ["dkim-missing", "dmarc-policy-none", "mx-in-order", "spf-in-order"]
    );
}

#[tokio::test]
async fn t08_a_name_without_records_is_told_from_one_that_does_not_exist() {
    let servers = NameServers::at(name_server().await).unwrap();
    assert_eq!(servers.txt("_domainkey.example.com").await, Ok(Vec::new()));
    assert_eq!(servers.txt("absent.example").await, Err(LookupError::NoSuchName));
    assert_eq!(servers.mx("absent.example").await, Err(LookupError::NoSuchName));
}

#[tokio::test]
async fn t08_a_name_server_that_is_silent_is_not_waited_for() {
    let servers = NameServers::at(name_server().await).unwrap();
    let question = Question::new("silent.example", Sender::Gmail).unwrap();
    let started = std::time::Instant::now();
    let report = check(&servers, &question).await;
    assert!(started.elapsed() < std::time::Duration::from_secs(15));
    assert!(!report.is_complete(), "{report:?}");
}

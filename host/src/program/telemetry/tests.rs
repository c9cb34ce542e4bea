use super::*;

fn telemetry(table: &str) -> Telemetry {
    toml::from_str(table).unwrap()
}

#[tokio::test]
async fn a_header_comes_from_a_file_and_is_not_sent_in_the_clear() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "Bearer s3cret\n").unwrap();
    let header = format!(
        "header = \"authorization\"\nheader_file = \"{}\"",
        file.path().display()
    );
    let with = |endpoint: &str| telemetry(&format!("endpoint = \"{endpoint}\"\n{header}")).headers();
    for endpoint in ["https://traces.example/v1/traces", "http://[::1]:4318/v1/traces"] {
        assert_eq!(with(endpoint).unwrap()["authorization"], "Bearer s3cret");
    }
    assert!(with("http://traces.example/v1/traces").is_err());
    assert!(
        telemetry("endpoint = \"https://traces.example\"\nheader = \"authorization\"")
            .start()
            .is_err()
    );
}

#[test]
fn an_encoding_that_is_not_there_is_refused() {
    let table = |protocol| format!("endpoint = \"http://127.0.0.1:4318\"\nprotocol = \"{protocol}\"");
    assert!(toml::from_str::<Telemetry>(&table("http/json")).is_ok());
    assert!(toml::from_str::<Telemetry>(&table("grpc")).is_err());
}

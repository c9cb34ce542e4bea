//! Which addresses name one Google mailbox.

/// The one form of all addresses of a mailbox: case never matters, at gmail.com neither do dots
/// (<https://support.google.com/mail/answer/7436150>) nor the older name googlemail.com.
pub fn normalised(address: &str) -> String {
    let address = address.trim().to_lowercase();
    match address.rsplit_once('@') {
        Some((local, "gmail.com" | "googlemail.com")) => format!("{}@gmail.com", local.replace('.', "")),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_and_the_older_name_matter_elsewhere_alone() {
        assert_eq!(normalised(" An.N@GoogleMail.com "), "ann@gmail.com");
        assert_eq!(normalised("An.N@Example.com"), "an.n@example.com");
        assert_eq!(normalised("nobody"), "nobody");
    }
}

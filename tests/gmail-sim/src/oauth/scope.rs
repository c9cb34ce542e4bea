//! The scopes that matter here, and how Google spells them back.

/// A scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Mail,
    Modify,
    Readonly,
    Metadata,
    Compose,
    Send,
    Insert,
    Labels,
    SettingsBasic,
    Contacts,
    ContactsReadonly,
    Email,
    Profile,
}

impl Scope {
    /// As it stands in a token answer.
    pub(crate) fn url(self) -> &'static str {
        match self {
            Self::Mail => "https://mail.google.com/",
            Self::Modify => "https://www.googleapis.com/auth/gmail.modify",
            Self::Readonly => "https://www.googleapis.com/auth/gmail.readonly",
            Self::Metadata => "https://www.googleapis.com/auth/gmail.metadata",
            Self::Compose => "https://www.googleapis.com/auth/gmail.compose",
            Self::Send => "https://www.googleapis.com/auth/gmail.send",
            Self::Insert => "https://www.googleapis.com/auth/gmail.insert",
            Self::Labels => "https://www.googleapis.com/auth/gmail.labels",
            Self::SettingsBasic => "https://www.googleapis.com/auth/gmail.settings.basic",
            Self::Contacts => "https://www.googleapis.com/auth/contacts",
            Self::ContactsReadonly => "https://www.googleapis.com/auth/contacts.readonly",
            Self::Email => "https://www.googleapis.com/auth/userinfo.email",
            Self::Profile => "https://www.googleapis.com/auth/userinfo.profile",
        }
    }

    /// `email` and `profile` come back as URLs.
    pub(crate) fn spelled_out(scope: &str) -> String {
        match scope {
            "email" => Self::Email.url().to_owned(),
            "profile" => Self::Profile.url().to_owned(),
            other => other.to_owned(),
        }
    }

    /// Scopes without a box on the consent page.
    pub(crate) fn is_sign_in(scope: &str) -> bool {
        scope == "openid" || scope == Self::Email.url() || scope == Self::Profile.url()
    }

    /// Scopes that a changed password ends.
    pub(crate) fn is_gmail(scope: &str) -> bool {
        scope == Self::Mail.url() || scope.starts_with("https://www.googleapis.com/auth/gmail.")
    }
}

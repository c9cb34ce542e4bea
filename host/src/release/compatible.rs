//! Whether a version may take over: it asks for nothing that was not granted to the one before.
//!
//! Users consented to scopes, operators and tenants to origins. A version that wants more needs their
//! consent first: it has to be configured and the connections made anew, not promoted.

use crate::contract::PluginManifest;

/// Why a version may not take over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Incompatible {
    /// It is another component.
    #[error("it is {found}, not a version of {expected}")]
    Name {
        /// The component that runs.
        expected: String,
        /// The other one.
        found: String,
    },
    /// It is for another provider.
    #[error("it is for {found}, not for {expected}")]
    Provider {
        /// The provider of the component that runs.
        expected: String,
        /// The other one.
        found: String,
    },
    /// It wants to reach more.
    #[error("it wants to reach {}, which is not granted", .0.join(", "))]
    Origins(Vec<String>),
    /// It wants the mailbox's credential sent to more.
    #[error("it wants the mailbox's credential for {}, which is not granted", .0.join(", "))]
    CredentialOrigins(Vec<String>),
    /// It needs more scopes than the users granted.
    #[error("it needs {}, which the users have not granted", .0.join(", "))]
    Scopes(Vec<String>),
}

/// Whether `next` may take over from `current`.
pub fn compatible(current: &PluginManifest, next: &PluginManifest) -> Result<(), Incompatible> {
    if next.name != current.name {
        return Err(Incompatible::Name {
            expected: current.name.clone(),
            found: next.name.clone(),
        });
    }
    if next.provider != current.provider {
        return Err(Incompatible::Provider {
            expected: current.provider.clone(),
            found: next.provider.clone(),
        });
    }
    let more = |had: &[String], wants: &[String]| -> Vec<String> {
        wants.iter().filter(|one| !had.contains(one)).cloned().collect()
    };
    let origins = more(&current.origins, &next.origins);
    if !origins.is_empty() {
        return Err(Incompatible::Origins(origins));
    }
    let credential = more(&current.credential_origins, &next.credential_origins);
    if !credential.is_empty() {
        return Err(Incompatible::CredentialOrigins(credential));
    }
    let scopes = more(&current.scopes, &next.scopes);
    if !scopes.is_empty() {
        return Err(Incompatible::Scopes(scopes));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Budget;

    fn manifest() -> PluginManifest {
        PluginManifest {
            name: "mail".into(),
            version: "1.0.0".into(),
            provider: "Mail".into(),
            description: String::new(),
            origins: vec!["https://a.example".into(), "https://b.example".into()],
            credential_origins: vec!["https://a.example".into()],
            scopes: vec!["read".into()],
            optional_scopes: Vec::new(),
            budget: Budget {
                memory: 1,
                cpu: 1,
                wall: 1,
                requests: 1,
            },
            settings_schema: String::new(),
        }
    }

    #[test]
    fn a_version_that_asks_for_the_same_or_less_may_take_over() {
        let next = PluginManifest {
            version: "2.0.0".into(),
            origins: vec!["https://a.example".into()],
            ..manifest()
        };
        assert_eq!(compatible(&manifest(), &next), Ok(()));
    }

    #[test]
    fn a_version_that_asks_for_more_is_refused_with_what_it_asks() {
        let mut next = manifest();
        next.origins.push("https://c.example".into());
        let refused = compatible(&manifest(), &next).unwrap_err();
        assert_eq!(refused, Incompatible::Origins(vec!["https://c.example".into()]));
        let mut next = manifest();
        next.credential_origins.push("https://b.example".into());
        assert!(matches!(
            compatible(&manifest(), &next),
            Err(Incompatible::CredentialOrigins(_))
        ));
        let mut next = manifest();
        next.scopes.push("write".into());
        assert!(matches!(
            compatible(&manifest(), &next),
            Err(Incompatible::Scopes(_))
        ));
    }

    #[test]
    fn another_component_is_no_version() {
        let next = PluginManifest {
            name: "calendar".into(),
            ..manifest()
        };
        assert!(matches!(
            compatible(&manifest(), &next),
            Err(Incompatible::Name { .. })
        ));
    }
}

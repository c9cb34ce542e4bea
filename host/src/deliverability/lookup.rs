//! Asking the domain name system, within limits.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use thiserror::Error;

/// How long one lookup may take.
const LOOKUP_TIME: Duration = Duration::from_secs(5);
/// How long all lookups of one subject may take.
pub(super) const WHOLE_TIME: Duration = Duration::from_secs(20);
/// Records of one name and kind.
const MOST_RECORDS: usize = 100;
/// Bytes of one record; a key of 4,096 bits has less than 800.
const RECORD_BYTES: usize = 4_096;

/// A server that takes mail for a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    /// Lower is asked first.
    pub preference: u16,
    /// Its name in lower case, without the final dot; empty for the root, which says that no mail is taken (RFC 7505).
    pub name: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LookupError {
    /// The name does not exist at all.
    #[error("the name does not exist")]
    NoSuchName,
    /// No name server answered in time.
    #[error("no answer in time")]
    TimedOut,
    /// The answer is larger than anything of use.
    #[error("the answer is too large")]
    TooLarge,
    /// The name servers answered with an error, or could not be reached.
    #[error("{0}")]
    Failed(String),
}

/// Looks names up. A name that exists without such records has none.
#[async_trait]
pub trait Dns: Send + Sync {
    /// The TXT records, the strings of each joined.
    async fn txt(&self, name: &str) -> Result<Vec<String>, LookupError>;
    /// The MX records.
    async fn mx(&self, name: &str) -> Result<Vec<MailServer>, LookupError>;
}

/// A [`Dns`] whose answers are held to the limits, whoever gives them.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    dns: &'a dyn Dns,
    patience: Duration,
}

impl<'a> Asking<'a> {
    pub(super) fn new(dns: &'a dyn Dns) -> Self {
        Self {
            dns,
            patience: LOOKUP_TIME,
        }
    }

    pub(super) async fn txt(self, name: &str) -> Result<Vec<String>, LookupError> {
        let answer = tokio::time::timeout(self.patience, self.dns.txt(name)).await;
        fitting(answer.unwrap_or(Err(LookupError::TimedOut)), String::len)
    }

    pub(super) async fn mx(self, name: &str) -> Result<Vec<MailServer>, LookupError> {
        let answer = tokio::time::timeout(self.patience, self.dns.mx(name)).await;
        fitting(answer.unwrap_or(Err(LookupError::TimedOut)), |server| {
            server.name.len()
        })
    }
}

fn fitting<T>(
    answer: Result<Vec<T>, LookupError>,
    size: impl Fn(&T) -> usize,
) -> Result<Vec<T>, LookupError> {
    let records = answer?;
    if records.len() > MOST_RECORDS || records.iter().any(|record| size(record) > RECORD_BYTES) {
        return Err(LookupError::TooLarge);
    }
    Ok(records)
}

/// What a table says, for tests and for a demonstration without a network. A name that is not in it does not exist.
#[derive(Clone, Debug, Default)]
pub struct Table {
    txt: BTreeMap<String, Vec<String>>,
    mx: BTreeMap<String, Vec<MailServer>>,
    errors: BTreeMap<String, LookupError>,
}

impl Table {
    /// A table without names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a TXT record.
    #[must_use]
    pub fn txt(mut self, name: &str, record: &str) -> Self {
        self.txt
            .entry(name.to_owned())
            .or_default()
            .push(record.to_owned());
        self
    }

    /// Adds an MX record.
    #[must_use]
    pub fn mx(mut self, name: &str, preference: u16, server: &str) -> Self {
        self.mx.entry(name.to_owned()).or_default().push(MailServer {
            preference,
            name: server.to_owned(),
        });
        self
    }

    /// Fails every lookup of a name.
    #[must_use]
    pub fn failing(mut self, name: &str, error: LookupError) -> Self {
        self.errors.insert(name.to_owned(), error);
        self
    }

    fn answer<T: Clone>(
        &self,
        records: &BTreeMap<String, Vec<T>>,
        name: &str,
    ) -> Result<Vec<T>, LookupError> {
        if let Some(error) = self.errors.get(name) {
            return Err(error.clone());
        }
        let exists = self.txt.contains_key(name) || self.mx.contains_key(name);
        match records.get(name) {
            Some(records) => Ok(records.clone()),
            None if exists => Ok(Vec::new()),
            None => Err(LookupError::NoSuchName),
        }
    }
}

#[async_trait]
impl Dns for Table {
    async fn txt(&self, name: &str) -> Result<Vec<String>, LookupError> {
        self.answer(&self.txt, name)
    }

    async fn mx(&self, name: &str) -> Result<Vec<MailServer>, LookupError> {
        self.answer(&self.mx, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn t08_an_answer_without_end_is_none() {
        let many = (0..=MOST_RECORDS).fold(Table::new(), |table, number| {
            table.txt("many.example", &number.to_string())
        });
        let table = many.txt("long.example", &"x".repeat(RECORD_BYTES + 1));
        let asking = Asking::new(&table);
        for name in ["many.example", "long.example"] {
            assert_eq!(asking.txt(name).await, Err(LookupError::TooLarge), "{name}");
        }
    }

    /// Never answers.
    struct Silent;

    #[async_trait]
    impl Dns for Silent {
        async fn txt(&self, _: &str) -> Result<Vec<String>, LookupError> {
            std::future::pending().await
        }

        async fn mx(&self, _: &str) -> Result<Vec<MailServer>, LookupError> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn t08_a_lookup_without_an_answer_ends() {
        let impatient = Asking {
            dns: &Silent,
            patience: Duration::from_millis(10),
        };
        assert_eq!(impatient.mx("example.com").await, Err(LookupError::TimedOut));
        assert_eq!(impatient.txt("example.com").await, Err(LookupError::TimedOut));
    }
}

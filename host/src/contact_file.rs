//! Contacts in a file of comma-separated values (RFC 4180): name, email, assigned user, created at.
//!
//! The last two may be absent. A first line that names its columns is followed, whatever their order; without one they
//! stand in this order. A line that cannot be taken does not keep the others from it.

use csv::{ReaderBuilder, StringRecord, Trim};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A contact of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) address: String,
    /// A user's id.
    pub(crate) assigned_user: Option<String>,
    /// ms since the epoch.
    pub(crate) created_at: Option<u64>,
}

/// A line of the file, counted from 1, and the contact it stands for, or why it stands for none.
pub(crate) type Line = (u64, Result<Row, String>);

/// The contacts of a file.
pub(crate) fn read(text: &str) -> Vec<Line> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let mut columns = Columns::default();
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                lines.push((line, Err("it cannot be read".to_owned())));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        match Columns::named_by(&record) {
            Some(named) if lines.is_empty() => columns = named,
            _ => lines.push((line, columns.row(&record))),
        }
    }
    lines
}

/// Where what stands.
struct Columns {
    name: Option<usize>,
    address: usize,
    assigned_user: Option<usize>,
    created_at: Option<usize>,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            name: Some(0),
            address: 1,
            assigned_user: Some(2),
            created_at: Some(3),
        }
    }
}

impl Columns {
    /// The columns, if the record is the line that names them.
    fn named_by(record: &StringRecord) -> Option<Self> {
        let column = |names: &[&str]| {
            let is_it = |field: &str| names.iter().any(|name| field.eq_ignore_ascii_case(name));
            record.iter().position(is_it)
        };
        Some(Self {
            address: column(&["email", "e-mail", "email address", "address"])?,
            name: column(&["name", "full name"]),
            assigned_user: column(&["assigned-user", "assigned user", "owner"]),
            created_at: column(&["created-at", "created at", "created"]),
        })
    }

    fn row(&self, record: &StringRecord) -> Result<Row, String> {
        let field = |column: Option<usize>| record.get(column?).filter(|field| !field.is_empty());
        let address = field(Some(self.address)).ok_or("it has no address")?;
        if !address.contains('@') {
            return Err(format!("{address} is not an address"));
        }
        let created_at = field(self.created_at).map(|text| when(text).ok_or(format!("{text} is not a time")));
        Ok(Row {
            name: field(self.name).unwrap_or(address).to_owned(),
            address: address.to_owned(),
            assigned_user: field(self.assigned_user).map(str::to_owned),
            created_at: created_at.transpose()?,
        })
    }
}

/// RFC 3339, a date, or ms since the epoch.
fn when(text: &str) -> Option<u64> {
    if let Ok(milliseconds) = text.parse() {
        return Some(milliseconds);
    }
    let date_only = format!("{text}T00:00:00Z");
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&date_only, &Rfc3339))
        .ok()?;
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str) -> Vec<Row> {
        read(text).into_iter().map(|(_, row)| row.unwrap()).collect()
    }

    #[test]
    fn fields_may_be_quoted_and_columns_named() {
        let plain = rows("\"Archer, Ann\",ann@a.example,sam,2026-01-02\n");
        let named = rows(
            "\u{feff}Email,Owner,Created,Name\r\nann@a.example,sam,2026-01-02T00:00:00Z,\"Archer, Ann\"\r\n",
        );
        let ann = Row {
            name: "Archer, Ann".into(),
            address: "ann@a.example".into(),
            assigned_user: Some("sam".into()),
            created_at: Some(1_767_312_000_000),
        };
        assert_eq!(plain, std::slice::from_ref(&ann));
        assert_eq!(named, [ann]);
    }

    #[test]
    fn a_line_that_cannot_be_taken_is_named_and_the_others_are() {
        let lines = read(
            "name,email,owner,created\nAnn,ann@a.example\nBob,nowhere\nCarl\n,d@d.example\nEve,e@e.example,,soon\n",
        );
        assert_eq!(lines[0].1.as_ref().unwrap().name, "Ann");
        assert_eq!(lines[1], (3, Err("nowhere is not an address".into())));
        assert_eq!(lines[2], (4, Err("it has no address".into())));
        assert_eq!(lines[3].1.as_ref().unwrap().name, "d@d.example");
        assert_eq!(lines[4], (6, Err("soon is not a time".into())));
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd_to_read(text in "(?s)[a-c,@\"\n\r\u{feff}é]{0,80}") {
            for (_, row) in read(&text) {
                prop_assert!(row.map_or(true, |row| row.address.contains('@')));
            }
        }
    }
}

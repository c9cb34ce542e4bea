//! Contacts from a file. What cannot be taken is said line by line, and does not keep the rest from it.

use axum::extract::multipart::{Multipart, MultipartRejection};
use maud::{Markup, html};

use super::{Desk, failure::Failure, guard::Visitor, layout::Section, upload::Upload};
use crate::{
    contact_file::{self, Line, Row},
    crm::{CrmError, EmbeddedCrm, Imported, NewContact},
    scope::{TenantId, UserId},
};

/// The largest file, bytes.
const LARGEST: usize = 5 << 20;
/// The most contacts of a file.
const MOST: usize = 10_000;
/// Lines that are named at most.
const NAMED: usize = 100;

/// What became of a file's lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) added: usize,
    /// A contact had the address already.
    pub(crate) known: usize,
    /// Lines that were not taken, counted from 1, and why.
    pub(crate) refused: Vec<(u64, String)>,
}

/// The form that takes a file.
pub(super) fn form(visitor: &Visitor) -> Markup {
    html! {
        h2 { "Import contacts" }
        form.write method="post" action="/contacts/import" enctype="multipart/form-data" {
            (visitor.field())
            label {
                "A CSV file"
                input type="file" name="files" accept=".csv,text/csv" required;
            }
            p.muted {
                "Its columns: name, email, assigned user, created at; the last two may be absent. Up to " (MOST)
                " contacts and 5 MB. Whoever is here already, by address, is left alone."
            }
            p { button { "Import" } }
        }
    }
}

/// `POST /contacts/import`.
pub(super) async fn import(
    desk: Desk,
    visitor: Visitor,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Markup, Failure> {
    let form = form.map_err(|rejection| Failure::bad_form(rejection.status()))?;
    let upload = Upload::read(&desk.site, &visitor, form).await?;
    let file = upload
        .files
        .into_iter()
        .next()
        .ok_or_else(|| Failure::invalid("No file was chosen.", "Go back and choose one."))?;
    let (_, bytes) = file.into_attachment();
    let bytes = bytes
        .collect(LARGEST)
        .await
        .map_err(|_| Failure::invalid("The file is larger than 5 MB.", "Split it and import the parts."))?;
    let report = take(&desk.crm, &desk.tenant, &String::from_utf8_lossy(&bytes)).await?;
    Ok(desk.page("Import", Section::Contacts, &outcome(&report)))
}

/// Takes the contacts of a file.
pub(crate) async fn take(crm: &EmbeddedCrm, tenant: &TenantId, text: &str) -> Result<Report, CrmError> {
    let mut lines = contact_file::read(text);
    let over = lines.split_off(lines.len().min(MOST));
    let mut report = Report::default();
    let (mut numbers, mut contacts) = (Vec::new(), Vec::new());
    for (number, row) in lines {
        match row {
            Ok(row) => {
                numbers.push(number);
                contacts.push(contact(row));
            }
            Err(why) => report.refused.push((number, why)),
        }
    }
    let imported = crm.import_contacts(tenant, contacts).await?;
    for (number, imported) in numbers.into_iter().zip(imported) {
        match imported {
            Imported::Added(_) => report.added += 1,
            Imported::Known(_) => report.known += 1,
            Imported::Refused(why) => report.refused.push((number, why)),
        }
    }
    let beyond = |(number, _): &Line| (*number, format!("there are more than {MOST} contacts"));
    report.refused.extend(over.first().map(beyond));
    report.refused.sort_by_key(|(number, _)| *number);
    Ok(report)
}

fn contact(row: Row) -> NewContact {
    NewContact {
        name: row.name,
        addresses: vec![row.address],
        assigned_user: row.assigned_user.map(UserId::new),
        created_at: row.created_at,
    }
}

fn outcome(report: &Report) -> Markup {
    html! {
        main.narrow {
            h1 { "Import" }
            p.state.good { (report.added) " contacts were added." }
            @if report.known > 0 { p.note { (report.known) " were here already and were left alone." } }
            @if !report.refused.is_empty() {
                div.state.bad {
                    p { (report.refused.len()) " lines were not taken:" }
                    ul {
                        @for (line, why) in report.refused.iter().take(NAMED) { li { "Line " (line) ": " (why) "." } }
                        @if report.refused.len() > NAMED { li { "and more." } }
                    }
                }
            }
            p { a.button href="/contacts" { "Contacts" } }
        }
    }
}

//! Accounts: made, listed, changed and removed by the operator.

use rusqlite::{Connection as Sql, OptionalExtension, Row};
use secrecy::SecretString;

use super::{People, PeopleError, Person, Role, TEXT_LIMIT, fold, password};
use crate::scope::{TenantId, UserId};

/// A person to be added.
#[derive(Debug)]
pub struct NewPerson {
    /// What they sign in with, such as their address.
    pub login: String,
    /// Their tenant.
    pub tenant: TenantId,
    /// Who they are there.
    pub user: UserId,
    /// What they are called.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Their password.
    pub password: SecretString,
}

impl People {
    /// Adds a person.
    ///
    /// # Errors
    ///
    /// `Taken` for a login or user that has an account, `Invalid` for a login or password that breaks a rule.
    pub async fn add(&self, new: NewPerson) -> Result<Person, PeopleError> {
        password::check(&new.password)?;
        let person = Person {
            login: fold(&new.login),
            tenant: new.tenant,
            user: new.user,
            name: new.name.trim().to_owned(),
            role: new.role,
            created_at: self.clock.now(),
        };
        check(&person)?;
        let hash = self.hash(new.password).await?;
        let row = person.clone();
        self.database
            .write(move |sql| {
                sql.execute(
                    "INSERT INTO people_person (login, tenant, user, name, role, password, created_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    (
                        &row.login,
                        row.tenant.as_str(),
                        row.user.as_str(),
                        &row.name,
                        row.role.as_str(),
                        hash,
                        row.created_at,
                    ),
                )?;
                Ok::<_, PeopleError>(())
            })
            .await?;
        Ok(person)
    }

    /// Everybody, in the order of their logins.
    pub async fn list(&self) -> Result<Vec<Person>, PeopleError> {
        self.database
            .call(|sql| {
                let mut statement = sql.prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM people_person AS person ORDER BY login"
                ))?;
                let people = statement.query_map([], person)?.collect::<Result<_, _>>()?;
                Ok(people)
            })
            .await
    }

    /// The person with this login.
    pub async fn person(&self, login: &str) -> Result<Option<Person>, PeopleError> {
        let login = fold(login);
        self.database.call(move |sql| Ok(by_login(sql, &login)?)).await
    }

    /// Gives a person another password. Their sessions end; their tokens stay.
    pub async fn set_password(&self, login: &str, password: SecretString) -> Result<(), PeopleError> {
        password::check(&password)?;
        let (login, hash) = (fold(login), self.hash(password).await?);
        self.database
            .write(move |sql| {
                let changed = sql.execute(
                    "UPDATE people_person SET password = ?2 WHERE login = ?1",
                    (&login, hash),
                )?;
                sql.execute("DELETE FROM people_session WHERE login = ?1", [&login])?;
                found(changed)
            })
            .await
    }

    /// Removes a person with their sessions and tokens. What they wrote and connected stays.
    pub async fn remove(&self, login: &str) -> Result<(), PeopleError> {
        let login = fold(login);
        self.database
            .write(move |sql| found(sql.execute("DELETE FROM people_person WHERE login = ?1", [&login])?))
            .await
    }
}

/// The columns that [`person`] reads, of a table called `person`.
pub(super) const COLUMNS: &str =
    "person.login, person.tenant, person.user, person.name, person.role, person.created_at";

pub(super) fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    Ok(Person {
        login: row.get(0)?,
        tenant: TenantId::new(row.get::<_, String>(1)?),
        user: UserId::new(row.get::<_, String>(2)?),
        name: row.get(3)?,
        // A role that this version does not know gives no more than the least.
        role: match row.get_ref(4)?.as_str()? {
            "admin" => Role::Admin,
            _ => Role::User,
        },
        created_at: row.get(5)?,
    })
}

fn by_login(sql: &Sql, login: &str) -> rusqlite::Result<Option<Person>> {
    sql.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM people_person AS person WHERE login = ?1"
    ))?
    .query_row([login], person)
    .optional()
}

/// Whether a change met a row.
pub(super) fn found(changed: usize) -> Result<(), PeopleError> {
    if changed == 0 {
        return Err(PeopleError::Unknown);
    }
    Ok(())
}

fn check(person: &Person) -> Result<(), PeopleError> {
    let odd = |c: char| c.is_whitespace() || c.is_control();
    let fits = |text: &str| !text.is_empty() && text.len() <= TEXT_LIMIT && !text.contains(odd);
    if !fits(&person.login) {
        return Err(PeopleError::Invalid(format!(
            "a login is 1 to {TEXT_LIMIT} bytes without white space"
        )));
    }
    if !fits(person.tenant.as_str()) || !fits(person.user.as_str()) {
        return Err(PeopleError::Invalid(
            "a tenant and a user are named without white space".into(),
        ));
    }
    if person.name.len() > TEXT_LIMIT || person.name.contains(char::is_control) {
        return Err(PeopleError::Invalid(format!(
            "a name is at most {TEXT_LIMIT} bytes"
        )));
    }
    Ok(())
}

//! What requests bring. What cannot be read is a problem document, as everything else.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::problem::Problem;
use crate::{crm::Paging, web::WebState};

/// Entries of a page that was not told how many.
const PAGE: u32 = 50;
/// The most entries of a page.
const LONGEST_PAGE: u32 = 100;
/// The furthest page.
const FURTHEST: u32 = 10_000_000;
/// The longest text that is looked for, in characters.
const FIND_LIMIT: usize = 200;

/// A JSON body: an object. Without that word serde would take an array for one, its entries for members in their order.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<WebState> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, site: &WebState) -> Result<Self, Problem> {
        let Json(object) = Json::<Map<String, Value>>::from_request(request, site)
            .await
            .map_err(|rejection| Problem::malformed(rejection.status(), &rejection.body_text()))?;
        let value = serde_json::from_value(Value::Object(object));
        let value = value
            .map_err(|error| Problem::malformed(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()))?;
        Ok(Self(value))
    }
}

/// The variable parts of the path.
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<WebState> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &WebState) -> Result<Self, Problem> {
        let Path(value) = Path::from_request_parts(parts, site)
            .await
            .map_err(|rejection| Problem::malformed(rejection.status(), &rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// The query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<WebState> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &WebState) -> Result<Self, Problem> {
        let Query(value) = Query::from_request_parts(parts, site)
            .await
            .map_err(|rejection| Problem::malformed(rejection.status(), &rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// How many to leave out.
    #[serde(default)]
    #[param(minimum = 0, maximum = 10_000_000, default = 0)]
    offset: u32,
    /// How many at most.
    #[serde(default = "page")]
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: u32,
}

fn page() -> u32 {
    PAGE
}

/// Which of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Find {
    /// Contacts alone whose name or address has this in it, in any case of ASCII letters; of conversations also those with
    /// a message whose subject has it.
    #[param(max_length = 200)]
    find: Option<String>,
}

impl Find {
    /// What is looked for; empty: everything.
    pub(super) fn text(self) -> Result<String, Problem> {
        let find = self.find.unwrap_or_default();
        if find.chars().count() > FIND_LIMIT {
            let status = StatusCode::BAD_REQUEST;
            return Err(Problem::malformed(status, "find is at most 200 characters"));
        }
        Ok(find)
    }
}

impl Part {
    /// One entry more than was asked for, to know whether there are more.
    pub(super) fn paging(self) -> Result<Paging, Problem> {
        if !(1..=LONGEST_PAGE).contains(&self.limit) || self.offset > FURTHEST {
            return Err(Problem::malformed(
                StatusCode::BAD_REQUEST,
                "limit is 1 to 100, offset at most 10,000,000",
            ));
        }
        Ok(Paging {
            offset: self.offset,
            limit: self.limit + 1,
        })
    }

    /// Takes the entry too many away, and says where the next page begins.
    pub(super) fn next<T>(self, entries: &mut Vec<T>) -> Option<u32> {
        let more = entries.len() > self.limit as usize;
        entries.truncate(self.limit as usize);
        more.then(|| self.offset + self.limit)
    }
}

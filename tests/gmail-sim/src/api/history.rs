//! `users.history.list`.

use super::{Call, Reply};
use crate::errors::ApiError;
use crate::history::{self, ChangeKind, Cursor, HistoryQuery};

pub(crate) fn list(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let query = read(call)?;
    let now = call.world.steady();
    let behaviour = call.world.behaviour.clone();
    let account = call.account_mut()?;
    history::list(account, &query, &behaviour, now).map(Reply::Json)
}

fn read(call: &Call<'_>) -> Result<HistoryQuery, ApiError> {
    let start = call
        .query
        .get("startHistoryId")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| ApiError::invalid("Missing/invalid parameter: startHistoryId"))?;
    let kinds = call
        .query
        .all("historyTypes")
        .iter()
        .map(|name| ChangeKind::parse(name).ok_or_else(|| ApiError::bad_value("history_types", name)))
        .collect::<Result<Vec<_>, _>>()?;
    let label = call.query.get("labelId").map(ToOwned::to_owned);
    if let Some(unknown) = label
        .as_ref()
        .filter(|label| !call.account().is_ok_and(|own| own.labels.contains_key(*label)))
    {
        return Err(ApiError::invalid(format!("Invalid label: {unknown}")));
    }
    let page = match call.query.get("pageToken") {
        Some(token) => Some(Cursor::parse(token).ok_or_else(|| ApiError::invalid("Invalid pageToken"))?),
        None => None,
    };
    Ok(HistoryQuery {
        start,
        kinds,
        label,
        max: call.query.max_results()?,
        page,
    })
}

//! How the sync of a tenant is, for its administrators.

use axum::{Json, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    asked::{Hours, Sought},
    explanations::Explanation,
    extract::{Asked, At},
    problem::{Problem, Refused, Unchanged},
    types::{Connection, Reason},
};
use crate::{
    contract::{Subject, Trigger},
    crm, quota,
    store::Used,
    web::{Desk, administered, for_administrators, look_up, under_watch},
};

/// What the last pass used.
#[derive(Debug, Serialize, ToSchema)]
struct Usage {
    /// The most memory at any time, bytes.
    memory: u64,
    /// Time inside the component, ms.
    cpu: u64,
    /// Time in all, ms.
    wall: u64,
    /// HTTP requests.
    requests: u32,
    /// The provider's quota units.
    units: u32,
}

impl From<Used> for Usage {
    fn from(used: Used) -> Self {
        Self {
            memory: used.memory,
            cpu: used.cpu,
            wall: used.wall,
            requests: used.requests,
            units: used.units,
        }
    }
}

/// How a mailbox stands with the provider's quota.
#[derive(Debug, Serialize, ToSchema)]
struct Quota {
    /// Units taken in the last minute.
    units: u64,
    /// Units of a minute; absent: no rate is set.
    of: Option<u64>,
    /// The provider wants no request before then; 0: it said nothing.
    barred_until: u64,
    /// The provider wants no sending before then; 0: it said nothing.
    sending_barred_until: u64,
}

impl From<quota::Used> for Quota {
    fn from(used: quota::Used) -> Self {
        Self {
            units: used.units,
            of: used.of,
            barred_until: used.barred_until,
            sending_barred_until: used.sending_barred_until,
        }
    }
}

/// A connection, and how it stands.
#[derive(Debug, Serialize, ToSchema)]
struct Stands {
    /// The connection.
    connection: Connection,
    /// Whatever the provider had by then is accounted for.
    current_at: Option<u64>,
    /// Until when the provider pushes what happens to the mailbox; absent: it is polled.
    watched_until: Option<u64>,
    /// When a notification came last.
    notified_at: Option<u64>,
    /// What the last pass used.
    used: Usage,
    /// How it stands with the provider's quota, where that is counted.
    quota: Option<Quota>,
}

/// What a pass may use.
#[derive(Debug, Serialize, ToSchema)]
struct PassLimits {
    /// Memory, bytes.
    memory: u64,
    /// Time inside the component, ms.
    cpu: u64,
    /// Time in all, ms.
    wall: u64,
    /// HTTP requests.
    requests: u32,
}

/// The sync of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Operations {
    /// Name and version of the component at work.
    component: String,
    /// What its passes may use.
    limits: Option<PassLimits>,
    /// The connections that were not ended.
    connections: Vec<Stands>,
}

/// How the tenant's connections stand.
#[utoipa::path(get, operation_id = "getOperations", path = "/operations", tag = "operations",
    responses((status = 200, body = Operations), Refused))]
pub(super) async fn overview(desk: Desk) -> Result<Json<Operations>, Problem> {
    for_administrators(&desk)?;
    let audits = desk.connections.audits(&desk.tenant).await?;
    let limits = desk.connections.limits().await;
    let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut connections = Vec::new();
    for connection in under_watch(&desk).await? {
        let quota = desk.connections.quota(&connection).map(Into::into);
        let lasting = desk.connections.lasting(&connection.scope.connection).await;
        let audit = audits.get(&connection.scope.connection);
        connections.push(Stands {
            current_at: connection.standing.current_at,
            watched_until: connection.standing.watched_until,
            notified_at: connection.announced.heard_at,
            used: connection.standing.used.into(),
            quota,
            connection: Connection::new(connection, &lasting, audit),
        });
    }
    Ok(Json(Operations {
        component: desk.connections.component().await,
        limits: limits.map(|limits| PassLimits {
            memory: limits.memory as u64,
            cpu: milliseconds(limits.cpu),
            wall: milliseconds(limits.wall),
            requests: limits.requests,
        }),
        connections,
    }))
}

/// The mail of one hour.
#[derive(Debug, Serialize, ToSchema)]
struct Hour {
    /// When it began.
    from: u64,
    /// Messages that came.
    inbound: u32,
    /// Messages that went.
    outbound: u32,
}

/// The mail of the last hours, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Traffic {
    /// Hours without mail too.
    hours: Vec<Hour>,
}

/// How much mail came and went.
#[utoipa::path(get, operation_id = "getTraffic", path = "/operations/traffic", tag = "operations", params(Hours),
    responses((status = 200, body = Traffic), Refused))]
pub(super) async fn traffic(desk: Desk, Asked(asked): Asked<Hours>) -> Result<Json<Traffic>, Problem> {
    for_administrators(&desk)?;
    let now = desk.connections.now();
    let counted = desk.crm.traffic(&desk.tenant, now, asked.count()?).await?;
    let hours = counted.into_iter().map(|hour: crm::Hour| Hour {
        from: hour.from,
        inbound: hour.inbound,
        outbound: hour.outbound,
    });
    Ok(Json(Traffic {
        hours: hours.collect(),
    }))
}

/// What a connection's ledger says.
#[derive(Debug, Serialize, ToSchema)]
struct Said {
    /// The connection.
    connection: String,
    /// The mailbox.
    address: String,
    /// One for each message that was found.
    explanations: Vec<Explanation>,
    /// Why it could not be asked.
    problem: Option<Reason>,
}

/// What the ledgers of a tenant say.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ledgers {
    /// Of each connection; of twenty at most.
    connections: Vec<Said>,
}

/// Why mail is here, or is not, whoever's it is.
#[utoipa::path(get, operation_id = "searchLedgers", path = "/operations/explanations", tag = "operations", params(Sought),
    responses((status = 200, body = Ledgers), Refused))]
pub(super) async fn explain(desk: Desk, Asked(sought): Asked<Sought>) -> Result<Json<Ledgers>, Problem> {
    for_administrators(&desk)?;
    let connections = under_watch(&desk).await?;
    let hits = look_up(&desk, &connections, sought.text()?).await;
    let said = hits.into_iter().map(|hit| {
        let (explanations, problem) = match hit.found {
            Ok(found) => (found.into_iter().map(Into::into).collect(), None),
            Err(trouble) => (Vec::new(), Some(trouble.into())),
        };
        Said {
            connection: hit.connection.scope.connection.as_str().to_owned(),
            address: hit.connection.address.clone(),
            explanations,
            problem,
        }
    });
    Ok(Json(Ledgers {
        connections: said.collect(),
    }))
}

/// What was set aside.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SetAside {
    /// Messages that could not be handled, the oldest first, 500 at most.
    messages: Vec<Explanation>,
}

/// What a connection set aside after an error.
#[utoipa::path(get, operation_id = "listSetAside", path = "/operations/connections/{connection}/set-aside", tag = "operations",
    params(("connection" = String, Path)), responses((status = 200, body = SetAside), Refused))]
pub(super) async fn set_aside(desk: Desk, At(id): At<String>) -> Result<Json<SetAside>, Problem> {
    let connection = administered(&desk, &id).await?;
    let id = &connection.scope.connection;
    let found = desk.connections.explain(id, Subject::Quarantined).await?;
    Ok(Json(SetAside {
        messages: found.into_iter().map(Into::into).collect(),
    }))
}

/// Asks for a pass now, which tries again what was set aside too.
#[utoipa::path(post, operation_id = "retryConnection", path = "/operations/connections/{connection}/retry", tag = "operations",
    params(("connection" = String, Path)), responses((status = 202), Unchanged))]
pub(super) async fn retry(desk: Desk, At(id): At<String>) -> Result<StatusCode, Problem> {
    let connection = administered(&desk, &id).await?;
    desk.connections
        .wake(&connection.scope.connection, Trigger::Manual);
    Ok(StatusCode::ACCEPTED)
}

/// Begins an audit: the mailbox is compared with the ledger, and what is missing is brought in. What it found shows with
/// the connection.
#[utoipa::path(post, operation_id = "auditConnection", path = "/operations/connections/{connection}/audit", tag = "operations",
    params(("connection" = String, Path)), responses((status = 202), Unchanged))]
pub(super) async fn audit(desk: Desk, At(id): At<String>) -> Result<StatusCode, Problem> {
    let connection = administered(&desk, &id).await?;
    desk.connections.audit(&connection.scope.connection);
    Ok(StatusCode::ACCEPTED)
}

//! The tables, and the triggers that write events down. They look at the tables of the embedded CRM and of the registry,
//! which therefore have to be there first.

/// Now, ms since the epoch. By the database's clock: a trigger has no other.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

/// One event for each address of the tenant that was not given up.
macro_rules! tell {
    ($kind:literal, $tenant:literal, $data:expr) => {
        concat!(
            "INSERT INTO webhook_event (id, endpoint, kind, at, data)
             SELECT 'evt_' || lower(hex(randomblob(16))), id, '",
            $kind,
            "', ",
            now!(),
            ", ",
            $data,
            " FROM webhook_endpoint WHERE tenant = ",
            $tenant,
            " AND given_up = 0;"
        )
    };
}

macro_rules! message {
    () => {
        "json_object(
            'message', NEW.id, 'contact', NEW.contact, 'connection', NEW.connection,
            'direction', lower(json_extract(NEW.record, '$.direction')),
            'at', NEW.at,
            'unread', json(iif(NEW.unread, 'true', 'false')),
            'starred', json(iif(NEW.starred, 'true', 'false')),
            'archived', json(iif(NEW.archived, 'true', 'false')),
            'trashed', json(iif(NEW.trashed, 'true', 'false')),
            'deleted', json(iif(NEW.deleted, 'true', 'false')),
            'released', json(iif(NEW.released, 'true', 'false')),
            'delivery', iif(json_type(NEW.delivery) = 'object',
                (SELECT key FROM json_each(NEW.delivery) LIMIT 1), json_extract(NEW.delivery, '$')))"
    };
}

macro_rules! connection {
    () => {
        "json_object(
            'connection', NEW.id, 'user', json_extract(NEW.record, '$.scope.user'),
            'address', json_extract(NEW.record, '$.address'), 'status', json_extract(NEW.record, '$.status'))"
    };
}

pub(super) const MIGRATIONS: &[&str] = &[concat!(
    "
    CREATE TABLE webhook_endpoint (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        url TEXT NOT NULL,
        secret TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        answered_at INTEGER,
        failing_since INTEGER,
        error TEXT,
        retry_at INTEGER NOT NULL DEFAULT 0,
        given_up INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX webhook_endpoint_by_tenant ON webhook_endpoint (tenant);
    CREATE TABLE webhook_event (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL,
        endpoint TEXT NOT NULL REFERENCES webhook_endpoint (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        at INTEGER NOT NULL,
        data TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX webhook_event_by_endpoint ON webhook_event (endpoint, sequence);
    CREATE TRIGGER webhook_message_created AFTER INSERT ON crm_message
    WHEN EXISTS (SELECT 1 FROM webhook_endpoint WHERE tenant = NEW.tenant)
    BEGIN
        ",
    tell!("message.created", "NEW.tenant", message!()),
    "
    END;
    CREATE TRIGGER webhook_message_updated AFTER UPDATE ON crm_message
    WHEN EXISTS (SELECT 1 FROM webhook_endpoint WHERE tenant = NEW.tenant)
        AND (NEW.contact, NEW.unread, NEW.starred, NEW.archived, NEW.trashed, NEW.deleted, NEW.released, NEW.delivery,
             NEW.undelivered)
        IS NOT (OLD.contact, OLD.unread, OLD.starred, OLD.archived, OLD.trashed, OLD.deleted, OLD.released, OLD.delivery,
             OLD.undelivered)
    BEGIN
        ",
    tell!("message.updated", "NEW.tenant", message!()),
    "
    END;
    CREATE TRIGGER webhook_connection_made AFTER INSERT ON store_connection
    WHEN EXISTS (SELECT 1 FROM webhook_endpoint WHERE tenant = json_extract(NEW.record, '$.scope.tenant'))
    BEGIN
        ",
    tell!(
        "connection.changed",
        "json_extract(NEW.record, '$.scope.tenant')",
        connection!()
    ),
    "
    END;
    CREATE TRIGGER webhook_connection_changed AFTER UPDATE ON store_connection
    WHEN EXISTS (SELECT 1 FROM webhook_endpoint WHERE tenant = json_extract(NEW.record, '$.scope.tenant'))
        AND (json_extract(NEW.record, '$.status'), json_extract(NEW.record, '$.address'))
        IS NOT (json_extract(OLD.record, '$.status'), json_extract(OLD.record, '$.address'))
    BEGIN
        ",
    tell!(
        "connection.changed",
        "json_extract(NEW.record, '$.scope.tenant')",
        connection!()
    ),
    "
    END;
"
)];

//! The tables. Who reads a row names its tenant; composite foreign keys keep a row from pointing at
//! another tenant's.

pub(super) const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE crm_tenant (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL
    ) STRICT;
    CREATE TABLE crm_user (
        tenant TEXT NOT NULL REFERENCES crm_tenant (id),
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        PRIMARY KEY (tenant, id)
    ) STRICT;
    CREATE TABLE crm_contact (
        tenant TEXT NOT NULL REFERENCES crm_tenant (id),
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        assigned_user TEXT,
        PRIMARY KEY (tenant, id),
        FOREIGN KEY (tenant, assigned_user) REFERENCES crm_user (tenant, id)
    ) STRICT;
    CREATE TABLE crm_address (
        tenant TEXT NOT NULL,
        contact TEXT NOT NULL,
        position INTEGER NOT NULL,
        address TEXT NOT NULL,
        folded TEXT NOT NULL,
        PRIMARY KEY (tenant, contact, position),
        FOREIGN KEY (tenant, contact) REFERENCES crm_contact (tenant, id)
    ) STRICT;
    CREATE INDEX crm_address_by_text ON crm_address (tenant, folded);
    CREATE TABLE crm_message (
        sequence INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        contact TEXT NOT NULL,
        connection TEXT NOT NULL,
        user TEXT NOT NULL,
        key TEXT,
        at INTEGER NOT NULL,
        unread INTEGER NOT NULL,
        starred INTEGER NOT NULL,
        archived INTEGER NOT NULL,
        trashed INTEGER NOT NULL,
        deleted INTEGER NOT NULL DEFAULT 0,
        released INTEGER NOT NULL DEFAULT 0,
        record TEXT NOT NULL,
        delivery TEXT NOT NULL,
        waits INTEGER NOT NULL DEFAULT 0,
        outbound TEXT,
        idempotency_key TEXT,
        FOREIGN KEY (tenant, contact) REFERENCES crm_contact (tenant, id)
    ) STRICT;
    CREATE UNIQUE INDEX crm_message_by_key ON crm_message (tenant, key) WHERE key IS NOT NULL;
    CREATE UNIQUE INDEX crm_message_by_request ON crm_message (tenant, idempotency_key)
        WHERE idempotency_key IS NOT NULL;
    CREATE INDEX crm_message_by_conversation ON crm_message (tenant, contact, at);
    CREATE INDEX crm_message_waiting ON crm_message (tenant, connection, at) WHERE waits = 1;
    CREATE TABLE crm_content (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        size INTEGER
    ) STRICT;
    CREATE TABLE crm_chunk (
        content INTEGER NOT NULL REFERENCES crm_content (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        UNIQUE (content, position)
    ) STRICT;
    CREATE TABLE crm_attachment (
        message TEXT NOT NULL REFERENCES crm_message (id) ON DELETE CASCADE,
        part TEXT NOT NULL,
        position INTEGER NOT NULL,
        record TEXT NOT NULL,
        content INTEGER REFERENCES crm_content (id),
        PRIMARY KEY (message, part)
    ) STRICT;
    CREATE INDEX crm_attachment_by_content ON crm_attachment (content);
    CREATE TABLE crm_change (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        connection TEXT NOT NULL,
        record TEXT NOT NULL
    ) STRICT;
    CREATE INDEX crm_change_by_connection ON crm_change (tenant, connection, sequence);
",
    "
    CREATE TABLE crm_person (
        tenant TEXT NOT NULL,
        account TEXT NOT NULL,
        key TEXT NOT NULL,
        contact TEXT NOT NULL,
        made INTEGER NOT NULL,
        PRIMARY KEY (tenant, account, key),
        FOREIGN KEY (tenant, contact) REFERENCES crm_contact (tenant, id)
    ) STRICT;
    CREATE INDEX crm_person_by_contact ON crm_person (tenant, contact);
",
    // The list of conversations is made of this alone.
    "
    CREATE INDEX crm_message_overview ON crm_message (tenant, contact, at, unread) WHERE deleted = 0;
",
    "
    ALTER TABLE crm_contact ADD COLUMN private INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE crm_address ADD COLUMN loose TEXT;
    CREATE INDEX crm_address_by_likeness ON crm_address (tenant, loose);
    CREATE INDEX crm_address_unindexed ON crm_address (tenant) WHERE loose IS NULL;
",
    "
    ALTER TABLE crm_message ADD COLUMN undelivered TEXT;
    ALTER TABLE crm_message ADD COLUMN route TEXT NOT NULL DEFAULT 'mailbox' CHECK (route IN ('mailbox', 'provider'));
    DROP INDEX crm_message_waiting;
    CREATE INDEX crm_message_waiting ON crm_message (tenant, connection, at) WHERE waits = 1 AND route = 'mailbox';
    CREATE INDEX crm_message_for_provider ON crm_message (at) WHERE waits = 1 AND route = 'provider';
    CREATE TABLE crm_dispatch (
        message TEXT NOT NULL REFERENCES crm_message (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        address TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waits', 'begun', 'sent', 'failed', 'unconfirmed')),
        since INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        result TEXT,
        PRIMARY KEY (message, position)
    ) STRICT;
",
    "
    ALTER TABLE crm_message ADD COLUMN held_until INTEGER;
    CREATE INDEX crm_message_written ON crm_message (tenant, connection, at) WHERE outbound IS NOT NULL;
",
    "
    ALTER TABLE crm_content ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
",
    "
    ALTER TABLE crm_message ADD COLUMN request_digest BLOB;
",
    "
    ALTER TABLE crm_message ADD COLUMN subject TEXT GENERATED ALWAYS AS (json_extract(record, '$.subject')) VIRTUAL;
    CREATE INDEX crm_message_subjects ON crm_message (tenant, subject, contact) WHERE deleted = 0;
",
];

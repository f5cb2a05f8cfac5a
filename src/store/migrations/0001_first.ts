/** Times are seconds since the epoch. Secrets are digests. Scopes are space-separated, as on the wire. */
export const first = `
CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- Software that the policy file does not name: self-registered (RFC 7591), or known by its metadata document.
CREATE TABLE clients (
  client_id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('registered', 'metadata_document')),
  metadata TEXT NOT NULL,
  secret_digest TEXT,
  registration_token_digest TEXT UNIQUE,
  owner TEXT,
  owner_name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  unused_ttl INTEGER NOT NULL,
  fresh_until INTEGER
);
CREATE INDEX clients_by_owner ON clients (owner);
CREATE INDEX clients_by_use ON clients (used_at);

-- How many clients each principal has registered; kept by the two triggers, checked in the registration's own commit.
CREATE TABLE registrants (
  owner TEXT PRIMARY KEY,
  clients INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER client_registered AFTER INSERT ON clients WHEN NEW.owner IS NOT NULL BEGIN
  UPDATE registrants SET clients = clients + 1 WHERE owner = NEW.owner;
END;
CREATE TRIGGER client_removed AFTER DELETE ON clients WHEN OLD.owner IS NOT NULL BEGIN
  UPDATE registrants SET clients = clients - 1 WHERE owner = OLD.owner;
END;

-- What every code and token descends from: the unit of revocation.
CREATE TABLE authorizations (
  id TEXT PRIMARY KEY,
  client_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  login TEXT NOT NULL,
  node_id TEXT NOT NULL,
  address TEXT NOT NULL,
  bind TEXT NOT NULL CHECK (bind IN ('user', 'node')),
  resource TEXT,
  scopes TEXT NOT NULL,
  auth_time INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  missing_since INTEGER,
  suspended_at INTEGER,
  ended_at INTEGER,
  end_reason TEXT
);
CREATE INDEX authorizations_by_client ON authorizations (client_id);
CREATE INDEX authorizations_by_user ON authorizations (user_id);
CREATE INDEX authorizations_by_end ON authorizations (expires_at);
CREATE INDEX authorizations_ended ON authorizations (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX authorizations_suspended ON authorizations (suspended_at) WHERE suspended_at IS NOT NULL;

CREATE TABLE codes (
  digest TEXT PRIMARY KEY,
  authorization_id TEXT NOT NULL REFERENCES authorizations (id) ON DELETE CASCADE,
  code_challenge TEXT,
  redirect_uri TEXT NOT NULL,
  nonce TEXT,
  expires_at INTEGER NOT NULL,
  consumed_at INTEGER
) WITHOUT ROWID;
CREATE INDEX codes_by_authorization ON codes (authorization_id);
CREATE INDEX codes_by_end ON codes (expires_at);

CREATE TABLE refresh_tokens (
  digest TEXT PRIMARY KEY,
  authorization_id TEXT NOT NULL REFERENCES authorizations (id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  consumed_at INTEGER,
  consumed_with TEXT,
  replays INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_authorization ON refresh_tokens (authorization_id);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);

-- Access tokens revoked before their end (RFC 7009); a token that is not here and whose authorization lives is alive.
CREATE TABLE revoked_tokens (
  jti TEXT PRIMARY KEY,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX revoked_tokens_by_end ON revoked_tokens (expires_at);

-- A page that waits for a person: the request as it was judged, for that person at that node, once.
CREATE TABLE tickets (
  digest TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  request TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  consumed_at INTEGER
) WITHOUT ROWID;
CREATE INDEX tickets_by_end ON tickets (expires_at);

-- What a person agreed to, where the policy says "once".
CREATE TABLE consents (
  user_id TEXT NOT NULL,
  client_id TEXT NOT NULL,
  resource TEXT NOT NULL,
  scopes TEXT NOT NULL,
  software_digest TEXT NOT NULL,
  agreed_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, client_id, resource)
) WITHOUT ROWID;

CREATE TABLE auth_times (
  user_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  auth_time INTEGER NOT NULL,
  PRIMARY KEY (user_id, node_id)
) WITHOUT ROWID;

CREATE TABLE decisions (
  id TEXT PRIMARY KEY,
  at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  count INTEGER NOT NULL DEFAULT 1,
  entry TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('allowed', 'denied')),
  reason TEXT,
  sentence TEXT,
  principal TEXT,
  user_id TEXT,
  node_id TEXT,
  client_id TEXT,
  resource TEXT,
  scopes TEXT,
  granted TEXT,
  authorization_id TEXT,
  detail TEXT,
  policy TEXT NOT NULL,
  identity TEXT
);
CREATE INDEX decisions_by_time ON decisions (last_at);
CREATE INDEX decisions_by_authorization ON decisions (authorization_id);

-- Policies and identities as they were, by SHA-256 of the text.
CREATE TABLE records (
  digest TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('policy', 'identity')),
  body TEXT NOT NULL
) WITHOUT ROWID;
`

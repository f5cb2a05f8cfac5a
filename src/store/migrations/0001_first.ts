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
) WITHOUT ROWID;
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
) WITHOUT ROWID;
CREATE INDEX authorizations_by_client ON authorizations (client_id);
CREATE INDEX authorizations_by_end ON authorizations (expires_at);
CREATE INDEX authorizations_ended ON authorizations (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX authorizations_suspended ON authorizations (suspended_at) WHERE suspended_at IS NOT NULL;

-- Codes and refresh tokens say in their text whose they are, so they are found by their authorization, next to which they also lie on disk:
-- an index by digest would cost a page of its own for each of them.
CREATE TABLE codes (
  authorization_id TEXT PRIMARY KEY REFERENCES authorizations (id) ON DELETE CASCADE,
  digest TEXT NOT NULL,
  code_challenge TEXT,
  redirect_uri TEXT NOT NULL,
  nonce TEXT,
  expires_at INTEGER NOT NULL,
  consumed_at INTEGER
) WITHOUT ROWID;
CREATE INDEX codes_unredeemed ON codes (expires_at) WHERE consumed_at IS NULL;

CREATE TABLE refresh_tokens (
  authorization_id TEXT PRIMARY KEY REFERENCES authorizations (id) ON DELETE CASCADE,
  digest TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  previous_digest TEXT,
  rotated_at INTEGER,
  rotated_for TEXT,
  replays INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

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
) WITHOUT ROWID;
CREATE INDEX decisions_by_time ON decisions (last_at);

-- Policies and identities as they were, by SHA-256 of the text.
CREATE TABLE records (
  digest TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('policy', 'identity')),
  body TEXT NOT NULL
) WITHOUT ROWID;
`

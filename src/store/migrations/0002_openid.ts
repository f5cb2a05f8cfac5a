/** What OpenID Connect asks to be remembered, opaque access tokens, and what is found by its person. */
export const openid = `
-- OpenID Connect Core §5.5: the claims that the request named one by one, as JSON; null for none. And how the person was recognised (RFC 8176).
ALTER TABLE authorizations ADD COLUMN claims TEXT;
ALTER TABLE authorizations ADD COLUMN amr TEXT NOT NULL DEFAULT 'mesh';
CREATE INDEX authorizations_by_user ON authorizations (user_id, id) WHERE ended_at IS NULL;

-- People who are gone: those who must be looked for at one machine, and those who were not found.
CREATE INDEX authorizations_bound ON authorizations (user_id, node_id) WHERE bind = 'node' AND ended_at IS NULL;
CREATE INDEX authorizations_missing ON authorizations (id) WHERE missing_since IS NOT NULL AND ended_at IS NULL;

-- Whether the time was that of a click on a page of ours, not only of a request.
ALTER TABLE auth_times ADD COLUMN confirmed INTEGER NOT NULL DEFAULT 0;

CREATE INDEX tickets_by_user ON tickets (user_id, expires_at) WHERE consumed_at IS NULL;

-- What is forgotten is found by its time; a client by its own, which is not that of its last use.
DROP INDEX clients_by_use;
CREATE INDEX clients_by_end ON clients ((used_at + unused_ttl));
ALTER TABLE records ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
UPDATE records SET used_at = unixepoch();
CREATE INDEX records_by_use ON records (used_at);
-- What the policy was asked, so that another one can be asked the same.
ALTER TABLE decisions ADD COLUMN question TEXT;
CREATE INDEX auth_times_by_time ON auth_times (auth_time);
CREATE INDEX consents_by_client ON consents (client_id);
CREATE INDEX consents_by_time ON consents (agreed_at);
CREATE INDEX registrants_without ON registrants (owner) WHERE clients = 0;

-- Software falls with whoever brought it: since when none of their machines is in the mesh. What is the same software, brought again, has the same digest.
ALTER TABLE registrants ADD COLUMN missing_since INTEGER;
ALTER TABLE clients ADD COLUMN software TEXT;
CREATE INDEX clients_by_owner ON clients (owner, software) WHERE owner IS NOT NULL;

-- RFC 7591 §3: what lets whoever it was issued for register software, so many times. Which one a client came by is kept with the client.
CREATE TABLE initial_access_tokens (
  id TEXT PRIMARY KEY,
  digest TEXT NOT NULL UNIQUE,
  issued_for TEXT NOT NULL,
  uses INTEGER NOT NULL,
  used INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER
) WITHOUT ROWID;
CREATE INDEX initial_access_tokens_by_end ON initial_access_tokens (expires_at);
ALTER TABLE clients ADD COLUMN initial_access_token TEXT;

-- Opaque access tokens, next to the authorization that their text names.
CREATE TABLE access_tokens (
  authorization_id TEXT NOT NULL REFERENCES authorizations (id) ON DELETE CASCADE,
  digest TEXT NOT NULL,
  claims TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (authorization_id, digest)
) WITHOUT ROWID;
CREATE INDEX access_tokens_by_end ON access_tokens (expires_at);
`

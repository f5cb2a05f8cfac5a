/** Authorizations that no person gave: of workloads (RFC 6749 §4.4), and those that tokens were exchanged for (RFC 8693). */
export const exchange = `
-- What a token was exchanged for is a child of what that token came from, and lives no longer. 'subject_jti': the access token that was exchanged, null for
-- an ID token. 'exchange': what was decided on, as JSON. 'workload': the client that all this speaks for, where that is no person; then 'user_id' is empty.
ALTER TABLE authorizations ADD COLUMN parent_id TEXT;
ALTER TABLE authorizations ADD COLUMN subject_jti TEXT;
ALTER TABLE authorizations ADD COLUMN exchange TEXT;
ALTER TABLE authorizations ADD COLUMN workload TEXT;
CREATE INDEX authorizations_by_parent ON authorizations (parent_id) WHERE parent_id IS NOT NULL;

-- People are looked for at the root alone.
DROP INDEX authorizations_by_user;
CREATE INDEX authorizations_by_user ON authorizations (user_id, id) WHERE ended_at IS NULL AND parent_id IS NULL AND workload IS NULL;
DROP INDEX authorizations_bound;
CREATE INDEX authorizations_bound ON authorizations (user_id, node_id)
  WHERE bind = 'node' AND ended_at IS NULL AND parent_id IS NULL AND workload IS NULL;
`

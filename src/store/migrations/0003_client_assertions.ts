/** Assertions by which clients prove themselves are good for once. */
export const clientAssertions = `
-- RFC 7523 §3, 7. \`jti\`: the SHA-256 of it, which its client chooses.
CREATE TABLE client_assertions (
  client_id TEXT NOT NULL,
  jti TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (client_id, jti)
) WITHOUT ROWID;
CREATE INDEX client_assertions_by_end ON client_assertions (expires_at);
`

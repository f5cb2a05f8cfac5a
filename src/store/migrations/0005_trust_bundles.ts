/** What SPIFFE trust domains sign with, as it was last seen. */
export const trustBundles = `
CREATE TABLE trust_bundles (
  trust_domain TEXT PRIMARY KEY,
  source TEXT NOT NULL,
  body TEXT NOT NULL,
  fetched_at INTEGER NOT NULL
) WITHOUT ROWID;
`

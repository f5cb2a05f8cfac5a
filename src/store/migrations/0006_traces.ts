/** An authorization names the decision that made it, so that `meshidp tokens trace` can. */
export const traces = `
ALTER TABLE authorizations ADD COLUMN decision_id TEXT;
`

/** What was decided about one person, the newest first, however much was decided about all others. */
export const decisionsByPrincipal = `
CREATE INDEX decisions_by_principal ON decisions (principal, last_at);
`

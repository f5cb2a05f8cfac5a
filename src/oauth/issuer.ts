/** The path that every endpoint of this issuer begins with; '' at the root. */
export const pathOf = (issuer: string): string => new URL(issuer).pathname.replace(/\/$/, '')

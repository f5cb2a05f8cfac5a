/** Clients build `https://host` and `https://host/` from the same metadata; nothing else is folded (RFC 8707 §2). */
export const withoutSlash = (uri: string): string => (uri.endsWith('/') ? uri.slice(0, -1) : uri)

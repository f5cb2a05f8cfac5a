/** What the tests use of packages that bring no types. */
declare module 'passport' {
  import type { RequestHandler } from 'express'

  type Passport = {
    use: (strategy: object) => void
    serializeUser: (how: (user: unknown, done: (error: null, kept: unknown) => void) => void) => void
    deserializeUser: (how: (kept: unknown, done: (error: null, user: unknown) => void) => void) => void
    session: () => RequestHandler
    authenticate: (strategy: string) => RequestHandler
  }
  const passport: { Passport: new () => Passport }
  export default passport
}

declare module 'passport-openidconnect' {
  type Done = (error: null, user: unknown) => void
  const Strategy: new (
    options: Record<string, unknown>,
    verify: (issuer: string, profile: Record<string, unknown>, done: Done) => void,
  ) => object
  export default Strategy
}

declare module 'express-session' {
  import type { RequestHandler } from 'express'
  export default function session(options: { secret: string; resave: boolean; saveUninitialized: boolean }): RequestHandler
}

import type { Response } from 'express'

/** The authorization server cannot be asked. That says nothing about a token: 503, never 401, which would make clients throw tokens away. */
export class Outage extends Error {
  override name = 'Outage'
}

/** 503, and when to try again; `error_description`: what cannot be done. */
export const answerOutage = (response: Response, error_description: string): void =>
  void response.status(503).set('Retry-After', '5').json({ error: 'temporarily_unavailable', error_description })

/** The authorization server cannot be asked. That says nothing about a token: 503, never 401, which would make clients throw tokens away. */
export class Outage extends Error {
  override name = 'Outage'
}

/** One-time tickets of pages that wait for a person: bound to that person at that node. */
import type { Engine, Write } from './engine.ts'

export type Ticket = {
  digest: string
  user_id: string
  node_id: string
  request: string
  created_at: number
  expires_at: number
  consumed_at: number | null
}

export const tickets = (engine: Engine) => ({
  find: (digest: string) => engine.get<Ticket>('SELECT * FROM tickets WHERE digest = $digest', { digest }),
})

export const insertTicket = (ticket: Omit<Ticket, 'consumed_at'>): Write => ({
  sql: `INSERT INTO tickets (digest, user_id, node_id, request, created_at, expires_at)
    VALUES ($digest, $user_id, $node_id, $request, $created_at, $expires_at)`,
  params: { ...ticket },
})

/** Makes room for one more: of a person's open tickets the newest `most` - 1 stay, so that nobody is locked out by pages that they never opened. */
export const displaceOldest = (user_id: string, most: number): Write => ({
  sql: `DELETE FROM tickets WHERE digest IN
    (SELECT digest FROM tickets WHERE user_id = $user_id AND consumed_at IS NULL ORDER BY expires_at DESC LIMIT -1 OFFSET $kept)`,
  params: { user_id, kept: most - 1 },
})

/** Spends the ticket; the commit fails if it was used already. */
export const consumeTicket = ({ digest }: Ticket, now: number): Write => ({
  sql: 'UPDATE tickets SET consumed_at = $now WHERE digest = $digest AND consumed_at IS NULL',
  params: { digest, now },
  expect: 1,
})

export const deleteTicket = (digest: string): Write => ({ sql: 'DELETE FROM tickets WHERE digest = $digest', params: { digest } })

/** The schema's history: append only. A migration that has run anywhere is never changed; its hash is checked. */
import { first } from './0001_first.ts'
import { openid } from './0002_openid.ts'
import { clientAssertions } from './0003_client_assertions.ts'
import { exchange } from './0004_exchange.ts'
import { trustBundles } from './0005_trust_bundles.ts'
import { traces } from './0006_traces.ts'
import { decisionsByPrincipal } from './0007_decisions_by_principal.ts'

export const migrations = [
  { id: 1, name: 'first', sql: first },
  { id: 2, name: 'openid', sql: openid },
  { id: 3, name: 'client_assertions', sql: clientAssertions },
  { id: 4, name: 'exchange', sql: exchange },
  { id: 5, name: 'trust_bundles', sql: trustBundles },
  { id: 6, name: 'traces', sql: traces },
  { id: 7, name: 'decisions_by_principal', sql: decisionsByPrincipal },
]

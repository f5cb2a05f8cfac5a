/** The last good bundle of each SPIFFE trust domain: so a restart needs nobody, and no older one is taken for newer. */
import type { Engine, Write } from './engine.ts'

/** `source`: where it came from; one from elsewhere says nothing about what is there now. `fetched_at`: seconds. */
export type StoredBundle = { trust_domain: string; source: string; body: string; fetched_at: number }

export const trustBundles = (engine: Engine) => ({
  list: () => engine.all<StoredBundle>('SELECT * FROM trust_bundles ORDER BY trust_domain LIMIT 1000', {}),
})

export const keepTrustBundle = (bundle: StoredBundle): Write => ({
  sql: `INSERT INTO trust_bundles (trust_domain, source, body, fetched_at) VALUES ($trust_domain, $source, $body, $fetched_at)
    ON CONFLICT (trust_domain) DO UPDATE SET source = $source, body = $body, fetched_at = $fetched_at`,
  params: { ...bundle },
})

export const forgetTrustBundle = (trust_domain: string): Write => ({
  sql: 'DELETE FROM trust_bundles WHERE trust_domain = $trust_domain',
  params: { trust_domain },
})

/**
 * oidc-provider's storage, in memory. Its own in-memory adapter keeps the last thousand or two records only, so that tokens vanish under
 * load, and goes through a grant's list of tokens at each of them; this one does neither. Nothing is purged within a run.
 */

/** "Model:id" → record, as oidc-provider gave it. */
const records = new Map()
const sessionsByUid = new Map()
/** Grant id → keys of what falls with it. */
const membersByGrant = new Map()

const FALL_WITH_GRANT = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken'])

/** The adapter of one model, as oidc-provider's documentation wants it ("adapter"). */
export function memoryAdapter(model) {
  const keyOf = (id) => `${model}:${id}`
  return {
    async upsert(id, payload) {
      const key = keyOf(id)
      const { grantId, uid } = payload
      if (grantId !== undefined && FALL_WITH_GRANT.has(model) && !records.has(key)) {
        const members = membersByGrant.get(grantId)
        if (members) members.push(key)
        else membersByGrant.set(grantId, [key])
      }
      if (model === 'Session' && uid !== undefined) sessionsByUid.set(uid, id)
      records.set(key, payload)
    },
    find: async (id) => records.get(keyOf(id)),
    findByUid: async (uid) => records.get(keyOf(sessionsByUid.get(uid))),
    findByUserCode: async () => undefined,
    async consume(id) {
      const record = records.get(keyOf(id))
      if (record) record.consumed = Math.floor(Date.now() / 1000)
    },
    async destroy(id) {
      const uid = records.get(keyOf(id))?.uid
      if (model === 'Session' && uid !== undefined) sessionsByUid.delete(uid)
      records.delete(keyOf(id))
    },
    async revokeByGrantId(grantId) {
      for (const key of membersByGrant.get(grantId) ?? []) records.delete(key)
      membersByGrant.delete(grantId)
    },
  }
}

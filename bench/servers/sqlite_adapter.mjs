/**
 * oidc-provider's storage in SQLite, as durable as meshidp's: WAL, synchronous=FULL. A table for each model, written in the order of arrival; small
 * indexes by id, and by grant, uid and user code only where a model is found by them. Each call is a commit of its own, for oidc-provider's interface
 * knows no transactions. Nothing is purged within a run.
 */
import Database from 'better-sqlite3'

const FALL_WITH_GRANT = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode', 'BackchannelAuthenticationRequest'])
const FOUND_BY_UID = new Set(['Session', 'Interaction'])

const now = () => Math.floor(Date.now() / 1000)

/** Opens the file, made where it is missing; what comes back makes the adapter of one model, as oidc-provider's documentation wants it ("adapter"). */
export function sqliteAdapter(file) {
  const db = new Database(file)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')

  return (model) => {
    const table = `"${model}"`
    const index = (column) => db.exec(`CREATE INDEX IF NOT EXISTS "${model}_${column}" ON ${table} (${column}) WHERE ${column} IS NOT NULL`)
    db.exec(`CREATE TABLE IF NOT EXISTS ${table} (
      id TEXT NOT NULL UNIQUE, payload TEXT NOT NULL, grant_id TEXT, uid TEXT, user_code TEXT, consumed_at INTEGER
    )`)
    if (FALL_WITH_GRANT.has(model)) index('grant_id')
    if (FOUND_BY_UID.has(model)) index('uid')
    if (model === 'DeviceCode') index('user_code')

    const upsert = db.prepare(`INSERT INTO ${table} (id, payload, grant_id, uid, user_code) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET payload = excluded.payload, uid = excluded.uid`)
    const find = db.prepare(`SELECT payload, consumed_at FROM ${table} WHERE id = ?`)
    const findByUid = db.prepare(`SELECT payload, consumed_at FROM ${table} WHERE uid = ?`)
    const findByUserCode = db.prepare(`SELECT payload, consumed_at FROM ${table} WHERE user_code = ?`)
    const consume = db.prepare(`UPDATE ${table} SET consumed_at = ? WHERE id = ?`)
    const destroy = db.prepare(`DELETE FROM ${table} WHERE id = ?`)
    const revoke = FALL_WITH_GRANT.has(model) && db.prepare(`DELETE FROM ${table} WHERE grant_id = ?`)

    const fromRow = (row) => {
      if (row === undefined) return undefined
      const payload = JSON.parse(row.payload)
      return row.consumed_at === null ? payload : { ...payload, consumed: row.consumed_at }
    }
    return {
      async upsert(id, payload) {
        const { grantId = null, uid = null, userCode = null } = payload
        upsert.run(id, JSON.stringify(payload), grantId, uid, userCode)
      },
      find: async (id) => fromRow(find.get(id)),
      findByUid: async (uid) => fromRow(findByUid.get(uid)),
      findByUserCode: async (userCode) => fromRow(findByUserCode.get(userCode)),
      async consume(id) {
        consume.run(now(), id)
      },
      async destroy(id) {
        destroy.run(id)
      },
      async revokeByGrantId(grantId) {
        if (revoke) revoke.run(grantId)
      },
    }
  }
}

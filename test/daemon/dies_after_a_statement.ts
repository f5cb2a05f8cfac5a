/**
 * Preloaded into the daemon: from SIGUSR2 on ("armed", it says then), it dies by SIGKILL right after so many statements were run as `DIES_AFTER` says; with 0,
 * right before the first one.
 */
import Database from 'better-sqlite3'

const diesAfter = Number(process.env.DIES_AFTER)
const die = () => process.kill(process.pid, 'SIGKILL')
let armed = false
let seen = 0

const statement = Object.getPrototypeOf(new Database(':memory:').prepare('SELECT 1')) as Database.Statement
const { run } = statement
statement.run = function (this: Database.Statement, ...params: unknown[]) {
  if (armed && diesAfter === 0) die()
  const result = run.apply(this, params)
  if (armed && ++seen === diesAfter) die()
  return result
} as typeof run

process.on('SIGUSR2', () => {
  armed = true
  process.stderr.write('armed\n')
})

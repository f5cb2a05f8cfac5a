// Stands in for `better-sqlite3` in the single executable, whose addon is inside of it: the kernel loads code from files only, so the addon becomes one that
// has no name. It is written to a descriptor (O_TMPFILE) of the first folder that takes files and lets them be executed.
const { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { dirname, join } = require('node:path')
const sea = require('node:sea')
const createDatabase = require('better-sqlite3/lib/database')

/** open(2): __O_TMPFILE with O_DIRECTORY, on x86-64 and arm64. Node does not name it. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY

/** Writes the addon to a file in `folder` that has no name, and loads it. Throws where the folder does not take it, or is mounted noexec. */
function loadUnnamed(folder, bytes) {
  const fd = openSync(folder, O_TMPFILE | constants.O_RDWR, 0o700)
  try {
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written)
    return load(`/proc/self/fd/${fd}`)
  } finally {
    closeSync(fd)
  }
}

/** The same in a folder of its own that is gone again when it is loaded: for file systems without O_TMPFILE, and where /proc is not to be seen. */
function loadNamed(parent, bytes) {
  const folder = mkdtempSync(join(parent, '.meshidp-'))
  try {
    const file = join(folder, 'better_sqlite3.node')
    writeFileSync(file, bytes, { mode: 0o700 })
    return load(file)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function load(file) {
  const loaded = { exports: {} }
  process.dlopen(loaded, file)
  return loaded.exports
}

/** `beside`: the folder of the database, the last resort, for what is to be stored there must be writable anyway. */
function loadAddon(beside) {
  const bytes = Buffer.from(sea.getRawAsset('better_sqlite3.node'))
  const refused = []
  for (const way of [loadUnnamed, loadNamed])
    for (const folder of ['/dev/shm', beside, tmpdir()])
      try {
        return way(folder, bytes)
      } catch (error) {
        refused.push(`${folder}: ${error.message}`)
      }
  throw new Error(`The database's code can be loaded from no folder; one must take files and not be mounted noexec.\n${refused.join('\n')}`)
}

let addon
let beside = tmpdir()
const Opened = createDatabase(() => {
  addon ??= loadAddon(beside)
  return addon
}, false)

/** `new Database(file, options)`, as of better-sqlite3. */
module.exports = function Database(file, options) {
  if (typeof file === 'string' && file.startsWith('/')) beside = dirname(file)
  return new Opened(file, options)
}
module.exports.SqliteError = require('better-sqlite3/lib/sqlite-error')

// Runs before `npm start`, `npm test` and their like, under whatever Node the machine has (20 or later), so it is plain
// JavaScript. It installs what the lock file names when something of it is missing, and says so; otherwise it is silent.
// Folders may be named; without, it is this one.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const suits = (list, value) => !list || list.includes(value)

const read = (file) => JSON.parse(readFileSync(file, 'utf8'))

/** Whether the installed tree of a folder lacks a package of its lock file, or holds another version of it. */
function isMissing(folder) {
  const lock = read(join(folder, 'package-lock.json'))
  const tree = join(folder, 'node_modules/.package-lock.json')
  if (!existsSync(tree)) return true
  const installed = read(tree).packages
  return Object.entries(lock.packages).some(([place, { version, optional, os, cpu, link }]) => {
    if (place === '' || link || !suits(os, process.platform) || !suits(cpu, process.arch)) return false
    return (
      installed[place]?.version !== version &&
      !(optional && installed[place] === undefined && !place.endsWith(`node-${process.platform}-${process.arch}`))
    )
  })
}

/** npm passes its command line's settings on to children; a prefix or a workspace of the outer call is not where this one installs. */
function withoutPlace(env) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^npm_config_(?:.*prefix|.*workspaces?)$/.test(name)))
}

const [first = '.', ...others] = process.argv.slice(2)
for (const folder of [first, ...others].filter(isMissing)) {
  const where = folder === '.' ? '' : ` of ${folder}`
  console.error(`meshidp: installing what is missing${where} (npm ci); the first time this takes a minute …`)
  try {
    const wanted = ['ci', '--ignore-scripts', '--loglevel=error', '--no-audit', '--no-fund']
    execFileSync('npm', wanted, { cwd: folder, stdio: ['ignore', 2, 2], env: withoutPlace(process.env) })
  } catch {
    console.error(
      'meshidp: npm could not install the packages. Its own words are above; mostly the registry cannot be reached. Then run the same command again.',
    )
    process.exit(1)
  }
}

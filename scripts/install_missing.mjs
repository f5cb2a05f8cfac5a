// Runs before `npm start`, `npm test` and their like, under whatever Node the machine has (20 or later), so it is plain
// JavaScript. It installs what the lock file names when something of it is missing, and says so; otherwise it is silent.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'))
const suits = (list, value) => !list || list.includes(value)

/** Whether the installed tree lacks a package of the lock file, or holds another version of it. */
function missing() {
  if (!existsSync('node_modules/.package-lock.json')) return true
  const installed = JSON.parse(readFileSync('node_modules/.package-lock.json', 'utf8')).packages
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

if (missing()) {
  console.error('meshidp: installing what is missing (npm ci); the first time this takes a minute …')
  try {
    const wanted = ['ci', '--ignore-scripts', '--loglevel=error', '--no-audit', '--no-fund']
    execFileSync('npm', wanted, { stdio: ['ignore', 2, 2], env: withoutPlace(process.env) })
  } catch {
    console.error(
      'meshidp: npm could not install the packages. Its own words are above; mostly the registry cannot be reached. Then run the same command again.',
    )
    process.exit(1)
  }
}

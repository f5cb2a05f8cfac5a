// The licences of what a build holds, for `meshidp licenses`: ours, then each package of node_modules that a file of the bundle came from.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { path } from './bundle.mjs'

const isLicence = (name) => /^(?:licen[cs]e|copying|notice)(?:[.-].*)?$/i.test(name)

/** The folder of the package that a file belongs to, such as node_modules/a/node_modules/@b/c; null for ours. */
const packageOf = (file) => /^((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? null

/** Texts of the licence files of a folder. */
const textsIn = (folder) =>
  readdirSync(folder)
    .filter(isLicence)
    .sort()
    .map((name) => readFileSync(join(folder, name), 'utf8').trim())

const rule = '─'.repeat(80)
const section = (title, text) => `${rule}\n${title}\n${rule}\n\n${text}\n`

/** A package that ships no text says at least which licence it is under; one that says nothing must not be built in. */
function sectionOf(folder) {
  const { name, version, license, author } = JSON.parse(readFileSync(path(`${folder}/package.json`), 'utf8'))
  const texts = textsIn(path(folder))
  if (texts.length === 0 && !license) throw new Error(`${folder} says nothing about its licence.`)
  const by = typeof author === 'object' ? author.name : author
  return section(
    `${name} ${version}: ${license}`,
    texts.join('\n\n') || `The package holds no text of its licence, ${license}.${by ? ` By ${by}.` : ''}`,
  )
}

/** SQLite is inside the addon of better-sqlite3. */
const sqlite = section('SQLite', 'In the public domain: https://sqlite.org/copyright.html')

/**
 * `files`: of the bundle, relative to the project. `addon`: whether the addon is inside. `node`: of the Node that is inside, its version and the file of its licence.
 */
export function licenceTexts(files, { addon = false, node = undefined } = {}) {
  const folders = new Set(files.map(packageOf).filter((folder) => folder !== null))
  if (addon) folders.add('node_modules/better-sqlite3')
  const others = [...folders].sort().map(sectionOf)
  if (node && !existsSync(node.licence)) throw new Error(`The licence of Node is not at ${node.licence}, and must be passed on with it.`)
  return [
    section('meshidp', readFileSync(path('LICENSE'), 'utf8').trim()),
    ...others,
    ...(addon ? [sqlite] : []),
    ...(node ? [section(`Node ${node.version}`, readFileSync(node.licence, 'utf8').trim())] : []),
  ].join('\n')
}

// What both builds have in common: the daemon in one file of JavaScript, without what it never uses of its libraries.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = new URL('../', import.meta.url)
/** The path of a file of this project. */
export const path = (name) => fileURLToPath(new URL(name, root))

/** What libraries load in case that they are asked for it, and here never are: who loads it, what, and what it gets instead. Together 40 ms of every start. */
const unasked = [
  // HTTP/2 and https.
  { by: /node_modules\/(fastify|undici)\//, what: /^node:(http2|https)$/, gets: 'module.exports = { constants: {} }' },
  // A route with a JSON Schema.
  { by: /node_modules\/fastify\//, what: /^@fastify\/(ajv|fast-json-stringify)-compiler$/, gets: null },
  // A plugin that says which versions of fastify it is for.
  { by: /node_modules\/fastify\//, what: /^semver$/, gets: 'module.exports = {}' },
  // A log that a thread of its own writes.
  { by: /node_modules\/pino\//, what: /^worker_threads$/, gets: 'module.exports = { isMainThread: true }' },
  { by: /node_modules\/pino\//, what: /^\.\/(lib\/)?transport$/, gets: 'module.exports = {}' },
]

const unused = {
  name: 'unused',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /./ }, ({ path: name, importer }) => {
      const found = unasked.find(({ by, what }) => by.test(importer) && what.test(name))
      return found && { path: name, namespace: 'unused', pluginData: found.gets ?? `throw new Error('${name} is not in this build.')` }
    })
    onLoad({ filter: /./, namespace: 'unused' }, ({ pluginData }) => ({ contents: pluginData }))
  },
}

const english = {
  name: 'english',
  // zod speaks 60 languages; meshidp one.
  setup: ({ onLoad }) =>
    onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({ contents: "export { default as en } from './en.js'" })),
}

const slim = {
  name: 'slim',
  // undici also has a browser's fetch, WebSocket, caches and mocks, and its index loads them all at each start, 20 ms. What src/ imports of it is these; the
  // bundler stops at another name.
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^undici$/ }, () => ({ path: 'undici', namespace: 'slim' }))
    onLoad({ filter: /./, namespace: 'slim' }, () => ({
      resolveDir: path(''),
      contents: `import api from './node_modules/undici/lib/api/index.js'
import Dispatcher from './node_modules/undici/lib/dispatcher/dispatcher.js'
Object.assign(Dispatcher.prototype, api)
export { default as Client } from './node_modules/undici/lib/dispatcher/client.js'
export { default as Pool } from './node_modules/undici/lib/dispatcher/pool.js'`,
    }))
  },
}

/** Libraries that src/ imports when it needs them, which is seldom: each build keeps them apart, so that V8 does not look through them at each start. */
export const seldom = ['age-encryption', 'pino-pretty']

/** Bundles src/main.ts, or another `entry`, as `options` say; resolves with the files of this project and of node_modules that are inside, relative to the project. */
export async function bundle({ entry = 'src/main.ts', plugins = [], ...options }) {
  const { metafile } = await build({
    absWorkingDir: path(''),
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    mainFields: ['module', 'main'],
    legalComments: 'none',
    // Less to look through at each start, 10 ms; names stay as they are, and lines short enough for a trace.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
    plugins: [unused, english, slim, ...plugins],
    logLevel: 'warning',
    metafile: true,
    ...options,
  })
  const [beyond] = /.{0,40}[^\0-\x7f].{0,40}/.exec(readFileSync(options.outfile, 'utf8')) ?? []
  if (beyond) throw new Error(`V8 keeps a program twice as large for one character beyond ASCII, and here is one: ${beyond}`)
  return Object.entries(metafile.inputs).flatMap(([name, { bytes }]) => (bytes > 0 ? [name] : []))
}

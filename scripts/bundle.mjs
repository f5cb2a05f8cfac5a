// What both builds have in common: the daemon in one file of JavaScript, without what it never uses of its libraries.
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = new URL('../', import.meta.url)
/** The path of a file of this project. */
export const path = (name) => fileURLToPath(new URL(name, root))

const unused = {
  name: 'unused',
  // fastify and undici load HTTP/2 and https in case that they are asked for them; here they never are, and each costs 10 ms of every start.
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:https?2?$/ }, ({ path: name, importer }) =>
      name !== 'node:http' && /node_modules\/(fastify|undici)\//.test(importer) ? { path: name, namespace: 'unused' } : undefined,
    )
    onLoad({ filter: /./, namespace: 'unused' }, () => ({ contents: 'module.exports = { constants: {} }' }))
    // fastify loads these when a route has a JSON Schema: here none has, and V8 has to look through whatever is in the file.
    onResolve({ filter: /^@fastify\/(ajv|fast-json-stringify)-compiler$/ }, ({ path: name }) => ({ path: name, namespace: 'never' }))
    onLoad({ filter: /./, namespace: 'never' }, ({ path: name }) => ({ contents: `throw new Error('${name} is not in this build.')` }))
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

/** Bundles src/main.ts as `options` say; resolves with the files of this project and of node_modules that are inside, relative to the project. */
export async function bundle({ plugins = [], ...options }) {
  const { metafile } = await build({
    absWorkingDir: path(''),
    entryPoints: ['src/main.ts'],
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
  return Object.entries(metafile.inputs).flatMap(([name, { bytes }]) => (bytes > 0 ? [name] : []))
}

// `npm run build:binary [-- --node=PATH] [--out=FILE]`: the daemon, its addon and a Node in one executable, dist/meshidp-linux-x64 or -arm64 as that Node is
// (https://nodejs.org/api/single-executable-applications.html). The same inputs give the same bytes. Beside it, for traces, the source map of its JavaScript.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { inject } from 'postject'
import { bundle, path, seldom } from './bundle.mjs'
import { licenceTexts } from './licenses.mjs'
import { examineNode } from './sea/node_inside.mjs'

const { values } = parseArgs({ options: { node: { type: 'string' }, out: { type: 'string' } } })
const node = examineNode(resolve(values.node ?? path(`node_modules/node-${process.platform}-${process.arch}/bin/node`)))
const out = resolve(values.out ?? path(`dist/meshidp-linux-${node.arch}`))

// The flags of bin/meshidp.mjs, which a shebang cannot give here.
const [, flags] = /^#!\S+ -S node (.*)\n/.exec(readFileSync(path('bin/meshidp.mjs'), 'utf8')) ?? []

const besides = {
  name: 'besides',
  // What is seldom needed lies beside the program, as an asset.
  setup({ onResolve, onLoad }) {
    onResolve({ filter: new RegExp(`^(${seldom.join('|')})$`) }, ({ path: name }) => ({ path: name, namespace: 'besides' }))
    onLoad({ filter: /./, namespace: 'besides' }, ({ path: name }) => ({
      resolveDir: path(''),
      contents: `module.exports = require('./scripts/sea/seldom.cjs')('${name}')`,
    }))
  },
}

mkdirSync(dirname(out), { recursive: true })
const work = mkdtempSync(join(tmpdir(), 'meshidp-build-'))
try {
  const common = { target: 'node24', format: 'cjs' }
  const files = await bundle({
    ...common,
    outfile: join(work, 'meshidp.cjs'),
    sourcemap: 'external',
    sourcesContent: true,
    // In CommonJS there is no import.meta, and of the single executable no file.
    define: { 'import.meta.url': 'programUrl' },
    banner: { js: "const programUrl = require('node:url').pathToFileURL(process.execPath).href;" },
    // import() of what is not in the bundle does not work there, require() does.
    supported: { 'dynamic-import': false },
    alias: { 'better-sqlite3': path('scripts/sea/better_sqlite3.cjs'), 'better-sqlite3/lib': path('node_modules/better-sqlite3/lib') },
    plugins: [besides],
  })
  for (const name of seldom) files.push(...(await bundle({ ...common, entry: name, outfile: join(work, `${name}.cjs`) })))
  writeFileSync(join(work, 'licenses.txt'), licenceTexts(files, { addon: true, node }))
  const config = {
    main: 'meshidp.cjs',
    output: 'blob',
    disableExperimentalSEAWarning: true,
    useSnapshot: false, // it would repeat what chance gave at build time (CVE-2026-106074)
    useCodeCache: false, // differs from build to build
    execArgv: [...flags.split(' '), '--disable-warning=ExperimentalWarning'],
    execArgvExtension: 'none', // NODE_OPTIONS does not rule the daemon
    assets: {
      ...Object.fromEntries(seldom.map((name) => [`${name}.cjs`, `${name}.cjs`])),
      'better_sqlite3.node': path(`node_modules/better-sqlite3/prebuilds/linux-${node.arch}.node`),
      'policy/example.hujson': path('policy/example.hujson'),
      'dist/licenses.txt': 'licenses.txt',
    },
  }
  writeFileSync(join(work, 'sea.json'), JSON.stringify(config))
  execFileSync(node.packer, ['--experimental-sea-config', 'sea.json'], { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] })

  const executable = join(work, 'meshidp')
  copyFileSync(node.file, executable)
  strip(executable) // before the injection: afterwards it would break the executable
  await inject(executable, 'NODE_SEA_BLOB', readFileSync(join(work, 'blob')), {
    sentinelFuse: 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2',
  })
  copyFileSync(join(work, 'meshidp.cjs.map'), `${out}.map`)
  copyFileSync(executable, `${out}.new`)
  renameSync(`${out}.new`, out) // one that runs is not written into
  console.error(`${out}: Node ${node.version}`)
} finally {
  rmSync(work, { recursive: true })
}

/** Without symbols it is 12 MiB smaller. */
function strip(file) {
  try {
    execFileSync(node.strip, [file], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    console.error(`${node.strip} cannot strip this Node, so the executable is larger: ${(error.stderr ?? error.message).toString().trim()}`)
  }
}

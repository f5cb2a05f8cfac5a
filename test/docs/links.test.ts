/** Documents that point somewhere: what they point to has to be there. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

const notOurs = new Set(['node_modules', 'dist'])
const documents = readdirSync(root, { withFileTypes: true })
  .filter(({ name }) => !notOurs.has(name) && !name.startsWith('.'))
  .flatMap((entry) =>
    entry.isDirectory()
      ? readdirSync(join(root, entry.name), { recursive: true, encoding: 'utf8' })
          .filter((file) => !file.includes('node_modules/'))
          .map((file) => join(root, entry.name, file))
      : [join(root, entry.name)],
  )
  .filter((file) => file.endsWith('.md'))

/** Targets of `[text](target)`, without what stands in fenced blocks. */
const linksIn = (text: string) =>
  [...text.replaceAll(/^ *```[\s\S]*?^ *```$/gm, '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)

test('every relative link of a document points to a file or folder that is there', () => {
  const links = documents.flatMap((file) =>
    linksIn(readFileSync(file, 'utf8'))
      .filter((target) => !/^(?:[a-z]+:|#)/.test(target))
      .map((target) => ({ file, target })),
  )
  assert.ok(documents.length >= 10 && links.length > 50, `${documents.length} documents, ${links.length} links`)
  assert.deepEqual(
    links
      .filter(({ file, target }) => !existsSync(join(dirname(file), target.split('#')[0] ?? '')))
      .map(({ file, target }) => `${relative(root, file)} → ${target}`),
    [],
  )
})

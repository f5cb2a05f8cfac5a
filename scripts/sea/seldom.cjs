// Stands in for a library of `seldom` (scripts/bundle.mjs) in the single executable: it lies beside the program, and is compiled when somebody asks for it.
const { getAsset } = require('node:sea')

/** The exports of the library called `name`. */
module.exports = function load(name) {
  const { compileFunction } = require('node:vm')
  const loaded = { exports: {} }
  const run = compileFunction(getAsset(`${name}.cjs`, 'utf8'), ['module', 'exports', 'require'], { filename: `${name}.cjs` })
  run(loaded, loaded.exports, require)
  return loaded.exports
}

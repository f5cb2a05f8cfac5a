#!/usr/bin/env node
// Plain JavaScript, so that an older Node says what it lacks in words instead of failing on the first type.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(`meshidp needs Node ≥ 22.19; this is Node ${process.versions.node}. In a checkout, "npm start" brings its own.`)
  process.exit(1)
}
await import('../src/main.ts')

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freshFor } from '../../src/clients/http_cache.ts'

const now = 1_700_000_000
const at = (seconds: number) => new Date((now + seconds) * 1000).toUTCString()
const fresh = (headers: Record<string, string>) => freshFor(new Map(Object.entries(headers)), now)
const cached = (control: string) => fresh({ 'cache-control': control })

test('RFC 9111 §5.2: what Cache-Control says is obeyed, and clamped to a day [threats 203]', () => {
  const cases: [string, number][] = [
    ['max-age=600', 600],
    ['public, MAX-AGE=600', 600],
    ['max-age="600"', 600],
    ['max-age = 600', 600],
    ['max-age=600, s-maxage=30', 30],
    ['max-age=315360000', 86_400],
    ['max-age=999999999999999999999999', 86_400],
    ['max-age=0', 0],
    ['no-store', 0],
    ['max-age=600, no-store', 0],
    ['no-cache="set-cookie", max-age=600', 0],
    ['private, max-age=600', 0],
    ['max-age=600, max-age=30', 30],
    ['max-age=600, max-age=abc', 0],
    ['max-age=-1', 0],
    ['max-age=1.5', 0],
    ['max-age=1e9', 0],
    ['max-age', 0],
    ['max-age=', 0],
    ['must-revalidate', 300],
    ['', 300],
    [',,=,;;x="', 300],
    ['__proto__=1, constructor', 300],
  ]
  for (const [control, seconds] of cases) assert.equal(cached(control), seconds, control)
})

test('RFC 9111 §5.3: Expires counts from Date, and only where Cache-Control gives no age [threats 203]', () => {
  assert.equal(fresh({ expires: at(600) }), 600)
  assert.equal(fresh({ expires: at(600), date: at(-60) }), 660)
  assert.equal(fresh({ expires: at(600), 'cache-control': 'max-age=5' }), 5)
  assert.equal(fresh({ expires: at(10 * 365 * 86_400) }), 86_400)
  for (const expires of ['0', '-1', '', 'tomorrow', '2099', at(-1)]) assert.equal(fresh({ expires }), 0, expires)
})

test('RFC 9111 §4.2.3: time spent in other caches is used up already', () => {
  assert.equal(fresh({ 'cache-control': 'max-age=600', age: '500' }), 100)
  assert.equal(fresh({ 'cache-control': 'max-age=600', age: '700' }), 0)
  assert.equal(fresh({ 'cache-control': 'max-age=600', age: 'x' }), 600)
})

test('50,000 characters of directives simply return [threats 434]', () => {
  assert.equal(cached('max-age="'.repeat(10_000)), 0)
  assert.equal(cached(`${',a'.repeat(25_000)}`), 300)
})

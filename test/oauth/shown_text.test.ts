import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shownTextProblem } from '../../src/oauth/shown_text.ts'

test('names of all scripts can be shown', () => {
  for (const name of [
    'Claude Code',
    'Ärger & Söhne',
    'कार्यक्रम',
    'Tiếng Việt'.normalize('NFD'),
    '日本語ツール',
    'נִקּוּד',
    '⚙️ Tools',
    '<img src=x onerror=alert(1)>',
    '{{7*7}}',
    'a'.repeat(128),
    '🚀'.repeat(128),
  ])
    assert.equal(shownTextProblem(name, 128), null, name)
})

test('what cannot be seen, climbs out of its line or is too long is refused [threats 74]', () => {
  for (const character of [
    '\0',
    '\n',
    '\x1b',
    '\x85',
    '\u200b',
    '\u200d',
    '\u202e',
    '\u2066',
    '\ufeff',
    '\u00ad',
    '\u2028',
    '\u115f',
    '\u3164',
    '\ue000',
    '\ud800',
    '\u{e0041}',
  ])
    assert.match(shownTextProblem(`Admin${character} Console`, 128) ?? '', /cannot be seen/, JSON.stringify(character))
  for (const blank of ['', ' ', '   ', '\u3000', '\u00a0', '\u2800'])
    assert.match(shownTextProblem(blank, 128) ?? '', /blank/, JSON.stringify(blank))
  assert.match(shownTextProblem(`Z${'\u0300\u0301\u0302\u0303'.repeat(5)}`, 128) ?? '', /marks/)
  for (const long of ['a'.repeat(129), '🚀'.repeat(129), 'a'.repeat(10_240)])
    assert.match(shownTextProblem(long, 128) ?? '', /more than 128/)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { html } from '../../src/http/html.ts'

test('CWE-79: every value comes out as text, between tags and in attributes; only HTML of our own is HTML [threats 73]', () => {
  const evil = `"><script>'&amp;`
  assert.equal(html`<a href="${evil}">${evil}</a>`.html.split('&quot;&gt;&lt;script&gt;&#39;&amp;amp;').length, 3)
  assert.equal(html`<p>${html`<b>${'<i>'}</b>`}${['<', html`<br>`, 1]}</p>`.html, '<p><b>&lt;i&gt;</b>&lt;<br>1</p>')
  assert.equal(html`${null}${undefined}${false}${0}${''}`.html, '0')
  assert.equal(html`${String({ html: '<b>' })}`.html, '[object Object]')
})

/** The frame of every page: no script, one style sheet of our own, nothing from anywhere else. */
import { hash } from 'node:crypto'
import type { Reply } from './endpoint.ts'
import { type Html, html } from './html.ts'

export const styleSheet = `
:root { color-scheme: light dark; --ink: #1c2430; --quiet: #566273; --paper: #f5f6f8; --sheet: #fff; --line: #d9dee5; --accent: #1f5fbf; --on-accent: #fff; --warn: #8a4b00; --warn-paper: #fff4e0 }
@media (prefers-color-scheme: dark) { :root { --ink: #e7ebf0; --quiet: #a3afbd; --paper: #12161c; --sheet: #1b212a; --line: #333d4a; --accent: #8ab8ff; --on-accent: #0d1b30; --warn: #ffd08a; --warn-paper: #3a2a10 } }
* { box-sizing: border-box }
body { margin: 0; padding: 1.5rem 1rem; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif }
main { max-width: 34rem; margin: 4vh auto; padding: 1.75rem; background: var(--sheet); border: 1px solid var(--line); border-radius: .75rem }
h1 { margin: 0 0 1rem; font-size: 1.35rem; line-height: 1.3 }
p { margin: .75rem 0 } a { color: var(--accent) } code, .host { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
dl { margin: 1.25rem 0; display: grid; grid-template-columns: max-content 1fr; gap: .5rem 1.25rem } dt { color: var(--quiet) } dd { margin: 0; overflow-wrap: anywhere }
ul { margin: 0; padding-left: 1.1rem } .quiet { color: var(--quiet); font-size: .9rem }
.unverified { padding: .1rem .45rem; border-radius: .35rem; background: var(--warn-paper); color: var(--warn); font-size: .8rem; font-weight: 600 }
.notice { padding: .65rem .9rem; border-radius: .5rem; background: var(--warn-paper); color: var(--warn) }
form { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.5rem }
button { flex: 1 1 9rem; padding: .7rem 1rem; border: 1px solid var(--line); border-radius: .5rem; background: transparent; color: inherit; font: inherit; font-weight: 600; cursor: pointer }
button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent) }
button:focus-visible, a:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
@media (max-width: 30rem) { body { padding: .75rem } main { margin: 0 auto } dl { grid-template-columns: 1fr; gap: .1rem } dd { margin-bottom: .6rem } main { padding: 1.25rem } }
`.trim()

/** Changes with the sheet, so that browsers may keep it for ever. */
export const stylePath = `/style-${hash('sha256', styleSheet).slice(0, 12)}.css`

/** Of every page. A page that needs one thing more says so itself. */
export const contentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"

/**
 * No `form-action`: browsers apply it to the redirect that answers a form, and to the application's own redirects after that.
 * Nothing on a page of ours can smuggle in a form, for every value is escaped.
 */
const headers = {
  'cache-control': 'no-store',
  'content-security-policy': contentSecurityPolicy,
  'content-type': 'text/html; charset=utf-8',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** A whole page. `base`: the issuer's path, '' at the root. */
export const page = (base: string, title: string, content: Html, status = 200, more: Record<string, string> = {}): Reply => ({
  status,
  headers: { ...headers, ...more },
  body: html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · meshidp</title>
<link rel="stylesheet" href="${base}${stylePath}">
</head>
<body>
<main>
${content}
</main>
</body>
</html>
`.html,
})

/** OAuth 2.1 §7.5.3: always 303, so that no form is ever posted on. */
export const redirect = (location: string): Reply => ({
  status: 303,
  headers: { location, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', 'content-length': '0' },
  body: '',
})

/** The frame of every page: no script of its own, one style sheet of our own, nothing from anywhere else. */
import { hash } from 'node:crypto'
import type { Reply } from './endpoint.ts'
import { type Html, html } from './html.ts'

export const styleSheet = `
:root { color-scheme: light dark; --ink: #1b2330; --quiet: #546072; --paper: #f3f5f8; --sheet: #fff; --line: #dbe1e9; --edge: #7c8798; --accent: #1d5bb8; --accent-deep: #164a99; --on-accent: #fff; --warn: #7d4300; --warn-paper: #fff4e0; --warn-line: #f0c987 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --quiet: #a8b4c3; --paper: #10141a; --sheet: #1a202a; --line: #303a48; --edge: #77849a; --accent: #8ab8ff; --accent-deep: #a9caff; --on-accent: #0d1b30; --warn: #ffd498; --warn-paper: #33260f; --warn-line: #6d5222 } }
* { box-sizing: border-box }
body { margin: 0; padding: 5vh 1rem 3rem; background: var(--paper); color: var(--ink); font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: break-word; overflow-wrap: anywhere }
header, main { max-width: 37rem; margin: 0 auto }
header { padding: 0 .25rem .9rem; color: var(--quiet); font-size: .9rem; font-weight: 600; letter-spacing: .02em }
header::before { content: ""; display: inline-block; width: .55em; height: .55em; margin-right: .55em; border: .16em solid var(--accent); border-radius: 50% }
main { padding: 2.25rem; background: var(--sheet); border: 1px solid var(--line); border-radius: 1rem; box-shadow: 0 1px 2px rgba(20, 30, 50, .05), 0 8px 28px rgba(20, 30, 50, .06) }
h1 { margin: 0 0 .9rem; font-size: 1.55rem; font-weight: 650; line-height: 1.25; letter-spacing: -.01em }
h2 { margin: 2.25rem 0 .75rem; font-size: 1.1rem; line-height: 1.3 }
p { margin: .75rem 0 } a { color: var(--accent); text-underline-offset: .15em }
code, .host { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .92em } .host { font-weight: 600 }
.quiet { color: var(--quiet); font-size: .9rem } .eyebrow { margin: 0 0 .4rem; color: var(--quiet); font-size: .9rem; font-weight: 600 } .last { margin-bottom: 0 }
dl { margin: 1.5rem 0 0 } dt { margin-top: 1rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--quiet); font-size: .85rem; font-weight: 600 } dd { margin: .2rem 0 0 } h2 + dl { margin-top: 0 } h2 + dl dt:first-child { margin-top: 0; padding-top: 0; border-top: 0 } dl + .quiet { margin-top: 1.5rem }
ul { margin: .15rem 0 0; padding-left: 1.15rem } li { margin: .3rem 0 } li::marker { color: var(--accent) }
.unverified { display: inline-block; padding: .1rem .5rem; border: 1px solid var(--warn-line); border-radius: 1rem; background: var(--warn-paper); color: var(--warn); font-size: .78rem; font-weight: 600; line-height: 1.4; white-space: nowrap }
.notice { margin: 1.5rem 0 0; padding: .85rem 1.1rem; border: 1px solid var(--warn-line); border-left-width: .3rem; border-radius: .6rem; background: var(--warn-paper); color: var(--warn) }
form { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.25rem } .ask { margin: 1.75rem 0 0; font-weight: 600 } dl + form { margin-top: 2rem }
button, .button { flex: 1 1 10rem; min-height: 2.9rem; padding: .6rem 1.1rem; border: 1px solid var(--edge); border-radius: .6rem; background: transparent; color: inherit; font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer }
button:hover, .button:hover { border-color: var(--ink) } button:active { transform: translateY(1px) }
button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent) } button.main:hover { background: var(--accent-deep); border-color: var(--accent-deep) }
button:focus-visible, a:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; border-radius: .3rem } button:focus-visible { border-radius: .6rem }
.list { list-style: none; margin: 0; padding: 0 } .list > li { display: flex; flex-wrap: wrap; gap: .6rem 1.25rem; align-items: center; margin: 0; padding: 1.1rem 0; border-top: 1px solid var(--line) }
.list > li > div { flex: 1 1 14rem; min-width: 0 } .list form { margin: 0 } .list button { flex: none; min-width: 5rem } .list p { margin: .1rem 0 }
@media (prefers-reduced-motion: no-preference) { button, .button { transition: background-color .15s, border-color .15s } }
@media (prefers-reduced-motion: reduce) { button:active { transform: none } }
@media (max-width: 32rem) { body { padding: 1rem .6rem 2rem } main { padding: 1.35rem 1.15rem; border-radius: .8rem } h1 { font-size: 1.35rem } form > button { flex-basis: 100% } .list button { flex: 1 1 100% } .list form { flex: 1 1 100% } }
@media (forced-colors: active) { .unverified, .notice, button, main { border-color: CanvasText } button.main { border-width: 3px } }
@media print { :root { color-scheme: light; --ink: #000; --quiet: #333; --paper: #fff; --sheet: #fff } body { padding: 0 } main { border: 0; padding: 0; box-shadow: none; max-width: none } form { display: none } dl, .notice { break-inside: avoid } }
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
<title>${title} &middot; meshidp</title>
<link rel="stylesheet" href="${base}${stylePath}">
</head>
<body>
<header>meshidp</header>
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

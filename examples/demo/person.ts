/** A person before a browser, played: reads the consent page, presses a button, and is taken back to the application. */
import type { Machine } from './from_address.ts'

/** What the page said, by its headings, such as "Application" → "Agent unverified"; null where there was none. */
export type PageRead = ReadonlyMap<string, string> | null

/** A page that ends the sign-in, with its sentence. */
export class Refused extends Error {
  override name = 'Refused'
}

/** Opens the authorization request and answers the page, if there is one. Resolves with the address that the browser is sent to. Throws Refused. */
export async function authorize(
  machine: Machine,
  url: URL,
  decision: 'approve' | 'deny' = 'approve',
): Promise<{ page: PageRead; location: URL }> {
  const first = await machine.browse(url.href)
  const [, action = ''] = /<form method="post" action="([^"]+)"/.exec(first.text) ?? []
  const [, ticket] = /name="ticket" value="([^"]+)"/.exec(first.text) ?? []
  const done = ticket ? await machine.browse(new URL(action, url).href, { form: { ticket, decision } }) : first
  if (done.location === undefined)
    throw new Refused(textOf(/<p>[\s\S]*?<\/p>(?:\s*<h2>What would allow it<\/h2>[\s\S]*?<\/ul>)?/.exec(done.text)?.[0] ?? done.text))
  return { page: ticket ? definitionsOf(first.text) : null, location: new URL(done.location) }
}

/** The same, and on to the application. */
export async function signIn(machine: Machine, url: URL, decision?: 'approve' | 'deny'): Promise<PageRead> {
  const { page, location } = await authorize(machine, url, decision)
  await machine.browse(location.href)
  return page
}

const entities: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" }

/** HTML → its text, in one line. */
const textOf = (html: string) =>
  html
    .replaceAll(/<br>|<\/li><li>/g, '; ')
    .replaceAll(/<[^>]+>/g, ' ')
    .replaceAll(/&(?:amp|lt|gt|quot|#39);/g, (entity) => entities[entity] ?? entity)
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ ([;:])/g, '$1')
    .trim()

const definitionsOf = (html: string) =>
  new Map(
    [...html.matchAll(/<dt>([\s\S]*?)<\/dt><dd>([\s\S]*?)<\/dd>/g)].map(
      ([, term = '', text = '']) => [textOf(term), textOf(text)] as const,
    ),
  )

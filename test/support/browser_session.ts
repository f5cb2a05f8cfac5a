/** A person's browser without a screen: it keeps cookies, follows redirects from one origin to another, and sends forms, all from the person's own machine. */
import { unescaped } from './answers.ts'
import type { Answer, Person } from './person.ts'

export type Page = Answer & {
  url: URL
  /** The addresses that led here, the first one and this one among them. */
  way: URL[]
}

export type BrowserSession = {
  /** Follows a link, or types an address. */
  open: (url: string | URL) => Promise<Page>
  /** Sends the first form of a page; `pressed` is the button's name and value, where it has one. */
  submit: (page: Page, pressed?: Record<string, string>) => Promise<Page>
  /** A script on a page of the same origin posts JSON. */
  post: (url: string | URL, json: unknown) => Promise<Answer>
}

const attribute = (tag: string, name: string) => {
  const [, written] = new RegExp(` ${name}="([^"]*)"`).exec(tag) ?? []
  return written === undefined ? undefined : unescaped(written)
}

const longestWay = 10

/** Cookies are kept by host and name, as browsers do: not by port (RFC 6265 §8.5), so applications on one computer see each other's. */
export function browserSession(person: Person): BrowserSession {
  const jar = new Map<string, Map<string, string>>()

  function keep({ hostname }: URL, { headers }: Answer): void {
    const cookies = jar.get(hostname) ?? new Map<string, string>()
    jar.set(hostname, cookies)
    for (const line of [headers['set-cookie'] ?? []].flat()) {
      const [pair = '', ...attributes] = line.split(/; */)
      const [name = '', value = ''] = pair.split(/=(.*)/s)
      const ended = attributes.some(
        (text) => /^max-age=0$/i.test(text) || (/^expires=/i.test(text) && Date.parse(text.slice(8)) < Date.now()),
      )
      if (ended) cookies.delete(name)
      else cookies.set(name, value)
    }
  }

  function cookiesFor({ hostname }: URL): { cookie?: string } {
    const cookie = [...(jar.get(hostname) ?? [])].map(([name, value]) => `${name}=${value}`).join('; ')
    return cookie === '' ? {} : { cookie }
  }

  async function go(first: URL, from: URL | undefined, form?: Record<string, string>): Promise<Page> {
    const way = [first]
    for (let url = first, sent = form; ; sent = undefined) {
      const answer = await person.send(url.href, {
        headers: {
          accept: 'text/html',
          'sec-fetch-mode': 'navigate',
          'sec-fetch-dest': 'document',
          'sec-fetch-site': from === undefined ? 'none' : way.every(({ origin }) => origin === from.origin) ? 'same-origin' : 'same-site',
          ...cookiesFor(url),
          ...(sent && from && { origin: from.origin }),
        },
        ...(sent && { form: sent }),
      })
      keep(url, answer)
      const { location } = answer.headers
      if (answer.status < 300 || answer.status >= 400 || typeof location !== 'string') return { ...answer, url, way }
      if (way.length === longestWay) throw new Error(`led on and on: ${way.join(' → ')}`)
      url = new URL(location, url)
      way.push(url)
    }
  }

  return {
    open: (url) => go(new URL(url), undefined),
    async post(to, json) {
      const url = new URL(to)
      const headers = { origin: url.origin, 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', ...cookiesFor(url) }
      const answer = await person.send(url.href, { headers, json })
      keep(url, answer)
      return answer
    },
    submit(page, pressed = {}) {
      const [form] = /<form[\s\S]*?<\/form>/.exec(page.text) ?? []
      if (form === undefined) throw new Error(`There is no form: ${page.status} ${page.text.slice(0, 800)}`)
      const hidden = [...form.matchAll(/<input type="hidden"[^>]*>/g)].map(([tag]) => [
        attribute(tag, 'name') ?? '',
        attribute(tag, 'value') ?? '',
      ])
      return go(new URL(attribute(form, 'action') ?? '', page.url), page.url, { ...Object.fromEntries(hidden), ...pressed })
    },
  }
}

/** The tree that `meshidp tokens trace` is told, for people: as lines, or as a diagram (Mermaid) for a ticket. */
import type { Ended, Traced } from '../admin/trace.ts'
import { shownTime, table } from './table.ts'

const standing = ({ alive, worth, dead }: Traced): string => {
  if (!alive) return `dead: ${dead}`
  return worth === null ? 'alive, as far as is known without the mesh' : `alive, worth ${worth}`
}

/** Lines, what was exchanged below what it was exchanged from. */
export function traceAsText(tree: Traced, more: boolean): string {
  const lines = [`${tree.who}${tree.subject === tree.who ? '' : ` (${tree.subject})`}`]

  function add(one: Traced, indent: string, isLast: boolean): void {
    const inside = `${indent}${isLast ? '   ' : '│  '}`
    const acts =
      one.depth === 0 ? '' : one.acts === null ? ', passing for them' : one.acts === one.client_id ? ', acting' : `, ${one.acts} acting`
    const token = one.actor_token_of === null ? '' : ` with a token of ${one.actor_token_of}`
    lines.push(
      `${indent}${isLast ? '└─ ' : '├─ '}${one.client_id}${acts}${token} → ${one.resource ?? 'this server'}  [${one.scopes}]${one.asked ? '  ◀' : ''}`,
      `${inside}${standing(one)}`,
      `${inside}${one.authorization}, ${shownTime(one.created_at)} to ${shownTime(one.expires_at)}${one.decision === null ? '' : `, decision ${one.decision}`}`,
      ...(one.token ? [`${inside}token ${one.token.jti}${one.token.revoked ? ', revoked' : ''}`] : []),
    )
    one.children.forEach((child, at) => {
      add(child, inside, at === one.children.length - 1)
    })
  }
  add(tree, '', true)
  return `${lines.join('\n')}\n${more ? '\nThere is more than this.\n' : ''}`
}

/** In a diagram's label nothing of a stranger's may end the label, or be markup. */
const label = (text: string): string => `"${text.replaceAll(/[^\w .:/@*,()-]/gu, (letter) => `#${letter.codePointAt(0)};`)}"`

/** A diagram of Mermaid: who → client → gateway → server; what is dead is dashed. */
export function traceAsMermaid(tree: Traced): string {
  const lines = ['flowchart LR', `  who([${label(tree.who)}])`]
  const servers = new Map<string, string>()
  let clients = 0

  const serverOf = (resource: string) => {
    const known = servers.get(resource)
    if (known !== undefined) return known
    const id = `s${servers.size}`
    servers.set(resource, id)
    lines.push(`  ${id}[(${label(resource)})]`)
    return id
  }
  function add(one: Traced, from: string, said: string): void {
    const id = `c${clients++}`
    lines.push(
      `  ${id}[${label(one.client_id)}]${one.alive ? '' : ':::dead'}`,
      `  ${from} -->${said === '' ? '' : `|${label(said)}|`} ${id}`,
    )
    if (one.children.length === 0) lines.push(`  ${id} -->|${label(one.scopes)}| ${serverOf(one.resource ?? 'this server')}`)
    for (const child of one.children) add(child, id, `${one.scopes} at ${one.resource ?? 'this server'}`)
  }
  add(tree, 'who', '')
  return `${[...lines, '  classDef dead stroke-dasharray: 4'].join('\n')}\n`
}

/** What `meshidp tokens revoke` ended, or would end. */
export function endedAsText(id: string, ended: readonly Ended[], preview: boolean): string {
  const rows = ended.map(({ authorization, who, client_id, resource, scopes }) => [
    authorization,
    who,
    client_id,
    resource ?? 'this server',
    scopes,
  ])
  const list = rows.length === 0 ? '' : `\n${table(['AUTHORIZATION', 'WHO', 'CLIENT', 'RESOURCE', 'SCOPES'], rows)}`
  const what = rows.length === 0 ? 'no authorization' : rows.length === 1 ? 'one authorization' : `${rows.length} authorizations`
  return preview
    ? `To revoke ${id} would end ${what}. Nothing has ended.\n${list}`
    : `${id} is revoked; ${what} ended. Who checks tokens locally takes those that are out until they expire.\n${list}`
}

/** The two files of a new installation, as text. */
import { compile, testResults } from '../../policy/index.ts'

const quoted = (text: string) => JSON.stringify(text)

/** A configuration; `keys` in the order in which they are to stand there. */
export const starterConfig = (
  keys: object,
): string => `// The configuration of meshidp. "meshidp config show" says every key and what it is now; docs/configuration.md what it does.
${JSON.stringify(keys, null, 2)}
`

/**
 * A policy for an installation where `login` is the admin: people of the tailnet sign in to software of their own, once they have agreed; nothing is given
 * at any resource, for there is none yet. It passes its own tests; throws Error where it does not.
 */
export function starterPolicy(login: string, { file, domain }: { file: string; domain: string }): string {
  const text = `// Who may do what. This file is loaded as soon as it is saved; "meshidp policy check ${file}" says before what is wrong with it.
// All of it is in docs/policy.md, examples in docs/policy_guide.md.
{
  "groups": { "group:admin": [${quoted(login)}] },

  // What tokens are for: your applications, such as MCP servers. Name one, and give it to somebody below.
  "resources": {
    // "resource:wiki": {
    //   "uri": "https://wiki.${domain}/mcp",
    //   "scopes": { "wiki:read": "Read every page" },
    //   "allow_unverified_clients": true,
    // },
  },

  // What is allowed. What no grant allows is denied.
  "grants": [
    // To look after meshidp.
    { "src": ["group:admin"], "app": { "admin": [{ "access": "write" }] } },

    // Everybody of this tailnet may bring software of their own, and sign in to it once they have agreed.
    { "src": ["autogroup:member"], "app": { "register": [{ "client_ttl": "30d", "max_clients": 20 }] } },
    {
      "src": ["autogroup:member"],
      "dst": ["autogroup:registered"],
      "app": { "authorize": [{ "scopes": ["openid", "profile", "email", "offline_access"], "consent": "once" }] },
    },

    // { "src": ["group:admin"], "dst": ["resource:wiki"], "app": { "authorize": [{ "scopes": ["wiki:read"], "clients": ["*"], "consent": "once" }] } },
  ],

  // What must come out; a policy that fails one of them is not loaded.
  "tests": [
    { "src": ${quoted(login)}, "app": "admin", "accept": ["read", "write"] },
    { "src": "tag:server", "app": "admin", "deny": ["*"] },
    { "src": "tag:server", "app": "register", "deny": ["*"] },
    {
      "src": ${quoted(login)},
      "app": "authorize",
      "dst": "autogroup:registered",
      "client": "autogroup:registered",
      "accept": ["openid"],
      "deny": ["groups"],
    },
  ],
}
`
  const compiled = compile(text)
  const problems = compiled.ok ? testResults(compiled.policy).flatMap(({ problems }) => problems) : compiled.problems
  if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join('\n'))
  return text
}

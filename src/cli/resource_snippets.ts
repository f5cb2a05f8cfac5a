/** What to paste into a server so that it takes tokens for its resource: one template for each kind of server. test/cli/resource.test.ts runs them. */

/** What a template is filled with. */
export type Facts = {
  issuer: string
  /** The resource's URI: the audience of its tokens. */
  resource: string
  title: string
  /** The scope to ask for. */
  scope: string
  check: 'local' | 'introspect'
  signing_alg: 'ES256' | 'RS256'
  /** A client that may look at its tokens; with `check: introspect`. */
  client_id: string
}

/** Where the URI's server listens, as far as the URI tells. */
function place(resource: string) {
  const { origin, pathname, port } = new URL(resource)
  return { origin, path: pathname, port: Number(port || 443) }
}

const text = (value: unknown) => JSON.stringify(value)

function typescript({ issuer, resource, title, scope, check, client_id }: Facts): string {
  const { path, port } = place(resource)
  const introspect =
    check === 'introspect'
      ? `\n  introspect: { client_id: ${text(client_id)}, client_secret: process.env.MESHIDP_CLIENT_SECRET ?? '' },`
      : ''
  return `// npm install express jose zod @modelcontextprotocol/sdk; ./mcp-helper is a copy of examples/mcp-helper.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import express from 'express'
import { meshidp } from './mcp-helper/index.ts'

const { metadata, requireToken } = meshidp({
  issuer: ${text(issuer)},
  resource: ${text(resource)},
  scope: ${text(scope)},${introspect}
})

const app = express().use(express.json())
app.use(metadata)
app.post(${text(path)}, requireToken, async (request, response) => {
  const server = new McpServer({ name: ${text(title)}, version: '1.0.0' })
  server.registerTool('whoami', { description: 'Who you are' }, ({ authInfo }) => ({
    content: [{ type: 'text', text: String(authInfo?.extra?.sub) }],
  }))
  const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
  await server.connect(transport)
  await transport.handleRequest(request, response, request.body)
})
app.listen(${port}, '127.0.0.1')
`
}

/** The verifier of the Python SDK, which leaves that to its user. */
const pythonVerifier = {
  local: ({ issuer, resource, signing_alg }: Facts) => `import jwt

ISSUER, RESOURCE = ${text(issuer)}, ${text(resource)}
keys = jwt.PyJWKClient(ISSUER + "/jwks")


class Verifier(TokenVerifier):
    """RFC 9068 section 4: signature, issuer, audience, type and end."""

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            key = await anyio.to_thread.run_sync(keys.get_signing_key_from_jwt, token)
            claims = jwt.decode(token, key.key, algorithms=[${text(signing_alg)}], issuer=ISSUER, audience=RESOURCE,
                                options={"require": ["exp", "sub", "client_id"]})
            if jwt.get_unverified_header(token).get("typ") != "at+jwt":
                return None  # an ID token is signed with the same keys
        except jwt.PyJWKClientConnectionError as error:
            raise Outage from error
        except jwt.PyJWTError:
            return None
        return AccessToken(token=token, client_id=claims["client_id"], scopes=claims["scope"].split(),
                           expires_at=claims["exp"], resource=RESOURCE, subject=claims["sub"], claims=claims)
`,
  introspect: ({ issuer, resource, client_id }: Facts) => `import os

import httpx2

ISSUER, RESOURCE = ${text(issuer)}, ${text(resource)}
CREDENTIALS = (${text(encodeURIComponent(client_id))}, os.environ["MESHIDP_CLIENT_SECRET"])


class Verifier(TokenVerifier):
    """RFC 7662: asks about each token, so a revoked one is dead at once."""

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            async with httpx2.AsyncClient(auth=CREDENTIALS, timeout=5) as client:
                answer = await client.post(ISSUER + "/introspect", data={"token": token})
            answer.raise_for_status()
        except httpx2.HTTPError as error:
            raise Outage from error
        claims = answer.json()
        if not claims["active"] or claims.get("aud") != RESOURCE:
            return None
        return AccessToken(token=token, client_id=claims["client_id"], scopes=claims["scope"].split(),
                           expires_at=claims["exp"], resource=RESOURCE, subject=claims["sub"], claims=claims)
`,
}

function python(facts: Facts): string {
  const { resource, title, scope, check } = facts
  const { path, port } = place(resource)
  return `# pip install "mcp>=2.3,<3"${check === 'local' ? ' "pyjwt[crypto]"' : ''}
import anyio.to_thread
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from starlette.responses import JSONResponse
${pythonVerifier[check](facts)}

class Outage(Exception):
    """meshidp cannot be asked. That says nothing about a token: 503, never 401, on which clients throw good tokens away."""


class OutagesAs503:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        try:
            await self.app(scope, receive, send)
        except Outage:
            answer = JSONResponse({"error": "temporarily_unavailable"}, 503, {"Retry-After": "5"})
            await answer(scope, receive, send)


auth = AuthSettings(issuer_url=ISSUER, resource_server_url=RESOURCE, required_scopes=[${text(scope)}], validate_token_resource=True)
server = MCPServer(${text(title)}, token_verifier=Verifier(), auth=auth)


@server.tool()
def whoami() -> str:
    """Who you are."""
    token = get_access_token()
    return str(token and token.subject)


app = server.streamable_http_app(streamable_http_path=${text(path)}, json_response=True, stateless_http=True)
app.add_middleware(OutagesAs503)
uvicorn.run(app, host="127.0.0.1", port=${port})
`
}

/** FastMCP's own verifiers; they leave `typ` alone, and say 401 where they cannot ask. */
const fastmcpVerifier = {
  local: ({ issuer, resource, scope, signing_alg }: Facts) => `from fastmcp.server.auth.providers.jwt import JWTVerifier

verifier = JWTVerifier(
    jwks_uri=${text(`${issuer}/jwks`)},
    issuer=${text(issuer)},
    audience=${text(resource)},
    algorithm=${text(signing_alg)},
    required_scopes=[${text(scope)}],
)
`,
  introspect: ({ issuer, resource, scope, client_id }: Facts) => `import os

from fastmcp.server.auth.providers.introspection import IntrospectionTokenVerifier

verifier = IntrospectionTokenVerifier(
    introspection_url=${text(`${issuer}/introspect`)},
    client_id=${text(client_id)},
    client_secret=os.environ["MESHIDP_CLIENT_SECRET"],
    client_auth_method="client_secret_post",
    audience=${text(resource)},
    required_scopes=[${text(scope)}],
)
`,
}

function fastmcp(facts: Facts): string {
  const { issuer, resource, title, check } = facts
  const { origin, path, port } = place(resource)
  return `# pip install "fastmcp>=4.2,<5". While meshidp cannot be asked, FastMCP answers 401, not 503.
from fastmcp import FastMCP
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.dependencies import get_access_token
${fastmcpVerifier[check](facts)}
auth = RemoteAuthProvider(token_verifier=verifier, authorization_servers=[${text(issuer)}], base_url=${text(origin)})
server = FastMCP(${text(title)}, auth=auth)


@server.tool
def whoami() -> str:
    """Who you are."""
    token = get_access_token()
    return str(token and token.claims.get("sub"))


server.run(transport="http", host="127.0.0.1", port=${port}, path=${text(path)}, stateless_http=True, json_response=True)
`
}

/** By the word that asks for it. */
export const snippets = new Map<string, (facts: Facts) => string>([
  ['typescript', typescript],
  ['python', python],
  ['fastmcp', fastmcp],
])

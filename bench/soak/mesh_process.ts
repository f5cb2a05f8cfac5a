/** tailscaled of the soak: `node mesh_process.ts SOCKET`. The server is 100.64.0.1; who calls from another 100.64.0.n is person n, for there is nobody else. */
import { createServer } from 'node:http'
import { nodeName, tailnet } from './world.ts'

const [socket = ''] = process.argv.slice(2)

const node = (n: number) => ({
  ID: `n${n}`,
  StableID: `n${n}`,
  UserID: n,
  User: n,
  TailscaleIPs: [`100.64.0.${n}`],
  Addresses: [`100.64.0.${n}/32`],
})
const status = {
  BackendState: 'Running',
  TUN: true,
  Self: { ...node(1), DNSName: `${nodeName}.` },
  CurrentTailnet: { Name: tailnet },
  Health: [],
}
const peers = Object.fromEntries([2, 3, 4, 5].map((n) => [`k${n}`, node(n)]))

createServer(({ url = '' }, response) => {
  const { pathname, searchParams } = new URL(url, 'http://local')
  if (pathname.endsWith('/watch-ipn-bus')) return void response.write('{}\n')
  if (pathname.endsWith('/status'))
    return void response.end(JSON.stringify({ ...status, ...(searchParams.get('peers') !== 'false' && { Peer: peers }) }))
  const [, n = ''] = /^100\.64\.0\.([2-5])\b/.exec(searchParams.get('addr') ?? '') ?? []
  if (n === '') return void response.writeHead(404).end()
  const Node = { ...node(Number(n)), Name: `laptop${n}.${nodeName.replace(/^[^.]+\./, '')}.` }
  response.end(JSON.stringify({ Node, UserProfile: { ID: Number(n), LoginName: `person${n}@${tailnet}` } }))
}).listen(socket)

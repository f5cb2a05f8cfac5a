/** A LocalAPI for the machine of these tests: `node local_api.ts SOCKET`. Node n of the mesh is 100.64.0.n; 1 is this machine, 2 alice's, 3 bob's. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'

const [socket = ''] = process.argv.slice(2)
const people = new Map([
  [2, 'alice@example.com'],
  [3, 'bob@example.com'],
])
/** Which addresses this machine has says a file, so that a test can change them. */
const own = () => readFileSync(`${socket}.addresses`, 'utf8').trim().split('\n')

const self = () => ({ ID: 'n1', UserID: 1, DNSName: 'idp.example.ts.net.', TailscaleIPs: own(), Tags: ['tag:idp'] })
const status = () => ({
  BackendState: 'Running',
  TUN: true,
  Self: self(),
  CurrentTailnet: { Name: 'example.com' },
  CertDomains: ['idp.example.ts.net'],
  Health: [],
})

const whoisSelf = {
  Node: { StableID: 'n1', User: 2147455555, Name: 'idp.example.ts.net.', Tags: ['tag:idp'] },
  UserProfile: { ID: 2147455555, LoginName: 'tagged-devices' },
}

function whois(address: string) {
  if (own().includes(address)) return whoisSelf
  const number = Number(address.split('.')[3])
  const login = people.get(number)
  return login && address.startsWith('100.64.0.')
    ? {
        Node: { StableID: `n${number}`, User: number, Name: `node${number}.example.ts.net.`, Addresses: [`${address}/32`] },
        UserProfile: { ID: number, LoginName: login },
      }
    : undefined
}

createServer(({ url = '' }, response) => {
  const { pathname, searchParams } = new URL(url, 'http://local')
  const peers = [...people.keys()].map((n) => [`k${n}`, { ID: `n${n}`, UserID: n, TailscaleIPs: [`100.64.0.${n}`] }])
  if (pathname.endsWith('/watch-ipn-bus')) return void response.write('{}\n')
  if (pathname.includes('/cert/'))
    return void response.end(readFileSync('/etc/meshidp/tls.key', 'utf8') + readFileSync('/etc/meshidp/tls.crt', 'utf8'))
  const answer = pathname.endsWith('/status')
    ? { ...status(), ...(searchParams.get('peers') !== 'false' && { Peer: Object.fromEntries(peers) }) }
    : whois(searchParams.get('addr') ?? '')
  response.writeHead(answer ? 200 : 404)
  response.end(JSON.stringify(answer ?? {}))
}).listen(socket)

import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import { startDevMesh } from '../../src/identity/dev_mesh.ts'
import { changedPolicy, wiki } from '../support/example_policy.ts'
import { startLocalApi, temporarySocket } from '../support/local_api.ts'
import { start } from '../support/start.ts'

const policy = changedPolicy(({ clients }) => {
  clients['client:ci'] = { node: ['tag:ci'] }
})

test('a client that is proven by its machine costs one whois a request at the most, on a connection that is kept alive', async (t) => {
  const mesh = await startDevMesh({ socket: await temporarySocket(t) })
  t.after(() => mesh.close())
  const between = await startLocalApi(t, ({ url = '', method, headers }, response) => {
    const onwards = request({ socketPath: mesh.socket, path: url, method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    onwards.end()
  })
  const { ci } = await start(t, { policy, config: { mesh: { socket: between.socket } } })
  const ask = () => ci.send('/token', { form: { grant_type: 'client_credentials', client_id: 'client:ci', ...wiki } })
  assert.equal((await ask()).status, 200)

  const [connections, before] = [between.opened(), between.requests.length]
  for (let i = 0; i < 50; i++) assert.equal((await ask()).status, 200)
  const asked = between.requests.slice(before).filter(({ url = '' }) => !/watch-ipn-bus|status/.test(url)) // those are the daemon's own watch
  const about = asked.filter(({ url = '' }) => url.includes('/whois?'))
  assert.ok(about.length <= 50, `${about.length} questions for 50 requests`)
  assert.deepEqual(
    asked.filter((one) => !about.includes(one)).map(({ url }) => url),
    [],
    'nothing else is asked for a request',
  )
  // One or two more may be, where the daemon's own watch asks in the same moment.
  assert.ok(between.opened() <= connections + 2, `${between.opened() - connections} connections are opened for 50 requests`)
})

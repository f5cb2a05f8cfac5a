import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { createDnsLookup } from '../../src/clients/dns_lookup.ts'

const a = [0, 1]
const aaaa = [0, 28]
type Answers = { [name: string]: { type: number[]; data: number[] }[] }

/** A name server on loopback (RFC 1035 §4): it knows `answers`, denies other names, and says nothing about "silent". Returns its address. */
async function startNameServer(t: TestContext, answers: Answers): Promise<string> {
  const server = createSocket('udp4')
  server.on('message', (query, { address, port }) => {
    const question = query.subarray(12, query.indexOf(0, 12) + 5)
    const name = question.subarray(1, 1 + (question[0] ?? 0)).toString()
    if (name === 'silent') return
    const type = question.subarray(-4, -2)
    const known = answers[name]
    const records = (known ?? []).filter((record) => Buffer.from(record.type).equals(type))
    const header = Buffer.from([...query.subarray(0, 2), 0x81, known ? 0x80 : 0x83, 0, 1, 0, records.length, 0, 0, 0, 0])
    const sections = records.map(({ type: kind, data }) => Buffer.from([0xc0, 12, ...kind, 0, 1, 0, 0, 0, 60, 0, data.length, ...data]))
    server.send(Buffer.concat([header, question, ...sections]), port, address)
  })
  server.bind(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return `127.0.0.1:${server.address().port}`
}

const never = new AbortController().signal

test('all addresses of both families are given, so that all can be checked [threats 187]', async (t) => {
  const lookup = createDnsLookup([
    await startNameServer(t, {
      both: [
        { type: a, data: [8, 8, 8, 8] },
        { type: a, data: [10, 0, 0, 1] },
        { type: aaaa, data: [...Array<number>(15).fill(0), 1] },
      ],
      four: [{ type: a, data: [8, 8, 4, 4] }],
    }),
  ])
  assert.deepEqual((await lookup('both.test', never)).toSorted(), ['10.0.0.1', '8.8.8.8', '::1'])
  assert.deepEqual(await lookup('four.test', never), ['8.8.4.4'])
  await assert.rejects(lookup('other.test', never), /no address of other\.test/)
})

test('a name server that says nothing is given up with the deadline [threats 205]', async (t) => {
  const lookup = createDnsLookup([await startNameServer(t, {})])
  const aborter = new AbortController()
  const answer = assert.rejects(lookup('silent.test', aborter.signal), (error: AggregateError) => {
    assert.deepEqual(new Set(error.errors.map(({ code }) => code)), new Set(['ECANCELLED']))
    return true
  })
  aborter.abort()
  await answer
})

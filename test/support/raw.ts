/** HTTP to the letter, for what no library would send. */
import { createConnection } from 'node:net'

/** One request, to the letter, from `localAddress`; resolves with the status of the answer and its whole text. It should ask to close the connection. */
export function raw(port: string, text: string, localAddress = '127.0.0.2'): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port: Number(port), localAddress })
    let answer = ''
    socket.setEncoding('utf8')
    socket.on('data', (part) => {
      answer += part
    })
    socket.on('error', reject)
    socket.on('close', () => resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]), text: answer }))
    socket.write(text)
  })
}

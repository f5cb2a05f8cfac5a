/** Swaps a prepared state in, and dies by SIGKILL after so many changes of the file system. argv: state directory, how many. */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const [state = '', most = ''] = process.argv.slice(2)
let steps = 0
for (const name of ['renameSync', 'rmSync', 'rmdirSync', 'mkdirSync'] as const) {
  const step = fs[name] as (...args: unknown[]) => unknown
  Object.assign(fs, {
    [name](...args: unknown[]) {
      if (steps++ >= Number(most)) process.kill(process.pid, 'SIGKILL')
      return step(...args)
    },
  })
}
syncBuiltinESMExports()
const { commitSwap, finishSwap } = await import('../../src/backup/swap.ts')
commitSwap(state, '20261129T211500Z-abcdef')
finishSwap(state)

/** Takes the lock of a state directory and keeps it. argv: directory. */
import { lockState } from '../../src/store/lock.ts'

const lock = lockState(process.argv[2] ?? '')
process.stdout.write('locked\n')
setInterval(() => lock, 60_000)

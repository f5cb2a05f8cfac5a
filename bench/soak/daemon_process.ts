/** The daemon of the soak: `node daemon_process.ts CONFIG`, as `meshidp serve` but that its time flies. */
import { readFileSync } from 'node:fs'
import { createLog } from '../../src/cli/log.ts'
import { parseConfig } from '../../src/config.ts'
import { startDaemon } from '../../src/daemon.ts'
import { speed } from './world.ts'

const config = parseConfig(readFileSync(process.argv[2] ?? '', 'utf8'))
const began = Date.now()
const now = () => Math.floor((began + speed * (Date.now() - began)) / 1000)
const daemon = await startDaemon({ config, now, log: await createLog(config.log_level, { interactive: false }), linger: 1000 })
process.on('SIGHUP', () => daemon.reload('SIGHUP'))
process.once('SIGTERM', () => void daemon.close())

/** The development mesh, in a process of its own off the measured core: `node mesh_process.ts SOCKET`. Whoever calls from 127.0.0.1 is alice. */
import { startDevMesh } from '../../src/identity/dev_mesh.ts'

const mesh = await startDevMesh({ socket: process.argv[2] ?? '' })
process.once('SIGTERM', () => void mesh.close().then(() => process.exit(0)))

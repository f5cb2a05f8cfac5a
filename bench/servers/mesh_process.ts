/**
 * The development mesh, in a process of its own off the measured core: `node mesh_process.ts SOCKET [FILE]`. Without a file whoever calls from 127.0.0.1 is
 * alice.
 */
import { startDevMesh } from '../../src/identity/dev_mesh.ts'

const [socket = '', file] = process.argv.slice(2)
const mesh = await startDevMesh({ socket, ...(file !== undefined && { file }) })
process.once('SIGTERM', () => void mesh.close().then(() => process.exit(0)))

/** Checks of what is kept: the state directory, its disk, the database and the keys. */
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { holdsKeys, loadKeys } from '../keys/keyset.ts'
import { keysDirectoryOf } from '../state.ts'
import { type Examined, examine } from '../store/examine.ts'
import { migrations } from '../store/migrations/index.ts'
import { thisUser } from '../this_user.ts'
import { type Check, type Finding, fault, type Subject, skipped, warning, well } from './check.ts'

const aDay = 86_400
const mebibyte = 1024 * 1024

/** By the magic number of statfs(2): file systems whose locks or fsync are not to be relied on. */
const remote = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
  [0x65735546, 'FUSE'],
  [0x01021997, '9p'],
  [0x47504653, 'GPFS'],
])
const inMemory = new Set([0x01021994, 0x858458f6])

const space = { low: 100 * mebibyte, little: 1024 * mebibyte }

const shown = (bytes: number) => `${Math.round(bytes / mebibyte).toLocaleString('en')} MiB`

function isReadOnly(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS'
  }
}

const notThereYet = (directory: string) => skipped(`${directory} is not there yet; the daemon makes it at its first start.`)

const gone = (directory: string) => skipped(`${directory} is not there, though a daemon works with it.`)

/** Runs `look` in the state directory where there is one. Who may not enter it would find nothing in it. */
const there =
  (look: (directory: string, subject: Subject) => Finding): Check['run'] =>
  (subject) => {
    const { state_directory: directory } = subject.config
    if (!existsSync(directory)) return subject.daemon ? gone(directory) : notThereYet(directory)
    try {
      accessSync(directory, constants.R_OK | constants.X_OK)
    } catch {
      return fault(`${thisUser().name} may not enter ${directory}.`, 'Run the doctor as the user that the daemon runs as.')
    }
    return look(directory, subject)
  }

/** The same, cheaply. */
function cheaply(look: (directory: string) => Finding): Pick<Check, 'run' | 'cheap'> {
  const run = ({ config: { state_directory } }: Pick<Subject, 'config'>) =>
    existsSync(state_directory) ? look(state_directory) : notThereYet(state_directory)
  return { run, cheap: run }
}

/** Runs `look` at the database where there is one. */
const opened = (look: (database: Examined, file: string, subject: Subject) => Finding): Check['run'] =>
  there((directory, subject) => {
    const file = join(directory, 'meshidp.db')
    if (!existsSync(file)) return skipped(`${file} is not there yet.`)
    try {
      return look(examine(file, migrations), file, subject)
    } catch (error) {
      return fault(
        `${(error as Error).message}`,
        'Run the doctor as the user of the daemon; if it is damaged, stop the daemon and restore a backup.',
      )
    }
  })

export const stateChecks: readonly Check[] = [
  {
    id: 'state_directory',
    title: 'the state directory',
    why: 'Its keys can sign any token, so nobody but the user of the daemon may enter it.',
    ...cheaply((directory) => {
      const { mode, uid } = statSync(directory)
      if (mode & 0o077)
        return fault(`${directory} can be entered by others (mode ${(mode & 0o777).toString(8)}).`, `Run: chmod 700 ${directory}`)
      const me = thisUser()
      return uid === me.uid
        ? well(`${directory}, of ${me.name} alone.`)
        : warning(
            `${directory} belongs to user ${uid}, and this is ${me.name} (${me.uid}).`,
            'Run the doctor as the user that the daemon runs as: what it finds is true of this user only.',
          )
    }),
  },
  {
    id: 'file_system',
    title: 'its file system',
    why: 'An answer leaves when its rows are on disk. Over a network or in memory that is not so, and locks may not hold.',
    ...cheaply((directory) => {
      const { type } = statfsSync(directory)
      if (isReadOnly(directory))
        return fault('It is mounted read-only: nothing can be saved.', `Mount it to be written to: findmnt -T ${directory}`)
      const name = remote.get(type)
      if (name) return fault(`${name}.`, 'Put "state_directory" on a local disk.')
      return inMemory.has(type)
        ? warning('It is in memory: a reboot loses everything.', 'Put "state_directory" on a disk.')
        : well('Local.')
    }),
  },
  {
    id: 'free_space',
    title: 'free space',
    why: 'Where the disk is full nobody signs in: such requests are 503.',
    run: there((directory) => {
      const { bavail, bsize } = statfsSync(directory)
      const free = bavail * bsize
      const found = `${shown(free)} free.`
      const remedy = 'Make room, or keep decisions for a shorter time ("lifetimes.decisions").'
      return free < space.low ? fault(found, remedy) : free < space.little ? warning(found, remedy) : well(found)
    }),
  },
  {
    id: 'database',
    title: 'the database',
    why: 'It holds every sign-in. Damage is found here before it is found by people.',
    run: opened(({ damage, bytes }, file) =>
      damage === null ? well(`${file}, ${shown(bytes)}, sound.`) : fault(`${file}: ${damage}`, 'Stop the daemon and restore a backup.'),
    ),
  },
  {
    id: 'schema',
    title: 'its schema',
    why: 'A newer program brings it up to date at its start; an older one cannot read it.',
    run: opened(({ pending }, _file, { daemon }) =>
      pending === 0
        ? well('As this program has it.')
        : warning(
            `${pending} migrations of this program have not run there yet.`,
            daemon ? 'An older daemon is running. Restart it.' : 'They run at the next start.',
          ),
    ),
  },
  {
    id: 'tailnet',
    title: 'the tailnet of the people known here',
    why: 'User ids of two tailnets collide, so one state belongs to one tailnet.',
    run: opened(({ tailnet }, _file, { mesh }) => {
      const now = mesh instanceof Error ? null : (mesh.CurrentTailnet?.Name ?? null)
      if (tailnet === null) return well('Nobody is known yet.')
      if (now === null || now === tailnet) return well(`${tailnet}.`)
      return fault(`${tailnet}, but this node is in ${now}.`, 'Go back to that tailnet, or start with a new state directory.')
    }),
  },
  {
    id: 'clock',
    title: 'the clock',
    why: 'Tokens are good for minutes. A clock that was set back makes new ones of the past, and gives old ones a longer life.',
    run: opened(({ newest }, _file, { now }) => {
      const ahead = (newest ?? 0) - now()
      return ahead <= 60
        ? well('Nothing here is of the future.')
        : fault(
            `The newest decision was made ${ahead} s from now.`,
            'Set the clock right, and keep it so with NTP (timedatectl set-ntp true).',
          )
    }),
  },
  {
    id: 'keys',
    title: 'the keys',
    why: 'Without them no token can be signed, and new ones would make every old token worthless.',
    run: there((_directory, { config, credentials }) => {
      const keys = keysDirectoryOf(config, credentials)
      if (!holdsKeys(keys)) return skipped(`There are none in ${keys} yet; the daemon makes them at its first start.`)
      try {
        const { signing } = loadKeys(keys)
        return well(`${[...new Set(signing.map(({ alg }) => alg))].join(' and ')}, in ${keys}.`)
      } catch (error) {
        return fault((error as Error).message, 'See docs/operations.md, "State, keys and secrets".')
      }
    }),
  },
  {
    id: 'key_age',
    title: 'their age',
    why: 'The longer a key signs, the more is lost with it.',
    run: there((_directory, { config, credentials, now }) => {
      const keys = keysDirectoryOf(config, credentials)
      if (!holdsKeys(keys)) return skipped('There are none yet.')
      // One that does not say since when it signs is as old as its file.
      const ages = loadKeys(keys).signing.map(({ signs_from, file }) => now() - (signs_from || statSync(join(keys, file)).mtimeMs / 1000))
      const days = Math.floor(Math.min(...ages) / aDay)
      const found = days < 0 ? 'New ones are published.' : days < 1 ? 'Of today.' : `${days} days.`
      return days > 400 ? warning(found, 'Make new ones: meshidp keys rotate') : well(found)
    }),
  },
]

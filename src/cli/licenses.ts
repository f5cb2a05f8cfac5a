import { type Command, Unusable } from './command.ts'
import { runsFromSources, shipped } from './shipped.ts'

/** Written by the build, of what it has put into the program (scripts/licenses.mjs). */
const file = 'dist/licenses.txt'

export const licenses: Command = {
  summary: 'print the licences of all that is inside this program',
  description:
    'Prints the licence of meshidp, and name, version and licence of each work of others that this build holds: libraries, SQLite, Node.',
  options: {},
  async run({ write }) {
    if (runsFromSources) throw new Unusable('These are the sources, in which nothing of others is: see LICENSE, and those in node_modules.')
    write(shipped(file))
    return 0
  },
}

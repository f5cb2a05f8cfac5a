/** Files that come with the program. */
import { readFileSync } from 'node:fs'
import { getAsset, isSea } from 'node:sea'

/** Whether this is a checkout, in which nothing was built. */
export const runsFromSources = import.meta.url.endsWith('.ts')

/**
 * The text of a file that comes with the program, such as "policy/example.hujson": of the single executable from inside of it, else from the folder of the
 * project or package, which src/cli and dist/bin are equally deep in. Throws where it is not there.
 */
export const shipped = (name: string): string =>
  isSea() ? getAsset(name, 'utf8') : readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')

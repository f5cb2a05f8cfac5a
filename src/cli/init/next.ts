/** What to run after `meshidp init`. */
import type { LiveConfig } from '../../config.ts'
import { serveCommand } from '../../http/serve_command.ts'
import { defaultConfigFile } from '../config_file.ts'

/** Three commands, in order. `file`: of the configuration. */
export function nextCommands(config: LiveConfig, file: string, asService: boolean): string[] {
  const told = file === defaultConfigFile ? '' : ` --config ${file}`
  const start = asService ? 'sudo meshidp service install --now' : `meshidp serve${told}`
  const doctor = `${asService ? 'sudo ' : ''}meshidp doctor${told}`
  return config.mesh.identity === 'serve'
    ? [start, serveCommand(config), doctor]
    : [start, doctor, `meshidp policy check ${config.policy_file}`]
}

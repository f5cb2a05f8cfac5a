/** File systems of a test's own, that can be filled, frozen and broken; they go when the test ends. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { TestContext } from 'node:test'
import { temporaryDirectory } from '../support/start.ts'

const works = (command: string, ...args: string[]) => spawnSync(command, args).status === 0

/** Why there can be none; false where there can. */
export const unable = !works('unshare', '--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt') && 'To mount a file system takes root.'

/** Why there can be none `onDisk`; false where there can. */
export const withoutLoop =
  unable ||
  (!(works('losetup', '--find') && works('test', '-w', '/sys/fs/ext4')) && 'There is no loop device, or no ext4 that can be broken.')

const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })

/** An empty folder on which `mount` mounts something; unmounted, and gone, when the test ends. */
function mounted(t: TestContext, mount: (folder: string) => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'meshidp-mount-'))
  mount(folder)
  t.after(() => {
    run('umount', '--lazy', folder)
    rmdirSync(folder)
  })
  return folder
}

/** A file system in memory of so many MiB. */
export const inMemory = (t: TestContext, megabytes: number): string =>
  mounted(t, (folder) => run('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m,mode=700`, 'tmpfs', folder))

/** Takes all the room that is left; gives it back when called. */
export function filled(folder: string): () => void {
  const file = join(folder, 'filler')
  for (const size of ['1M', '4k'])
    try {
      run('dd', 'if=/dev/zero', `of=${file}`, `bs=${size}`, 'oflag=append', 'conv=notrunc')
    } catch {} // no space left on device
  return () => run('rm', file)
}

/** An ext4 file system of 32 MiB, as Debian mounts its root: read-only after an error. `breaks` is such an error; `mends` checks it, and mounts it again. */
export function onDisk(t: TestContext): { folder: string; breaks: () => void; mends: () => void } {
  const image = join(temporaryDirectory(t), 'disk')
  run('dd', 'if=/dev/zero', `of=${image}`, 'bs=1M', 'count=32')
  run('mke2fs', '-q', '-t', 'ext4', '-m', '0', image)
  const attached = (file: string) => {
    const device = run('losetup', '--find', '--show', file).trim()
    t.after(() => run('losetup', '--detach', device))
    return device
  }
  const mount = (device: string, folder: string) => run('mount', '-o', 'errors=remount-ro', device, folder)
  const device = attached(image)
  const folder = mounted(t, (folder) => mount(device, folder))
  return {
    folder,
    breaks: () => writeFileSync(`/sys/fs/ext4/${basename(device)}/trigger_fs_error`, '1'),
    mends() {
      run('umount', folder)
      // Whoever made a mount namespace meanwhile has it mounted yet, as broken as it was: so it is a copy that is mended.
      const copy = `${image}-mended`
      run('dd', `if=${device}`, `of=${copy}`, 'bs=1M')
      try {
        run('e2fsck', '-f', '-y', copy)
      } catch {} // 1: it has mended something
      mount(attached(copy), folder)
    },
  }
}

/** Nobody may change these files, whoever they are and whoever has them open; until called. */
export function frozen(...files: string[]): () => void {
  run('chattr', '+i', ...files)
  return () => run('chattr', '-i', ...files)
}

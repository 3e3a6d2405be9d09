/**
 * A switch with one cable a host, inside the sandbox: hosts reach each other and the control machine, and
 * nothing else, since there is no route out.
 */
import { mkdir } from 'node:fs/promises'
import { run } from './shell.ts'

export const CONTROL = '10.77.0.1'
/** The bucket and the sources are elsewhere, as they are in life. */
export const BUCKET = '10.77.0.3'
export const SOURCE = '10.77.0.4'

const BRIDGE = 'br0'

/** Call once; the sandbox takes it all with it. */
export async function buildSwitch(): Promise<void> {
  await mkdir('/run/netns', { recursive: true })
  // Names of network namespaces are files: in a folder that only the sandbox sees, they go with it.
  await run('mount', ['-t', 'tmpfs', 'tmpfs', '/run/netns'])
  await run('ip', ['link', 'set', 'lo', 'up'])
  await run('ip', ['link', 'add', BRIDGE, 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0'])
  await run('ip', ['link', 'set', BRIDGE, 'up'])
  for (const address of [CONTROL, BUCKET, SOURCE])
    await run('ip', ['addr', 'add', `${address}/24`, 'dev', BRIDGE])
}

/** Lays a cable to a new namespace and gives its path. */
export async function plugIn(name: string, address: string): Promise<string> {
  await run('ip', ['netns', 'add', name])
  const port = `p-${name}`.slice(0, 15)
  await run('ip', [
    '-n',
    name,
    'link',
    'add',
    'eth0',
    'type',
    'veth',
    'peer',
    'name',
    port,
    'netns',
    '1',
  ])
  await run('ip', ['link', 'set', port, 'master', BRIDGE, 'up'])
  await run('ip', ['-n', name, 'addr', 'add', `${address}/24`, 'dev', 'eth0'])
  await run('ip', ['-n', name, 'link', 'set', 'eth0', 'up'])
  await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
  return `/run/netns/${name}`
}

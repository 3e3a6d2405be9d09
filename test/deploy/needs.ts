/** What has to be on a machine before systemd hosts can be booted on it. */
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'

const TOOLS = [
  'systemd-nspawn',
  'unshare',
  'ip',
  'mount',
  'ansible-playbook',
  'openssl',
  'ssh',
  'sshd',
  'ssh-keygen',
]

/** Why there can be no hosts; undefined: there can. Without them a run has failed, never been skipped. */
export function whyNoHosts(path: string = process.env['PATH'] ?? ''): string | undefined {
  if (process.getuid?.() !== 0) return 'systemd hosts take root'
  const missing = TOOLS.filter((tool) => !path.split(':').some((folder) => isThere(folder, tool)))
  return missing.length > 0 ? `${missing.join(', ')}: not on this machine` : undefined
}

function isThere(folder: string, tool: string): boolean {
  try {
    accessSync(join(folder, tool), constants.X_OK)
    return true
  } catch {
    return false
  }
}

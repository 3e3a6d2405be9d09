/** Where things are on a host, and whose they are. deploy/package/DESIGN.md lists them for people. */

export type Role = 'coord' | 'worker'

export const ROLES: readonly Role[] = ['coord', 'worker']

export const ACCOUNT = 'hakiri'

export const PATHS = {
  program: '/usr/local/bin/hakiri',
  settingsFolder: '/etc/hakiri',
  settings: '/etc/hakiri/hakiri.toml',
  state: '/var/lib/hakiri',
  /** Relative paths of the settings start at the state, since that is the folder they are read from. */
  settingsLink: '/var/lib/hakiri/hakiri.toml',
  coordData: '/var/lib/hakiri/coord',
  cache: '/var/cache/hakiri',
  units: '/etc/systemd/system',
} as const

export function unitName(role: Role): string {
  return `hakiri-${role}.service`
}

/** systemd-sysusers(8) makes the account; it can also do so in a folder that is to become a host. */
export const SYSUSERS_LINE = `u ${ACCOUNT} - "Hakiri" ${PATHS.state} /usr/sbin/nologin`

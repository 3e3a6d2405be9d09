/** The rows of `hakiri install` and `uninstall`, for an artifact that can be some of the roles. */
import type { CommandSpec, OptionSpec } from '../command.ts'
import type { Role } from '../install/layout.ts'
import { settingOptions } from '../install/settings-text.ts'

const DRY_RUN: OptionSpec = { flags: '--dry-run', summary: 'only say what would change' }
const ROOT: OptionSpec = {
  flags: '--root <folder>',
  summary: 'a folder that is to become a host; nothing is started',
}

export function installRows(roles: readonly Role[]): readonly CommandSpec[] {
  return [
    {
      usage: 'install <role>',
      summary: `Make this host a ${roles.join(' or a ')}: user, program, settings, systemd unit; start it.`,
      options: [
        DRY_RUN,
        ROOT,
        { flags: '--no-start', summary: 'install and enable, but start nothing' },
        ...settingOptions(roles),
      ],
      examples: roles.map((role) => EXAMPLES[role]),
      load: async () => (await import('./install.ts')).installOf(roles),
    },
    {
      usage: 'uninstall [role]',
      summary: 'Stop and remove what `install` made; settings and data stay.',
      options: [DRY_RUN, ROOT, { flags: '--purge', summary: 'settings, data and user as well' }],
      examples: ['hakiri uninstall --dry-run'],
      load: async () => (await import('./install.ts')).uninstall,
    },
  ]
}

const EXAMPLES: Readonly<Record<Role, string>> = {
  coord: 'hakiri install coord --dry-run --bind 0.0.0.0:7701 --peers c1:7701,c2:7701,c3:7701',
  worker: 'hakiri install worker --dry-run --coord c1:7701,c2:7701,c3:7701 --catalog env:CATALOG',
}

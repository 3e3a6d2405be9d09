/**
 * The whole command tree, one row a command. Implementations load on use. An artifact of a smaller profile
 * has one of the tables in profiles/ in place of this one.
 */
import type { CommandSpec } from './command.ts'
import { completionRow } from './commands/completion-row.ts'
import { CLUSTER_ROWS } from './commands/cluster-rows.ts'
import { COORD_ROWS } from './commands/ctl/rows.ts'
import { installRows } from './commands/install-rows.ts'
import { DOCTOR_ROW, PROJECT_ROWS } from './commands/project-rows.ts'
import { CLUSTER_GROUPS, COORD_GROUPS, PROJECT_GROUPS } from './groups.ts'

export const GROUPS: Readonly<Record<string, string>> = {
  ...PROJECT_GROUPS,
  ...CLUSTER_GROUPS,
  ...COORD_GROUPS,
}

export const COMMANDS: readonly CommandSpec[] = [
  ...PROJECT_ROWS,
  ...CLUSTER_ROWS,
  ...COORD_ROWS,
  ...installRows(['coord', 'worker']),
  DOCTOR_ROW,
  completionRow(() => COMMANDS),
]

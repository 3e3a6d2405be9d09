/** The commands of the artifact `hakiri-coord`: a coordinator and what looks at one. */
import type { CommandSpec } from '../command.ts'
import { completionRow } from '../commands/completion-row.ts'
import { COORD_ROWS } from '../commands/ctl/rows.ts'
import { installRows } from '../commands/install-rows.ts'
import { COORD_GROUPS } from '../groups.ts'

export const GROUPS = COORD_GROUPS

export const COMMANDS: readonly CommandSpec[] = [
  ...COORD_ROWS,
  ...installRows(['coord']),
  completionRow(() => COMMANDS),
]

/** The commands of the artifact `hakiri-core`: one machine, with no coordinator and no cluster. */
import type { CommandSpec } from '../command.ts'
import { completionRow } from '../commands/completion-row.ts'
import { installRows } from '../commands/install-rows.ts'
import { DOCTOR_ROW, PROJECT_ROWS } from '../commands/project-rows.ts'
import { PROJECT_GROUPS } from '../groups.ts'

export const GROUPS = PROJECT_GROUPS

export const COMMANDS: readonly CommandSpec[] = [
  ...PROJECT_ROWS,
  ...installRows(['worker']),
  DOCTOR_ROW,
  completionRow(() => COMMANDS),
]

/** The commands of the artifact `hakiri-core`: one machine, with no coordinator and no cluster. */
import type { CommandSpec } from '../command.ts'
import { DOCTOR_ROW, PROJECT_ROWS } from '../commands/project-rows.ts'
import { PROJECT_GROUPS } from '../groups.ts'

export const GROUPS = PROJECT_GROUPS

export const COMMANDS: readonly CommandSpec[] = [
  ...PROJECT_ROWS,
  DOCTOR_ROW,
  {
    usage: 'completion <shell>',
    summary: 'Print a completion script for bash, zsh or fish.',
    examples: ['source <(hakiri completion bash)'],
    load: async () => (await import('../commands/completion.ts')).completionOf(COMMANDS),
  },
]

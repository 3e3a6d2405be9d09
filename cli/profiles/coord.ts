/** The commands of the artifact `hakiri-coord`: a coordinator and what looks at one. */
import type { CommandSpec } from '../command.ts'
import { COORD_ROWS } from '../commands/ctl/rows.ts'
import { COORD_GROUPS } from '../groups.ts'

export const GROUPS = COORD_GROUPS

export const COMMANDS: readonly CommandSpec[] = [
  ...COORD_ROWS,
  {
    usage: 'completion <shell>',
    summary: 'Print a completion script for bash, zsh or fish.',
    examples: ['source <(hakiri completion bash)'],
    load: async () => (await import('../commands/completion.ts')).completionOf(COMMANDS),
  },
]

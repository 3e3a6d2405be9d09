/** The row of `hakiri completion`, over the table that it is itself a row of. */
import type { CommandSpec } from '../command.ts'

export function completionRow(commands: () => readonly CommandSpec[]): CommandSpec {
  return {
    usage: 'completion <shell>',
    summary: 'Print a completion script for bash, zsh or fish.',
    examples: ['source <(hakiri completion bash)'],
    load: async () => (await import('./completion.ts')).completionOf(commands()),
  }
}

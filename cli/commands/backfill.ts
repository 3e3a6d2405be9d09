/** `hakiri backfill`: a range of the cursor column, read again and merged by key. */
import { HakiriError } from '../../lib/error.ts'
import type { CommandRun } from '../command.ts'
import { openProject } from '../project.ts'
import { runAndReport } from './run.ts'

export const backfill: CommandRun = async ({ args, options, globals }, io) => {
  const { from, to } = options
  if (typeof from !== 'string' || typeof to !== 'string') {
    throw new HakiriError('USAGE', 'a backfill needs --from and --to', {
      suggestion: 'hakiri backfill shop --from 2026-01-01 --to 2026-02-01',
    })
  }
  const project = await openProject(globals, io)
  return runAndReport(
    project,
    project.pipelines([String(args[0])]),
    { kind: 'backfill', from, to },
    io,
  )
}

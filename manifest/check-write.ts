/** What `write` asks for: does it fit the mode, the source and itself. */
import { hasSourceKey, modeOf, writeModeOf } from './fill.ts'
import type { Path } from './problem.ts'
import type { RawWrite } from './schema.ts'
import type { PipelineScope } from './scope.ts'

/** `write` of the pipeline, or of one table laid over it. */
export function checkWrite(scope: PipelineScope, path: Path, write: RawWrite): void {
  const { merged, report, warn } = scope
  if (write.mode === 'changelog') {
    const message = 'mode "changelog" comes with a later version'
    report([...path, 'mode'], message, 'Use "append" or "upsert".', 'CONFIG_UNAVAILABLE')
    return
  }
  if (write.soft_delete !== undefined) {
    report([...path, 'soft_delete'], 'soft_delete belongs to mode = "changelog"', 'Remove it.')
  }
  checkCursor(scope, path, write)
  const mode = writeModeOf(write, merged)
  if (mode === 'upsert' && write.key === undefined) checkUpsertKey(scope, path)
  if (mode === 'append' && write.key !== undefined) {
    warn([...path, 'key'], 'append does not look at key', 'Use mode = "upsert" to merge by key.')
  }
  const repeated = (write.key ?? []).find((column, index, all) => all.indexOf(column) !== index)
  if (repeated !== undefined) {
    report([...path, 'key'], `the column ${JSON.stringify(repeated)} appears twice`, 'Remove one.')
  }
}

function checkCursor(scope: PipelineScope, path: Path, write: RawWrite): void {
  const { merged, report, warn } = scope
  const isIncremental = modeOf(merged) === 'incremental'
  const isFile = merged.source.type === 'file'
  if (write.lag !== undefined && write.cursor === undefined) {
    report([...path, 'lag'], 'lag needs a cursor', 'Add cursor = "COLUMN", or remove lag.')
  }
  if (isFile && write.cursor !== undefined) {
    const suggestion = 'Remove cursor; mode = "incremental" reads files that are new.'
    report([...path, 'cursor'], 'a file source keeps track of files, not of a column', suggestion)
  } else if (isIncremental && !isFile && write.cursor === undefined) {
    const suggestion = 'Add cursor = "COLUMN", a column that only grows, such as updated_at.'
    report([...path, 'cursor'], 'incremental reads need write.cursor', suggestion)
  } else if (merged.mode === 'full' && write.cursor !== undefined) {
    warn([...path, 'cursor'], 'a full load does not look at cursor', 'Use mode = "incremental".')
  }
  if (isIncremental && write.mode === 'replace') {
    const suggestion = 'Use "append" or "upsert", or mode = "full".'
    report(
      [...path, 'mode'],
      'replace writes the whole table, incremental reads a part',
      suggestion,
    )
  }
}

function checkUpsertKey(scope: PipelineScope, path: Path): void {
  const { merged, report } = scope
  const { source } = merged
  if (hasSourceKey(merged) || source.type === 'github' || source.type === 'wasm') return
  const keyless =
    source.type === 'http'
      ? Object.keys(source.streams).filter((name) => source.streams[name]?.key === undefined)
      : []
  const own = keyless.filter((name) => merged.table?.[name]?.write?.key === undefined)
  if (source.type === 'http' && own.length === 0) return
  const whose = own.length > 0 ? ` (streams without a key: ${own.join(', ')})` : ''
  report([...path, 'key'], `upsert needs a key${whose}`, 'Add key = ["COLUMN"].')
}

/** What the keys of one pipeline mean for each other. Runs on the pipeline with [defaults] merged in. */
import { parseBytes, parseDuration } from '../lib/units.ts'
import { checkSource } from './check-source.ts'
import { checkSchedule } from './check-time.ts'
import { checkShardBy, checkTableNames, checkTables, checkTypes } from './check-tables.ts'
import { checkWrite } from './check-write.ts'
import { parsePartition, splitCall, TRANSFORMS } from './partition.ts'
import type { PipelineScope } from './scope.ts'
import { suggestWord } from './words.ts'

const MEMORY_BYTES_MIN = 32_000_000

export function checkPipeline(scope: PipelineScope): void {
  const { merged, report } = scope
  checkSource(scope)
  checkMode(scope)
  checkWrite(scope, ['write'], merged.write ?? {})
  checkShardBy(scope, ['shard_by'], merged.shard_by ?? 'pipeline')
  if (merged.schedule) {
    checkSchedule(merged.schedule, parseDuration(merged.schedule.every ?? ''), report)
  }
  checkPartitions(scope)
  checkTypes(scope, ['types'], merged.types)
  checkTables(scope)
  checkTableNames(scope)
  checkBudgets(scope)
}

function checkMode({ merged, report }: PipelineScope): void {
  if (merged.mode === 'cdc') {
    const suggestion = 'Use mode = "incremental" with write.cursor until then.'
    const message = 'change data capture comes with a later version'
    report(['mode'], message, suggestion, 'CONFIG_UNAVAILABLE')
  } else if (merged.cdc) {
    report(['cdc'], 'cdc belongs to mode = "cdc"', 'Remove it, or set mode = "cdc".')
  }
}

function checkPartitions({ merged, report }: PipelineScope): void {
  const seen = new Set<string>()
  for (const [index, text] of (merged.partition_by ?? []).entries()) {
    const path = ['partition_by', index]
    const field = parsePartition(text)
    const name = splitCall(text)?.name
    if (!field && name !== undefined) {
      const message = `there is no partition transform ${JSON.stringify(name)}`
      report(path, message, suggestWord(name, TRANSFORMS))
    } else if (!field) {
      const message = `${JSON.stringify(text)} is not a partition`
      report(path, message, 'Write a column, or day(column).')
    } else if (seen.has(JSON.stringify(field))) {
      report(path, `${JSON.stringify(text)} appears twice`, 'Remove one.')
    }
    seen.add(JSON.stringify(field))
  }
}

function checkBudgets({ merged, report }: PipelineScope): void {
  if ((parseBytes(merged.memory ?? '512MB') ?? 0) < MEMORY_BYTES_MIN) {
    report(['memory'], 'is too little to work in', 'Write 32MB or more.')
  }
  const [first, most] = (merged.retries?.backoff ?? '').split('..').map(parseDuration)
  if (first !== undefined && most !== undefined && (first > most || first === 0)) {
    const message = 'the first wait must be more than 0 and not longer than the longest'
    report(['retries', 'backoff'], message, 'Write first..most, such as "1s..5m".')
  }
}

/** Runs the calls of an encoder process. The engine is opened by the first call. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { HakiriError } from '../../lib/error.ts'
import type { BatchInput, ObservedColumn } from '../plan/batch-plan.ts'
import { describe, learnNdjson, openNdjson, openTyped, stampOf } from './batch.ts'
import type { NdjsonFacts } from './batch.ts'
import { encodeBatch } from './encode-job.ts'
import type { EncodeJob, EncodeOutcome } from './encoder.ts'
import type { Engine } from './engine.ts'
import type { Job } from './job.ts'
import { engineBytes } from './limits.ts'
import { observedColumn } from './observe.ts'
import type { Answers, Call, ChildOptions } from './protocol.ts'
import { rewriteFiles } from './rewrite-job.ts'
import { encodeCheckpoint, encodeRejects } from './small-jobs.ts'
import { parquetSourceColumn } from './sql-parquet.ts'

/** Batches whose scan is remembered between being inspected and being encoded. */
const FACTS_MAX = 8

export type Server = {
  run(call: Call, signal: AbortSignal): Promise<Answers[keyof Answers]>
}

export function createServer(options: ChildOptions): Server {
  const engine = lazyEngine(options)
  const memory = createMemory()
  let files = 0
  const temporary = (): string => join(options.folder, `rows-${files++}`)
  return {
    async run(call, signal) {
      signal.throwIfAborted()
      const open = await engine()
      using session = await open.open(memoryFor(call, options.memoryBytes))
      const interrupt = (): void => session.interrupt()
      signal.addEventListener('abort', interrupt)
      try {
        return await dispatch(call, { session, signal, temporary }, memory)
      } finally {
        signal.removeEventListener('abort', interrupt)
      }
    },
  }
}

function lazyEngine(options: ChildOptions): () => Promise<Engine> {
  let opened: Promise<Engine> | undefined
  const open = async (): Promise<Engine> => {
    try {
      const { openEngine } = await import('./engine.ts')
      return await openEngine({ spillFolder: join(options.folder, 'spill') })
    } catch (error) {
      throw new HakiriError('ENGINE_UNAVAILABLE', 'The query engine could not be started', {
        cause: error,
        suggestion: 'Install again with `npm ci`, on Linux or macOS, x64 or arm64.',
      })
    }
  }
  return () => (opened ??= open())
}

/** Looking at a batch runs beside the writing of another, whose limit stands. */
function memoryFor(call: Call, memoryBytes: number): number | undefined {
  switch (call.kind) {
    case 'inspect':
      return undefined
    case 'encode':
      return engineBytes(memoryBytes, call.job.plan.outputs.length)
    case 'rewrite':
      return engineBytes(memoryBytes, call.job.columns.length)
    case 'rejects':
    case 'checkpoint':
      return engineBytes(memoryBytes, 0)
  }
}

async function dispatch(call: Call, job: Job, memory: Memory): Promise<Answers[keyof Answers]> {
  switch (call.kind) {
    case 'inspect':
      return inspect(call.input, job, memory)
    case 'encode':
      return encode(call.job, job, memory)
    case 'rewrite':
      return rewriteFiles(call.job, job)
    case 'rejects':
      return encodeRejects(call.rows, call.outFolder, job)
    case 'checkpoint':
      await encodeCheckpoint(call.actionsPath, call.outPath, job)
      return null
  }
}

async function inspect(
  input: BatchInput,
  job: Job,
  memory: Memory,
): Promise<readonly ObservedColumn[]> {
  switch (input.format) {
    case 'csv':
      return input.columns.map((column) => ({ ...column, empty: false }))
    case 'parquet':
      return (await describe(input.path, job)).map((column) => ({
        ...parquetSourceColumn(column),
        empty: false,
      }))
    case 'ndjson':
      return (await memory.facts(input.path, job)).scan.columns.map(observedColumn)
  }
}

async function encode(encodeJob: EncodeJob, job: Job, memory: Memory): Promise<EncodeOutcome> {
  const { input } = encodeJob
  const batch =
    input.format === 'ndjson'
      ? openNdjson(await memory.facts(input.path, job), job, (facts) => memory.learn(facts))
      : await openTyped(input, job)
  try {
    return await encodeBatch(encodeJob, batch, job)
  } finally {
    await batch.release?.()
  }
}

// ── What was scanned ──────────────────────────────────────────────────────────────────────────────

type Memory = {
  /** Scans a file, unless it was scanned before and is still the same. */
  facts(path: string, job: Job): Promise<NdjsonFacts>
  learn(facts: NdjsonFacts): Promise<void>
}

function createMemory(): Memory {
  const known = new Map<string, NdjsonFacts>()
  const forget = async (facts: NdjsonFacts | undefined): Promise<void> => {
    if (!facts) return
    known.delete(facts.path)
    if (facts.repaired) await rm(facts.repaired.path, { force: true })
  }
  const learn = async (facts: NdjsonFacts): Promise<void> => {
    await forget(known.get(facts.path))
    known.set(facts.path, facts)
    if (known.size > FACTS_MAX) await forget(known.values().next().value)
  }
  return {
    learn,
    async facts(path, job) {
      const before = known.get(path)
      if (before && before.stamp === (await stampOf(path))) {
        known.delete(path)
        known.set(path, before)
        return before
      }
      const facts = await learnNdjson(path, job)
      await learn(facts)
      return facts
    },
  }
}

/** `hakiri query`: SQL over all tables; a prompt when no SQL is given. */
import { rename, rm, mkdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, extname, join, resolve } from 'node:path'
import { createReadStream } from 'node:fs'
import { pipeline as pipeStreams } from 'node:stream/promises'
import { HakiriError } from '../../lib/error.ts'
import { systemClock } from '../../lib/system/clock.ts'
import type { Engine, ExportFormat } from '../../sink/query/engine.ts'
import { openQuery } from '../../sink/query/open.ts'
import type { AsOf } from '../../sink/query/read-log.ts'
import type { ObjectStore } from '../../sink/store/store.ts'
import { wholeNumber } from '../arguments.ts'
import type { CommandInput, CommandIo, CommandOutput, CommandRun } from '../command.ts'
import { formatAnswer } from '../output.ts'
import { openProject, type Project } from '../project.ts'

const QUERY_MEMORY_BYTES = 1e9
const JSON_ROWS_MAX = 100_000
const FORMATS = ['table', 'json', 'csv', 'parquet'] as const

type Format = (typeof FORMATS)[number]

export const query: CommandRun = async (input, io) => {
  const sql = input.args[0] as string | undefined
  const format = formatOf(String(input.options['format'] ?? 'table'))
  const project = await openProject(input.globals, io)
  const scratch = await project.scratchFolder()
  try {
    await using session = await openSession(project, sql, asOf(input.options['at']), scratch)
    if (sql === undefined) {
      const { prompt } = await import('../prompt.ts')
      return await prompt(session.engine, io)
    }
    return await answer(session.engine, sql, format, scratch, input, io)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

type Session = AsyncDisposable & { readonly engine: Engine }

async function openSession(
  project: Project,
  sql: string | undefined,
  at: AsOf,
  scratch: string,
): Promise<Session> {
  const stores: ObjectStore[] = []
  for (const destination of Object.values(project.manifest.destinations))
    stores.push(await project.openStore(destination))
  const close = async (): Promise<void> => {
    for (const store of stores) await store[Symbol.asyncDispose]()
  }
  try {
    const engine = await openQuery({
      stores,
      cacheFolder: join(project.stateFolder, 'cache'),
      tempFolder: join(scratch, 'spill'),
      memoryBytes: QUERY_MEMORY_BYTES,
      threads: availableParallelism(),
      clock: systemClock,
      asOf: at,
      mentionedIn: sql,
      outputFolders: [scratch],
    })
    return {
      engine,
      async [Symbol.asyncDispose]() {
        await engine[Symbol.asyncDispose]()
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function answer(
  engine: Engine,
  sql: string,
  format: Format,
  scratch: string,
  { options, globals }: CommandInput,
  io: CommandIo,
): Promise<CommandOutput> {
  const output = options['output'] as string | undefined
  if (output !== undefined || (format !== 'table' && !globals.json))
    return exportAnswer(engine, sql, exportFormat(format, output), output, scratch, io)
  const limit = wholeNumber(String(options['limit'] ?? '100'), '--limit')
  const found = await engine.ask(sql, globals.json ? JSON_ROWS_MAX : limit, io.stop)
  io.data(`${formatAnswer(found)}\n`)
  return {
    result: {
      columns: found.columns.map((column) => ({ ...column })),
      rows: found.rows,
      truncated: found.truncated,
    },
    summary: `${found.rows.length} row(s)${found.truncated ? ' shown, there are more: --limit or --format csv' : ''}`,
  }
}

/** The engine writes into scratch; from there the answer goes to its file, or to stdout. */
async function exportAnswer(
  engine: Engine,
  sql: string,
  format: ExportFormat,
  output: string | undefined,
  scratch: string,
  io: CommandIo,
): Promise<CommandOutput> {
  if (format === 'parquet' && output === undefined && process.stdout.isTTY) {
    throw new HakiriError('USAGE', 'Parquet is not for a terminal', {
      suggestion: 'Add --output answer.parquet.',
    })
  }
  const path = join(scratch, `answer.${format}`)
  const rows = await engine.write(sql, path, format, io.stop)
  if (output === undefined) {
    await copyToStdout(path)
    return { result: null, summary: '', written: true }
  }
  const target = resolve(output)
  await mkdir(dirname(target), { recursive: true })
  await moveFile(path, target)
  return { result: { file: target, rows }, summary: `✓ ${rows} row(s) in ${target}` }
}

/** When stdout itself fails (`| head`, a full disk), the frame knows what that means. */
async function copyToStdout(path: string): Promise<void> {
  try {
    await pipeStreams(createReadStream(path), process.stdout, { end: false })
  } catch (error) {
    const { syscall } = error as NodeJS.ErrnoException
    if (syscall !== 'write') throw error
  }
}

/** Without a word about it, the ending of the file says what to write. */
function exportFormat(format: Format, output: string | undefined): ExportFormat {
  if (format !== 'table') return format
  const ending = extname(output ?? '').slice(1)
  return ending === 'json' || ending === 'parquet' ? ending : 'csv'
}

async function moveFile(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    const { copyFile } = await import('node:fs/promises')
    await copyFile(from, to)
  }
}

function formatOf(text: string): Format {
  const found = FORMATS.find((format) => format === text)
  if (found) return found
  throw new HakiriError('USAGE', `no format ${text}`, {
    suggestion: `There is ${FORMATS.join(', ')}.`,
  })
}

function asOf(at: unknown): AsOf {
  if (typeof at !== 'string') return { kind: 'latest' }
  if (/^\d+$/.test(at)) return { kind: 'version', version: wholeNumber(at, '--at') }
  const ms = Date.parse(at)
  if (!Number.isNaN(ms)) return { kind: 'time', ms }
  throw new HakiriError('USAGE', `--at takes a version or a time, not "${at}"`, {
    suggestion: 'For example --at 12 or --at 2026-11-01T00:00:00Z.',
  })
}

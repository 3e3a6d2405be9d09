/**
 * A real encoder on a folder of its own, and its files read back by another reader: values exact, as
 * text that is easy to compare (binary as hex, timestamps in microseconds, dates in days).
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Column, ColumnType } from '../../lib/column.ts'
import { systemClock } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { createEncoder } from '../../sink/encoder/create.ts'
import type { EncoderOptions } from '../../sink/encoder/create.ts'
import type { EncodeOutcome, EncodedFile, Encoder } from '../../sink/encoder/encoder.ts'
import type { BatchInput, BatchPlan, ObservedColumn } from '../../sink/plan/batch-plan.ts'
import { openParquet, readColumn } from './delta-parquet.ts'

export type EncoderBench = AsyncDisposable & {
  readonly encoder: Encoder
  readonly folder: string
  /** Writes a batch file and returns its path. */
  file(content: string | Uint8Array): Promise<string>
  /** A new empty folder. */
  outFolder(): Promise<string>
  encode(input: BatchInput, plan: BatchPlan): Promise<EncodeOutcome>
}

export const never = new AbortController().signal

export async function openEncoder(options: Partial<EncoderOptions> = {}): Promise<EncoderBench> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-encoder-'))
  const tempFolder = join(folder, 'temp')
  await mkdir(tempFolder)
  const encoder = await createEncoder({
    memoryBytes: 256e6,
    tempFolder,
    clock: systemClock,
    logger: silentLogger,
    ...options,
  })
  let files = 0
  const outFolder = async (): Promise<string> => {
    const path = join(folder, `out-${files++}`)
    await mkdir(path)
    return path
  }
  return {
    encoder,
    folder,
    outFolder,
    async file(content) {
      const path = join(folder, `batch-${files++}`)
      await writeFile(path, content)
      return path
    },
    encode: async (input, plan) =>
      encoder.encode({ input, plan, outFolder: await outFolder() }, never),
    async [Symbol.asyncDispose]() {
      await encoder[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A column whose table name is its source name, unless another is given. */
export function column(id: number, source: string, type: ColumnType, name = source): Column {
  return { id, name, type, source, sourceType: type }
}

/** Takes every column as it is. */
export function planOf(columns: readonly Column[], more: Partial<BatchPlan> = {}): BatchPlan {
  return {
    outputs: columns.map((item) => ({
      column: item,
      input: item.source,
      take: 'value',
      fits: item.type,
    })),
    rejects: [],
    partitions: [],
    merge: undefined,
    ...more,
  }
}

/** Columns as observed, named c1, c2, …, for sources with names that no table has. */
export function columnsOf(observed: readonly ObservedColumn[]): readonly Column[] {
  return observed.map(({ name, type }, index) => column(index + 1, name, type, `c${index + 1}`))
}

export type Row = { readonly [column: string]: unknown }

/** Rows of a file, read column by column with an independent reader. */
export async function readRows(
  file: Pick<EncodedFile, 'localPath'>,
  columns: readonly Pick<Column, 'name' | 'type'>[],
): Promise<readonly Row[]> {
  const parquet = await openParquet(await readFile(file.localPath))
  const values = await Promise.all(
    columns.map(({ name, type }) =>
      readColumn(parquet, { name, type, nullable: true, metadata: {} }),
    ),
  )
  return Array.from({ length: parquet.rows }, (_, row) =>
    Object.fromEntries(columns.map(({ name }, index) => [name, plain(values[index]?.[row])])),
  )
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  return value
}

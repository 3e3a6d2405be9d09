/**
 * Takes rows that cannot be read out of a batch, each with its reason, and leaves a batch that can.
 * Runs only after a fault was found, over the whole file in memory: a batch is small.
 */
import { isUtf8 } from 'node:buffer'
import { readFile, writeFile } from 'node:fs/promises'
import type { RejectedRow } from './encoder.ts'
import type { Session } from './engine.ts'
import { csvRecords } from './csv-records.ts'
import { ROW_BYTES_MAX } from './limits.ts'
import { rawText } from './raw-text.ts'
import { lineProblem, startNdjsonScan } from './scan-ndjson.ts'

export type Repaired = {
  readonly path: string
  readonly rows: number
  readonly longest: number
  readonly rejected: readonly RejectedRow[]
}

/** A stretch of the file that holds one row. */
type Span = { readonly start: number; readonly end: number; readonly problem: string | undefined }

const BOM = Buffer.from('\ufeff')
const NEWLINE = 10

export async function repairCsv(path: string, fields: number, outPath: string): Promise<Repaired> {
  const bytes = await readFile(path)
  const spans = [...csvRecords(bytes, fields)]
  return write(outPath, bytes, spans)
}

/** The engine drops a byte order mark at the start of a file; inside quotes it stays. */
function keepMark(row: Buffer): Buffer {
  if (!row.subarray(0, 3).equals(BOM)) return row
  const at = row.indexOf(',')
  const end = at < 0 ? row.length : at
  const quote = Buffer.from('"')
  return Buffer.concat([quote, row.subarray(0, end), quote, row.subarray(end)])
}

export async function repairNdjson(
  path: string,
  session: Session,
  outPath: string,
): Promise<Repaired> {
  const file = await readFile(path)
  const bytes = file.subarray(0, 3).equals(BOM) ? file.subarray(3) : file
  const scan = startNdjsonScan()
  const spans = [...lineSpans(bytes)].map((span): Span => {
    const line = Buffer.concat([bytes.subarray(span.start, span.end), Buffer.from('\n')])
    return { ...span, problem: lineProblem(scan, line) }
  })
  const checked = await withEngineVerdict(bytes, spans, session)
  return write(outPath, bytes, checked)
}

/** Lines that are not blank. */
export function* lineSpans(bytes: Buffer): Generator<Span> {
  let start = 0
  while (start < bytes.length) {
    const newline = bytes.indexOf(NEWLINE, start)
    const end = newline < 0 ? bytes.length : newline
    if (!isBlank(bytes, start, end)) yield { start, end, problem: undefined }
    start = end + 1
  }
}

function isBlank(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i]
    if (byte !== 32 && byte !== 9 && byte !== 13) return false
  }
  return true
}

const VERDICT_BYTES = 256 * 1024

/** Asks the engine's own parser about the lines that looked right, so that both agree in the end. */
async function withEngineVerdict(
  bytes: Buffer,
  spans: readonly Span[],
  session: Session,
): Promise<readonly Span[]> {
  const judged: Span[] = []
  let group: Span[] = []
  let size = 0
  const flush = async (): Promise<void> => {
    judged.push(...(await judge(bytes, group, session)))
    group = []
    size = 0
  }
  for (const span of spans) {
    group.push(span)
    size += span.end - span.start
    if (size > VERDICT_BYTES) await flush()
  }
  await flush()
  return judged
}

async function judge(
  bytes: Buffer,
  group: readonly Span[],
  session: Session,
): Promise<readonly Span[]> {
  const checked = group.map((span): Span => {
    const line = bytes.subarray(span.start, span.end)
    if (span.problem === undefined && !isUtf8(line)) return { ...span, problem: 'invalid UTF-8' }
    const isOdd = line.length > ROW_BYTES_MAX || line.includes(0)
    return span.problem === undefined && isOdd ? { ...span, problem: oddProblem(line) } : span
  })
  const lines = checked
    .filter(({ problem }) => problem === undefined)
    .map(({ start, end }) => bytes.toString('utf8', start, end))
  const verdicts = lines.length === 0 ? [] : await session.rows(VALID_JSON, lines)
  let next = 0
  return checked.map((span) => {
    if (span.problem !== undefined) return span
    return verdicts[next++]?.[0] === true ? span : { ...span, problem: 'malformed JSON' }
  })
}

/** The list of texts is bound as the one parameter; rows come in its order. */
const VALID_JSON = 'SELECT json_valid(line) FROM (SELECT unnest($1) AS line)'

function oddProblem(line: Buffer): string {
  return line.length > ROW_BYTES_MAX ? tooLarge(line.length) : 'malformed JSON'
}

function tooLarge(bytes: number): string {
  return `row of ${bytes} bytes, at most ${ROW_BYTES_MAX}`
}

async function write(outPath: string, bytes: Buffer, spans: readonly Span[]): Promise<Repaired> {
  const sized = spans.map((span) =>
    span.problem === undefined && span.end - span.start > ROW_BYTES_MAX
      ? { ...span, problem: tooLarge(span.end - span.start) }
      : span,
  )
  const good = sized.filter(({ problem }) => problem === undefined)
  const rejected = sized.flatMap(({ start, end, problem }) =>
    problem === undefined ? [] : [{ reason: problem, raw: rawText(bytes.subarray(start, end)) }],
  )
  const longest = good.reduce((most, { start, end }) => Math.max(most, end - start), 0)
  const newline = Buffer.from('\n')
  const parts = good.flatMap(({ start, end }, index) => {
    const row = bytes.subarray(start, end)
    return [index === 0 ? keepMark(row) : row, newline]
  })
  await writeFile(outPath, parts)
  return { path: outPath, rows: good.length, longest: longest + 2, rejected }
}

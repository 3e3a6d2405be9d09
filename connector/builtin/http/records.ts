/**
 * From the records of a page to NDJSON: one record a line, digit for digit. Where nothing has to be
 * added or left out, the page's own bytes become the lines, without a copy.
 */
import { HakiriError } from '../../../lib/error.ts'
import { hasLoneSurrogate, joinLines, scanFields } from '../../json-scan.ts'
import type { Filter } from './watermark.ts'

/** Whole lines, at most `chunkBytesMax` unless one line is longer. */
export type Chunk = { readonly bytes: Uint8Array; readonly rows: number }

export type Rendered = {
  readonly chunks: readonly Chunk[]
  readonly rejects: readonly { readonly raw: string; readonly reason: string }[]
  /** Records that a later pass must be able to see again. */
  readonly withheld: number
  /** Records without a value in the cursor column. */
  readonly absent: number
}

export type Rendering = {
  /** `"repo":"a/b","lang":"en"`: put in front of each record's own members; empty for none. */
  readonly splice: Uint8Array
  /** Names in `splice`, which records may not have themselves. */
  readonly spliced: readonly string[]
  readonly filter: Filter | undefined
  readonly chunkBytesMax: number
  /** The stream, for messages. */
  readonly stream: string
}

const LF = 0x0a
const SPACE = 0x20
const COMMA = 0x2c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** `bounds`: start and end of each record in turn. May change `body`, which is the caller's to give. */
export function renderRecords(body: Buffer, bounds: readonly number[], how: Rendering): Rendered {
  if (bounds.length === 0) return { chunks: [], rejects: [], withheld: 0, absent: 0 }
  joinLines(body, bounds[0]!, bounds.at(-1)!)
  const odd = hasOddRecords(body, bounds)
  if (!odd && how.filter === undefined && how.splice.length === 0 && bounds.at(-1)! < body.length)
    return {
      chunks: linesInPlace(body, bounds, how.chunkBytesMax),
      rejects: [],
      withheld: 0,
      absent: 0,
    }
  return copyRecords(body, bounds, how)
}

/** Something other than an object, or perhaps half a character. */
function hasOddRecords(body: Buffer, bounds: readonly number[]): boolean {
  for (let i = 0; i < bounds.length; i += 2) if (body[bounds[i]!] !== OPEN_OBJECT) return true
  return body.includes('\\ud') || body.includes('\\uD')
}

/** The comma behind a record becomes its line end; other bytes between records become spaces. */
function linesInPlace(body: Buffer, bounds: readonly number[], bytesMax: number): readonly Chunk[] {
  const chunks: Chunk[] = []
  let from = bounds[0]!
  let rows = 0
  for (let i = 0; i < bounds.length; i += 2) {
    const end = bounds[i + 1]!
    if (rows > 0 && end + 1 - from > bytesMax) {
      chunks.push({ bytes: body.subarray(from, bounds[i - 1]! + 1), rows })
      from = bounds[i]!
      rows = 0
    }
    body[end] = LF
    body.fill(SPACE, end + 1, bounds[i + 2] ?? end + 1)
    rows++
  }
  chunks.push({ bytes: body.subarray(from, bounds.at(-1)! + 1), rows })
  return chunks
}

function copyRecords(body: Buffer, bounds: readonly number[], how: Rendering): Rendered {
  const rejects: { raw: string; reason: string }[] = []
  const counts = { keep: 0, drop: 0, withhold: 0, absent: 0 }
  const kept: number[] = []
  for (let i = 0; i < bounds.length; i += 2) {
    const [start, end] = [bounds[i]!, bounds[i + 1]!]
    const reason = unreadable(body, start, end)
    if (reason !== undefined) {
      rejects.push({ raw: body.toString('utf8', start, end), reason })
      continue
    }
    const verdict = judgeRecord(body, start, end, how)
    counts[verdict]++
    if (verdict === 'keep' || (verdict === 'absent' && how.filter?.keepsAbsent))
      kept.push(start, end)
  }
  const chunks = writeLines(body, kept, how)
  return { chunks, rejects, withheld: counts.withhold, absent: counts.absent }
}

function unreadable(body: Buffer, start: number, end: number): string | undefined {
  if (body[start] !== OPEN_OBJECT) return 'the record is not a JSON object'
  if (hasLoneSurrogate(body, start, end)) return 'a string of the record holds half a character'
  return undefined
}

function judgeRecord(
  body: Buffer,
  start: number,
  end: number,
  how: Rendering,
): 'keep' | 'drop' | 'withhold' | 'absent' {
  const { filter, spliced } = how
  if (filter === undefined && spliced.length === 0) return 'keep'
  const names = filter === undefined ? spliced : [filter.column, ...spliced]
  const fields = scanFields(body, start, end, names)
  const own = filter === undefined ? fields : fields.slice(1)
  const clash = own.findIndex((field) => field !== undefined)
  if (clash >= 0) throw clashError(how.stream, spliced[clash]!)
  if (filter === undefined) return 'keep'
  const slice = filterField(fields[0], names, spliced)
  const raw = slice && body.toString('utf8', slice.start, slice.end)
  return filter.judge(raw, () => body.subarray(start, end))
}

type Field = ReturnType<typeof scanFields>[number]

/** The cursor column cannot be one that is spliced in: those are the same in every record. */
function filterField(field: Field, names: readonly string[], spliced: readonly string[]): Field {
  return spliced.includes(names[0]!) ? undefined : field
}

function writeLines(body: Buffer, kept: readonly number[], how: Rendering): readonly Chunk[] {
  const chunks: Chunk[] = []
  const { splice } = how
  const lineBytes = (i: number): number =>
    kept[i + 1]! - kept[i]! + 1 + (splice.length > 0 ? splice.length + 1 : 0)
  for (let i = 0; i < kept.length;) {
    let size = 0
    let stop = i
    while (stop < kept.length && (stop === i || size + lineBytes(stop) <= how.chunkBytesMax)) {
      size += lineBytes(stop)
      stop += 2
    }
    const out = Buffer.allocUnsafeSlow(size)
    let at = 0
    for (let k = i; k < stop; k += 2) at = writeLine(out, at, body, kept[k]!, kept[k + 1]!, splice)
    chunks.push({ bytes: out.subarray(0, at), rows: (stop - i) / 2 })
    i = stop
  }
  return chunks
}

function writeLine(
  out: Buffer,
  from: number,
  body: Buffer,
  start: number,
  end: number,
  splice: Uint8Array,
): number {
  let at = from
  let rest = start
  if (splice.length > 0) {
    out[at++] = OPEN_OBJECT
    out.set(splice, at)
    at += splice.length
    rest++
    while (body[rest] === SPACE || body[rest] === 0x09) rest++
    if (body[rest] !== CLOSE_OBJECT) out[at++] = COMMA
  }
  at += body.copy(out, at, rest, end)
  out[at++] = LF
  return at
}

function clashError(stream: string, name: string): HakiriError {
  return new HakiriError(
    'SOURCE_DATA',
    `stream ${stream}: records have a field "${name}" already, so the placeholder cannot be a column`,
    { suggestion: `Rename the placeholder {${name}} in path and each.` },
  )
}

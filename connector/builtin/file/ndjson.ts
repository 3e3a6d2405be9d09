/**
 * NDJSON: lines pass as they are. Here a line only has to be text and to look like an object; what is
 * inside is checked by the encoder, which reads every value anyway.
 */
import { isUtf8 } from 'node:buffer'
import { skipSpace, skipValue } from '../../json-grammar.ts'
import { hasLoneSurrogate } from '../../json-scan.ts'
import {
  NO_BYTES,
  lineDropper,
  rawText,
  type Reject,
  type Splitter,
  type Taken,
  type Window,
} from './split.ts'

const LF = 0x0a
const SPACE = 0x20
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

type Line = { readonly start: number; readonly end: number; readonly next: number }

export function createNdjsonSplitter(bytesMax: number): Splitter {
  const dropper = lineDropper('the line is too long')
  return {
    format: 'ndjson',
    take(window) {
      const { bytes, from, end } = window
      if (window.overlong || dropper.isDropping()) return dropper.drop(window)
      const stop = lastBreak(bytes, from, end, bytesMax)
      if (stop < 0) return window.final && end > from ? takeTail(window) : nothing(from)
      return takeLines(bytes, from, stop + 1)
    },
  }
}

const nothing = (from: number): Taken => ({ next: from, out: NO_BYTES, rows: 0, rejects: [] })

/** The last line break within the limit, or the first one when a line is longer; -1 for none. */
function lastBreak(bytes: Buffer, from: number, end: number, bytesMax: number): number {
  const limit = Math.min(end, from + bytesMax)
  const last = limit > from ? bytes.lastIndexOf(LF, limit - 1) : -1
  if (last >= from) return last
  const first = bytes.indexOf(LF, from)
  return first >= 0 && first < end ? first : -1
}

/** [from, end) ends with a line break. */
function takeLines(bytes: Buffer, from: number, end: number): Taken {
  const isText = isUtf8(bytes.subarray(from, end))
  const mayBreak = hasHalfCharacters(bytes, from, end)
  const kept: Line[] = []
  const rejects: Reject[] = []
  let regular = true
  for (let at = from; at < end;) {
    const stop = bytes.indexOf(LF, at)
    const line = { start: at, end: stop, next: stop + 1 }
    at = line.next
    const problem = lineProblem(bytes, line, isText, mayBreak)
    if (problem === undefined) kept.push(line)
    else {
      regular = false
      if (problem !== 'blank') rejects.push(problem)
    }
  }
  const out = regular ? bytes.subarray(from, end) : joinLines(bytes, kept)
  return { next: end, out, rows: kept.length, rejects }
}

function hasHalfCharacters(bytes: Buffer, from: number, end: number): boolean {
  const text = bytes.subarray(from, end)
  return text.includes('\\ud') || text.includes('\\uD')
}

function lineProblem(
  bytes: Buffer,
  { start, end }: Line,
  isText: boolean,
  mayBreak: boolean,
): Reject | 'blank' | undefined {
  const first = bytes[start] === OPEN_OBJECT ? start : skipSpace(bytes, start, end)
  if (first >= end) return 'blank'
  if (!isText && !isUtf8(bytes.subarray(start, end)))
    return { raw: rawText(bytes, start, end, false), reason: 'the line is not valid UTF-8' }
  let last = end - 1
  while (bytes[last]! <= SPACE) last--
  const raw = (): string => rawText(bytes, start, end, true)
  if (bytes[first] !== OPEN_OBJECT || bytes[last] !== CLOSE_OBJECT)
    return { raw: raw(), reason: 'the line is not a JSON object' }
  if (mayBreak && hasLoneSurrogate(bytes, start, end))
    return { raw: raw(), reason: 'a string of the line holds half a character' }
  return undefined
}

function joinLines(bytes: Buffer, lines: readonly Line[]): Uint8Array {
  return Buffer.concat(lines.map(({ start, next }) => bytes.subarray(start, next)))
}

/** The last line of a file, without a line break. */
function takeTail({ bytes, from, end, fresh }: Window): Taken {
  const start = skipSpace(bytes, from, end)
  const value = start < end ? skipValue(bytes, start, end) : end
  const isWhole = value > 0 && skipSpace(bytes, value, end) === end
  if (!isWhole && fresh) return nothing(from)
  const ended = Buffer.concat([bytes.subarray(from, end), Buffer.from('\n')])
  const taken = takeLines(ended, 0, ended.length)
  if (isWhole || taken.rows === 0) return { ...taken, next: end }
  const raw = rawText(bytes, from, end, true)
  return {
    next: end,
    out: NO_BYTES,
    rows: 0,
    rejects: [{ raw, reason: 'the last line is cut off' }],
  }
}

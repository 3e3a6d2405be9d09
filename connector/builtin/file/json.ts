/** JSON files: the list at a pointer becomes lines while it streams by; one object is one line. */
import { isUtf8 } from 'node:buffer'
import { HakiriError } from '../../../lib/error.ts'
import { skipSpace, skipValue } from '../../json-grammar.ts'
import {
  enterRecords,
  hasLoneSurrogate,
  joinLines,
  parsePointer,
  scanList,
  type ListState,
} from '../../json-scan.ts'
import { NO_BYTES, rawText, type Reject, type Splitter, type Taken, type Window } from './split.ts'

const LF = 0x0a
const OPEN_OBJECT = 0x7b

type State =
  | { readonly kind: 'before' }
  | { readonly kind: 'list'; readonly at: ListState }
  /** Behind the records; only space may follow when they are the document itself. */
  | { readonly kind: 'behind' }

/** `resumed`: the first window starts behind an element of the list. */
export function createJsonSplitter(
  file: string,
  pointer: string,
  bytesMax: number,
  resumed: boolean,
): Splitter {
  const tokens = parsePointer(pointer)
  if (!tokens) {
    throw new HakiriError('CONFIG_INVALID', `records = "${pointer}" is not a JSON pointer`, {
      suggestion: 'Write it like "/data/items", or "" for the whole file.',
    })
  }
  let state: State = resumed ? { kind: 'list', at: 'inside' } : { kind: 'before' }

  function take(window: Window): Taken {
    const { bytes, from, end, final, overlong } = window
    if (overlong)
      throw unreadable(file, 'a record is too long, or the records stand too far behind')
    switch (state.kind) {
      case 'before':
        return enter(bytes.subarray(from, end), from, final)
      case 'list':
        return takeList(window, state.at)
      case 'behind': {
        const next = tokens!.length > 0 ? end : skipSpace(bytes, from, end)
        if (next < end) throw unreadable(file, 'something follows the list')
        return nothing(next)
      }
    }
  }

  function enter(bytes: Buffer, from: number, final: boolean): Taken {
    const entry = enterRecords(bytes, bytes.length, tokens!, final)
    switch (entry.kind) {
      case 'more':
        return nothing(from)
      case 'list':
        state = { kind: 'list', at: 'first' }
        return nothing(from + entry.at)
      case 'one':
        return takeOne(bytes, from, entry.at, final)
      case 'null':
        state = { kind: 'behind' }
        return nothing(from + bytes.length)
      case 'missing':
      case 'scalar':
        throw unreadable(file, `there are no records at "${pointer}"`)
      case 'invalid':
        throw unreadable(file, `it stops being JSON at byte ${entry.offset}`)
    }
  }

  function takeOne(bytes: Buffer, from: number, at: number, final: boolean): Taken {
    const stop = skipValue(bytes, at, bytes.length)
    if (stop < 0 && ~stop >= bytes.length && !final) return nothing(from)
    if (stop < 0) throw unreadable(file, `it stops being JSON at byte ${~stop}`)
    state = { kind: 'behind' }
    // The record is no place to resume from: what follows it is not a list.
    return { ...toLines(bytes, [at, stop]), next: from + stop, resumable: false }
  }

  function takeList(window: Window, at: ListState): Taken {
    const { bytes, from, end, final } = window
    const limited = Math.min(end, from + bytesMax)
    let scan = scanList(bytes, from, limited, at)
    if (scan.bounds.length === 0 && scan.state !== 'closed' && limited < end) {
      scan = firstOf(scanList(bytes, from, end, at))
    }
    if (scan.invalid !== undefined && scan.bounds.length === 0)
      throw unreadable(file, 'it stops being JSON')
    if (final && scan.consumed === from && scan.state !== 'closed' && limited === end)
      throw unreadable(file, 'it ends in the middle of the list')
    // A cursor stands behind an element, never behind the bracket: resuming starts inside the list.
    if (scan.state === 'closed' && scan.bounds.length > 0)
      scan = { ...scan, state: 'inside', consumed: scan.bounds.at(-1)! }
    state = scan.state === 'closed' ? { kind: 'behind' } : { kind: 'list', at: scan.state }
    return { ...toLines(bytes, scan.bounds), next: scan.consumed }
  }

  return { format: 'ndjson', take }
}

const nothing = (next: number): Taken => ({
  next,
  out: NO_BYTES,
  rows: 0,
  rejects: [],
  resumable: false,
})

type Scan = ReturnType<typeof scanList>

/** The first element alone, when it is larger than the limit. */
function firstOf(scan: Scan): Scan {
  if (scan.bounds.length <= 2) return scan
  const [start, end] = scan.bounds as [number, number]
  return { bounds: [start, end], consumed: end, state: 'inside', invalid: undefined }
}

function toLines(bytes: Buffer, bounds: readonly number[]): Omit<Taken, 'next'> {
  if (bounds.length === 0) return { out: NO_BYTES, rows: 0, rejects: [], resumable: false }
  const region = bytes.subarray(bounds[0], bounds.at(-1))
  const isText = isUtf8(region)
  const mayBreak = region.includes('\\ud') || region.includes('\\uD')
  const hasBreaks = region.includes(LF) || region.includes('\r')
  const rejects: Reject[] = []
  const out = Buffer.allocUnsafeSlow(region.length + bounds.length / 2)
  let to = 0
  for (let i = 0; i < bounds.length; i += 2) {
    const [start, end] = [bounds[i]!, bounds[i + 1]!]
    const reject = elementProblem(bytes, start, end, isText, mayBreak)
    if (reject) {
      rejects.push(reject)
      continue
    }
    bytes.copy(out, to, start, end)
    if (hasBreaks) joinLines(out.subarray(to, to + end - start), 0, end - start)
    to += end - start
    out[to++] = LF
  }
  const rows = bounds.length / 2 - rejects.length
  return { out: out.subarray(0, to), rows, rejects }
}

function elementProblem(
  bytes: Buffer,
  start: number,
  end: number,
  isText: boolean,
  mayBreak: boolean,
): Reject | undefined {
  if (!isText && !isUtf8(bytes.subarray(start, end)))
    return { raw: rawText(bytes, start, end, false), reason: 'the record is not valid UTF-8' }
  if (bytes[start] !== OPEN_OBJECT)
    return { raw: rawText(bytes, start, end, true), reason: 'the record is not a JSON object' }
  if (mayBreak && hasLoneSurrogate(bytes, start, end)) {
    const reason = 'a string of the record holds half a character'
    return { raw: rawText(bytes, start, end, true), reason }
  }
  return undefined
}

function unreadable(file: string, what: string): HakiriError {
  return new HakiriError('SOURCE_DATA', `${file} cannot be read as JSON: ${what}`, {
    suggestion: 'Check that the file is complete, and records = "…" of the source.',
  })
}

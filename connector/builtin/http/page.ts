/** One page: from an answer to the records and paging facts it holds. */
import { isUtf8 } from 'node:buffer'
import { HakiriError } from '../../../lib/error.ts'
import { scanDocument } from '../../json-scan.ts'
import { pointerTokens, type Stream } from './config.ts'
import { nextLink, toldPosition, withoutParam, type Position } from './paging.ts'
import { placeOf, type Answer } from './request.ts'

export type ReadPage = {
  readonly body: Buffer
  /** Start and end of each record in `body`, in turn. */
  readonly bounds: readonly number[]
  readonly told: Position | undefined
}

/** Tokens of a stream's pointers, parsed once. */
export type Pointers = {
  readonly records: readonly string[]
  readonly next: readonly string[] | undefined
}

export function streamPointers(stream: Stream): Pointers {
  const { paging } = stream
  return {
    records: pointerTokens(stream.records, stream),
    next: 'next' in paging ? pointerTokens(paging.next, stream) : undefined,
  }
}

export function readPage(
  answer: Answer,
  url: URL,
  stream: Stream,
  pointers: Pointers,
  secretParam: string | undefined,
): ReadPage {
  const { body } = answer
  const where = `stream ${stream.name}: ${placeOf(url)}`
  if (answer.status === 204 || body.length === 0) return { body, bounds: [], told: undefined }
  if (!isUtf8(body)) throw new HakiriError('SOURCE_DATA', `${where} is not valid UTF-8`)
  if (body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf) body.fill(0x20, 0, 3)
  const scan = scanDocument(body, pointers.records, pointers.next ? [pointers.next] : [])
  if (scan.kind === 'invalid') throw invalidJson(answer, where, scan.offset, scan.early)
  const slice = scan.values[0]
  const raw = slice && body.toString('utf8', slice.start, slice.end)
  const told = tellNext(stream, raw, answer, url)
  return {
    body,
    bounds: recordBounds(scan.records, stream, where),
    told: told === undefined ? undefined : keptPosition(stream, told, secretParam),
  }
}

/** The next position that headers tell; the only thing a 304 can tell. */
export function headerNext(
  answer: Answer,
  url: URL,
  stream: Stream,
  secretParam: string | undefined,
): Position | undefined {
  if (stream.paging.kind !== 'link') return undefined
  const told = nextLink(linkHeader(answer), url)
  return told === undefined ? undefined : keptPosition(stream, told, secretParam)
}

function tellNext(
  stream: Stream,
  raw: string | undefined,
  answer: Answer,
  url: URL,
): string | undefined {
  switch (stream.paging.kind) {
    case 'link':
      return nextLink(linkHeader(answer), url)
    case 'cursor':
    case 'next-url':
      return toldPosition(stream.paging, raw, url)
    case 'none':
    case 'offset':
    case 'page':
      return undefined
  }
}

function linkHeader(answer: Answer): string | undefined {
  const { link } = answer.headers
  return Array.isArray(link) ? link.join(', ') : link
}

function keptPosition(stream: Stream, told: string, secretParam: string | undefined): string {
  return stream.paging.kind === 'cursor' ? told : withoutParam(told, secretParam)
}

type Found = Extract<ReturnType<typeof scanDocument>, { kind: 'valid' }>['records']

function recordBounds(records: Found, stream: Stream, where: string): readonly number[] {
  switch (records.kind) {
    case 'list':
    case 'one':
      return records.bounds
    case 'null':
      return []
    case 'missing':
    case 'scalar': {
      const what = records.kind === 'missing' ? 'nothing' : 'neither a list nor an object'
      throw new HakiriError(
        'SOURCE_DATA',
        `${where} has ${what} at records = "${stream.records}"`,
        {
          suggestion: 'Point records at the list of records, like "/data/items".',
        },
      )
    }
  }
}

/** A body without a known end may simply have been cut, which another try can cure. */
function invalidJson(answer: Answer, where: string, offset: number, early: boolean): HakiriError {
  if (early && answer.endUnknown)
    return new HakiriError('SOURCE_UNREACHABLE', `${where}: the body ended after ${offset} bytes`)
  const start = Math.max(0, offset - 20)
  const near = answer.body.toString('utf8', start, offset + 20).replaceAll(/\s+/g, ' ')
  const what = early ? 'ends too early' : `is not valid JSON near "${near}"`
  return new HakiriError('SOURCE_DATA', `${where} ${what} (byte ${offset})`, {
    suggestion: 'Check that the path answers with JSON.',
  })
}

/** Takes requests apart, within limits: what is asked for, in which form, with which body. */
import type { IncomingMessage } from 'node:http'
import * as v from 'valibot'
import { ApiFailure } from './problem.ts'
import { refused } from './params.ts'
import type { Route } from './route.ts'

export type Target = { readonly path: string; readonly query: URLSearchParams }

/** Path still encoded, since names may hold slashes. */
export function readTarget(url = '/'): Target {
  if (!url.startsWith('/')) throw refused('the request names no path of this API')
  const at = url.indexOf('?')
  return at < 0
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at + 1)) }
}

export function readToken(header: string | undefined): string | undefined {
  return /^Bearer +([\w.~+/=-]+) *$/i.exec(header ?? '')?.[1]
}

/** Throws 406 unless the asker takes what the route answers with. */
export function checkAccept(header: string | undefined, route: Route): void {
  if (header === undefined) return
  const type = typeOf(route)
  const [family] = type.split('/')
  const ranges = header.split(',').map((part) => {
    const [range = '', ...params] = part.split(';').map((piece) => piece.trim().toLowerCase())
    return { range, isRefused: params.some((param) => /^q=0(\.0*)?$/.test(param)) }
  })
  // The most telling range decides (RFC 9110 §12.5.1).
  const found = [type, `${family}/*`, '*/*']
    .map((wanted) => ranges.find(({ range }) => range === wanted))
    .find((each) => each !== undefined)
  if (!found || found.isRefused) throw new ApiFailure(406, `${route.path} answers with ${type}`)
}

function typeOf(route: Route): string {
  switch (route.kind) {
    case 'json':
      return 'application/json'
    case 'text':
      return 'text/plain'
    case 'stream':
      return 'text/event-stream'
  }
}

/** The body as the route's schema has it; 413, 415 or 400 when it is something else. */
export async function readBody(
  request: IncomingMessage,
  route: Route,
  bytesMax: number,
): Promise<unknown> {
  const schema = route.kind === 'json' ? route.body : undefined
  const text = await readText(request, bytesMax)
  if (!schema) {
    if (text !== '') throw refused(`${route.path} takes no body`)
    return undefined
  }
  if (text !== '' && !/^application\/json *(;|$)/i.test(request.headers['content-type'] ?? ''))
    throw new ApiFailure(415, 'a body must be application/json')
  return check(schema, text === '' ? {} : parse(text))
}

async function readText(request: IncomingMessage, bytesMax: number): Promise<string> {
  const tooLarge = (): ApiFailure =>
    new ApiFailure(413, `a body may have ${bytesMax} bytes`, { connection: 'close' })
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge()
  const parts: Buffer[] = []
  let bytes = 0
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      bytes += part.length
      if (bytes > bytesMax) throw tooLarge()
      parts.push(part)
    }
  } catch (error) {
    throw error instanceof ApiFailure ? error : new ApiFailure(400, 'the request was cut off')
  }
  return Buffer.concat(parts).toString()
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw refused(`the body is not valid JSON: ${(error as Error).message}`)
  }
}

function check(schema: v.GenericSchema, value: unknown): unknown {
  // The library takes a list for an object without keys.
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw refused('the body must be an object')
  const parsed = v.safeParse(schema, value)
  if (parsed.success) return parsed.output
  const [issue] = parsed.issues
  const where = v.getDotPath(issue)
  throw refused(`the body${where === null ? '' : ` at ${where}`}: ${issue.message}`)
}

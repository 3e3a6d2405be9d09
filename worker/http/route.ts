/** A route of the API as a row: what it takes, what it answers, and who may ask. */
import type * as v from 'valibot'
import type { TokenScope } from '../../catalog/cluster.ts'
import type { Params, Values } from './params.ts'
import { refused } from './params.ts'
import type { ApiPorts } from './ports.ts'

/** 'open': without a token too, also beyond loopback. */
export type RouteScope = TokenScope | 'open'

export type Request<P extends Params, B> = {
  /** Decoded parts of the path, by name. */
  readonly path: { readonly [name: string]: string }
  readonly query: Values<P>
  readonly body: B
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined }
  /** Who asks: the name of the token, or "loopback"; undefined on an open route without a token. */
  readonly by: string | undefined
  /** Fires when the asker has gone or the answer is overdue. */
  readonly signal: AbortSignal
}

export type Answer<A> = {
  readonly body: A
  readonly status?: number
  readonly headers?: { readonly [name: string]: string }
}

export type Stream = {
  /** Writes until it is done or the signal fires; resolves when the text is on its way, or rejects. */
  run(write: (text: string) => Promise<void>, signal: AbortSignal): Promise<void>
}

type RouteFacts = {
  readonly method: 'GET' | 'POST'
  /** "/v1/shards/:pipeline/:shard/pause" */
  readonly path: string
  readonly scope: RouteScope
  readonly summary: string
  readonly query: Params
  /** Of what it may answer beside what all routes may. */
  readonly refusals: readonly number[]
}

export type JsonRoute = RouteFacts & {
  readonly kind: 'json'
  readonly status: number
  readonly body: v.GenericSchema | undefined
  readonly answer: v.GenericSchema
  handle(request: Request<Params, unknown>, ports: ApiPorts): Promise<Answer<unknown>>
}

export type TextRoute = RouteFacts & {
  readonly kind: 'text'
  readonly type: string
  handle(request: Request<Params, unknown>, ports: ApiPorts): Promise<Answer<string>>
}

export type StreamRoute = RouteFacts & {
  readonly kind: 'stream'
  handle(request: Request<Params, unknown>, ports: ApiPorts): Promise<Stream>
}

export type Route = JsonRoute | TextRoute | StreamRoute

type Optional = { readonly refusals?: readonly number[] }

type JsonParts<
  P extends Params,
  B extends v.GenericSchema | undefined,
  A extends v.GenericSchema,
> = Omit<JsonRoute, 'kind' | 'query' | 'body' | 'answer' | 'handle' | 'status' | 'refusals'> &
  Optional & {
    readonly status?: number
    readonly query: P
    readonly body?: B
    readonly answer: A
    handle(
      request: Request<P, B extends v.GenericSchema ? v.InferOutput<B> : undefined>,
      ports: ApiPorts,
    ): Promise<Answer<v.InferInput<A>>>
  }

/** A row that answers JSON; the compiler holds the handler against the row's schemas. */
export function jsonRoute<
  P extends Params,
  A extends v.GenericSchema,
  B extends v.GenericSchema | undefined = undefined,
>(parts: JsonParts<P, B, A>): Route {
  return {
    kind: 'json',
    status: 200,
    refusals: [],
    ...parts,
    body: parts.body,
  }
}

type Handler<P extends Params, A> = (request: Request<P, unknown>, ports: ApiPorts) => Promise<A>

export function textRoute<P extends Params>(
  parts: Omit<TextRoute, 'kind' | 'query' | 'handle' | 'refusals'> &
    Optional & { readonly query: P; readonly handle: Handler<P, Answer<string>> },
): Route {
  return { kind: 'text', refusals: [], ...parts }
}

export function streamRoute<P extends Params>(
  parts: Omit<StreamRoute, 'kind' | 'query' | 'handle' | 'refusals'> &
    Optional & { readonly query: P; readonly handle: Handler<P, Stream> },
): Route {
  return { kind: 'stream', refusals: [], ...parts }
}

export type Match = { readonly route: Route; readonly path: { readonly [name: string]: string } }

/** Every route whose path is this one, whatever its method. */
export function matchPath(routes: readonly Route[], path: string): readonly Match[] {
  const segments = path.split('/')
  return routes.flatMap((route) => {
    const pattern = route.path.split('/')
    const fits =
      pattern.length === segments.length &&
      pattern.every((part, at) =>
        part.startsWith(':') ? segments[at] !== '' : part === segments[at],
      )
    return fits ? [{ route, path: readPath(pattern, segments) }] : []
  })
}

/** A name may hold slashes: they come as %2F. */
function readPath(pattern: readonly string[], segments: readonly string[]): Match['path'] {
  const named = pattern.flatMap((part, at) =>
    part.startsWith(':') ? [[part.slice(1), decode(segments[at] ?? '')] as const] : [],
  )
  return Object.fromEntries(named)
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw refused('the path holds a % that stands for nothing')
  }
}

/**
 * The HTTP API of `hakiri serve`: finds the route, checks who asks, answers. Every failure is a problem
 * document; what takes too long, is too much, or is too large is refused, so that no asker can hold the
 * worker up.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { once } from 'node:events'
import { HakiriError } from '../../lib/error.ts'
import { allows } from './access.ts'
import { eventRoutes } from './events.ts'
import { renderOpenApi } from './openapi.ts'
import { checkOrigin } from './origin.ts'
import { readParams } from './params.ts'
import type { ApiPorts, Verdict } from './ports.ts'
import { ApiFailure } from './problem.ts'
import { checkAccept, readBody, readTarget, readToken } from './receive.ts'
import { send, sendProblem, startStream } from './respond.ts'
import { jsonRoute, matchPath, type Request, type Route, type Stream } from './route.ts'
import { CLUSTER_ROUTES } from './routes-cluster.ts'
import { PROBE_ROUTES } from './routes-probes.ts'
import { RUN_ROUTES } from './routes-runs.ts'
import * as v from 'valibot'

export type ApiLimits = {
  readonly bodyBytesMax: number
  /** Requests that are worked on at a time, streams left out. */
  readonly requestsMax: number
  /** How long an answer may take. */
  readonly answerMs: number
  /** How long a client of a stream may take nothing. */
  readonly stallMs: number
}

export const API_LIMITS: ApiLimits = {
  bodyBytesMax: 65_536,
  requestsMax: 64,
  answerMs: 30_000,
  stallMs: 20_000,
}

export type ApiOptions = {
  /** Whether only this machine can reach the port. */
  readonly isLoopback: boolean
  readonly version: string
  readonly limits?: Partial<ApiLimits>
  /** Ends streams. */
  readonly signal: AbortSignal
}

export type Api = {
  readonly routes: readonly Route[]
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void
}

export function createApi(ports: ApiPorts, options: ApiOptions): Api {
  const routes = [...RUN_ROUTES, ...CLUSTER_ROUTES, ...eventRoutes(), ...PROBE_ROUTES]
  const document = documentRoute(() => renderOpenApi(all, options.version))
  const all: readonly Route[] = [...routes, document]
  const desk: Desk = {
    ports,
    routes: all,
    limits: { ...API_LIMITS, ...options.limits },
    isLoopback: options.isLoopback,
    signal: options.signal,
    busy: 0,
  }
  return {
    routes: all,
    handle: (request, response) => {
      answer(desk, request, response).catch(() => response.destroy())
    },
  }
}

function documentRoute(render: () => object): Route {
  return jsonRoute({
    method: 'GET',
    path: '/v1/openapi.json',
    scope: 'read',
    summary: 'This API as an OpenAPI document.',
    query: {},
    answer: v.looseObject({ openapi: v.string() }),
    async handle() {
      return { body: render() as { openapi: string } }
    },
  })
}

type Desk = {
  readonly ports: ApiPorts
  readonly routes: readonly Route[]
  readonly limits: ApiLimits
  readonly isLoopback: boolean
  readonly signal: AbortSignal
  busy: number
}

async function answer(
  desk: Desk,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { clock, logger, onRequest } = desk.ports
  const started = clock.monotonic()
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  let route: Route | undefined
  const found = (one: Route): void => void (route = one)
  let status: number
  try {
    status = await serve(desk, request, response, gone.signal, found)
  } catch (error) {
    if (!(error instanceof HakiriError))
      logger.log('error', 'a request failed on a bug', {
        route: route?.path,
        reason: error instanceof Error ? error.stack : String(error),
      })
    status = sendProblem(request, response, error)
  }
  if (route?.kind !== 'stream')
    onRequest?.(route?.path ?? 'other', status, clock.monotonic() - started)
}

async function serve(
  desk: Desk,
  request: IncomingMessage,
  response: ServerResponse,
  gone: AbortSignal,
  found: (route: Route) => void,
): Promise<number> {
  const { path, query } = readTarget(request.url)
  checkOrigin(request.headers, !isRead(request.method), desk.isLoopback)
  const match = findRoute(desk.routes, path, request.method ?? 'GET')
  if (match) found(match.route)
  const by = await checkAccess(desk, request, match?.route)
  if (!match) throw new HakiriError('NOT_FOUND', `there is no ${path.slice(0, 200)} here`, SEE)
  const { route } = match
  checkAccept(request.headers.accept, route)
  const asked = {
    by,
    path: match.path,
    query: readParams(route.query, query),
    body: await readBody(request, route, desk.limits.bodyBytesMax),
    headers: request.headers,
  }
  return route.kind === 'stream'
    ? serveStream(desk, route, { ...asked, signal: gone }, request, response)
    : serveAnswer(desk, route, asked, gone, request, response)
}

const SEE = { suggestion: 'See /v1/openapi.json.' }

function isRead(method: string | undefined): boolean {
  return method === 'GET' || method === 'HEAD'
}

/** Undefined: no route has this path. HEAD is a GET whose body is not sent. */
function findRoute(routes: readonly Route[], path: string, method: string) {
  const matches = matchPath(routes, path)
  const wanted = method === 'HEAD' ? 'GET' : method
  const found = matches.find(({ route }) => route.method === wanted)
  if (found || matches.length === 0) return found
  const allowed = matches.flatMap(({ route }) =>
    route.method === 'GET' ? ['GET', 'HEAD'] : [route.method],
  )
  const allow = allowed.join(', ')
  throw new ApiFailure(405, `${path.slice(0, 200)} takes ${allow}`, { allow })
}

/** The name of who asks; undefined on an open route without a token. A path that is not there is guarded. */
async function checkAccess(
  desk: Desk,
  request: IncomingMessage,
  route: Route | undefined,
): Promise<string | undefined> {
  const scope = route?.scope ?? 'read'
  const token = readToken(request.headers.authorization)
  // A probe must answer while the catalog, which knows the tokens, is away.
  const verdict: Verdict | undefined =
    scope === 'open'
      ? await desk.ports.authorize(token).catch(() => undefined)
      : await desk.ports.authorize(token)
  if (scope === 'open') return verdict?.kind === 'allowed' ? verdict.name : undefined
  if (verdict?.kind !== 'allowed') throw refusal(verdict?.reason ?? 'missing')
  if (allows(verdict.scope, scope)) return verdict.name
  throw new HakiriError(
    'API_SCOPE',
    `the token ${verdict.name} has scope ${verdict.scope}; this wants ${scope}`,
    { suggestion: `Make one: \`hakiri token create NAME --scope ${scope}\`.` },
  )
}

function refusal(reason: 'missing' | 'unknown' | 'expired'): HakiriError {
  const text = {
    missing: 'the request carries no token',
    unknown: 'the token is not known, or was revoked',
    expired: 'the token is past its time',
  }[reason]
  return new HakiriError('API_TOKEN', text, {
    suggestion: 'Make one with `hakiri token create NAME`, and send Authorization: Bearer TOKEN.',
  })
}

async function serveAnswer(
  desk: Desk,
  route: Exclude<Route, { readonly kind: 'stream' }>,
  asked: Omit<Request<{}, unknown>, 'signal'>,
  gone: AbortSignal,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<number> {
  // Probes and metrics stay answered while everything else is too much.
  if (route.kind === 'json' && desk.busy >= desk.limits.requestsMax)
    throw new HakiriError('API_BUSY', `${desk.busy} requests are worked on already`)
  desk.busy++
  try {
    const { ports, limits } = desk
    const answered = await inTime(ports, limits.answerMs, gone, (signal) =>
      route.handle({ ...asked, signal }, ports),
    )
    const isJson = route.kind === 'json'
    return send(request, response, {
      status: answered.status ?? (route.kind === 'json' ? route.status : 200),
      type: isJson ? 'application/json' : route.type,
      text: isJson ? `${JSON.stringify(answered.body)}\n` : String(answered.body),
      headers: answered.headers ?? {},
      isConditional: isJson && route.method === 'GET',
    })
  } finally {
    desk.busy--
  }
}

async function inTime<T>(
  { clock }: ApiPorts,
  ms: number,
  gone: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const done = new AbortController()
  const overdue = new AbortController()
  const late = clock.sleep(ms, done.signal).then(
    () => {
      const failure = new HakiriError('API_BUSY', `no answer within ${ms} ms`)
      overdue.abort(failure)
      throw failure
    },
    // Never wins: the work is done.
    () => new Promise<never>(() => undefined),
  )
  try {
    return await Promise.race([work(AbortSignal.any([gone, overdue.signal])), late])
  } finally {
    done.abort()
  }
}

async function serveStream(
  desk: Desk,
  route: Extract<Route, { readonly kind: 'stream' }>,
  asked: Request<{}, unknown>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<number> {
  const stream: Stream = await route.handle(asked, desk.ports)
  startStream(response)
  const signal = AbortSignal.any([asked.signal, desk.signal])
  if (request.method !== 'HEAD')
    try {
      await stream.run((text) => writeTo(response, text, desk, signal), signal)
    } catch (error) {
      // The client comes back with Last-Event-ID; what is no operating condition is logged above.
      if (!signal.aborted && !(error instanceof HakiriError)) throw error
      response.destroy()
    }
  response.end()
  return 200
}

/** Resolves when the text is on its way; a client that takes nothing for too long is dropped. */
async function writeTo(
  response: ServerResponse,
  text: string,
  { ports, limits }: Desk,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted()
  if (response.write(text)) return
  const done = new AbortController()
  const waiting = AbortSignal.any([done.signal, signal])
  try {
    await Promise.race([
      once(response, 'drain', { signal: waiting }),
      ports.clock.sleep(limits.stallMs, waiting).then(() => {
        throw new HakiriError('API_BUSY', 'the client takes nothing')
      }),
    ])
  } finally {
    done.abort()
  }
}

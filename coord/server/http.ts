/**
 * What the client port answers over plain HTTP: the version, the probes and the metrics. /livez tells
 * only whether the process turns; alarms and a missing leader are no reason to be restarted for.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ETCD_VERSION, CLUSTER_VERSION } from './version.ts'
import type { Registry } from '../../lib/metrics-registry.ts'
import type { CoordNode } from '../node/node.ts'

export type HttpParts = {
  readonly node: CoordNode
  readonly registry: Registry
  /** Hakiri's own version. */
  readonly version: string
  readonly signal: AbortSignal
}

type Answer = {
  readonly status: number
  readonly type: string
  readonly body: string
}

const JSON_TYPE = 'application/json'
const TEXT_TYPE = 'text/plain; charset=utf-8'
/** The version of the Prometheus text format. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
const ALARM_NAMES: Readonly<Record<number, string>> = { 1: 'NOSPACE', 2: 'CORRUPT' }

export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => void

/** Answers GET and HEAD of /version, /health, /livez, /readyz and /metrics. */
export function createHttpHandler(parts: HttpParts): HttpHandler {
  return (request, response) => {
    answerTo(parts, request).then(
      (answer) => send(request, response, answer),
      (error: unknown) => response.destroy(error instanceof Error ? error : undefined),
    )
  }
}

async function answerTo(parts: HttpParts, request: IncomingMessage): Promise<Answer> {
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2)
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return { status: 405, type: TEXT_TYPE, body: 'only GET and HEAD are answered here\n' }
  switch (path) {
    case '/version':
      return json(200, {
        etcdserver: ETCD_VERSION,
        etcdcluster: CLUSTER_VERSION,
        hakiri: parts.version,
      })
    case '/health':
      return healthAnswer(await findTrouble(parts, new URLSearchParams(query)))
    case '/livez':
      return { status: 200, type: TEXT_TYPE, body: 'ok\n' }
    case '/readyz':
      return readyAnswer(await findTrouble(parts, new URLSearchParams('exclude=NOSPACE')))
    case '/metrics':
      return { status: 200, type: METRICS_TYPE, body: parts.registry.render() }
    default:
      return { status: 404, type: TEXT_TYPE, body: 'not found\n' }
  }
}

/** The first reason why this member is not well; `exclude` names alarms that do not count. */
async function findTrouble(
  { node, signal }: HttpParts,
  query: URLSearchParams,
): Promise<string | undefined> {
  const excluded = new Set(query.getAll('exclude'))
  const alarm = node.store.alarms
    .map((each) => ALARM_NAMES[each.alarm] ?? String(each.alarm))
    .find((name) => !excluded.has(name))
  if (alarm !== undefined) return `ALARM ${alarm}`
  if (query.get('serializable') === 'true') return undefined
  if (!node.hasLeader()) return 'RAFT NO LEADER'
  try {
    await node.linearize(signal)
    return undefined
  } catch (error) {
    return `READ FAILED: ${error instanceof Error ? error.message : String(error)}`
  }
}

function healthAnswer(trouble: string | undefined): Answer {
  return trouble === undefined
    ? json(200, { health: 'true' })
    : json(503, { health: 'false', reason: trouble })
}

function readyAnswer(trouble: string | undefined): Answer {
  return trouble === undefined
    ? { status: 200, type: TEXT_TYPE, body: 'ok\n' }
    : { status: 503, type: TEXT_TYPE, body: `not ready: ${trouble}\n` }
}

function json(status: number, body: { readonly [key: string]: string }): Answer {
  return { status, type: JSON_TYPE, body: JSON.stringify(body) }
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  const body = Buffer.from(answer.body)
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'content-length': body.length,
    'x-content-type-options': 'nosniff',
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** Probes, metrics, and the API about itself. */
import { CODES, type Code } from '../../lib/error.ts'
import { notFound } from '../names.ts'
import { jsonRoute, textRoute, type Route } from './route.ts'
import { errorSchema } from './schemas.ts'

const TEXT_TYPE = 'text/plain; charset=utf-8'
/** The version of the Prometheus text format. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

const healthz = textRoute({
  method: 'GET',
  path: '/healthz',
  scope: 'open',
  summary: 'The process works: for restarts. Whatever else is away is no reason for one.',
  type: TEXT_TYPE,
  query: {},
  async handle() {
    return { body: 'ok\n' }
  },
})

const readyz = textRoute({
  method: 'GET',
  path: '/readyz',
  scope: 'open',
  summary: 'Whether the worker takes part; the reasons are told to those who may read.',
  type: TEXT_TYPE,
  query: {},
  refusals: [503],
  async handle({ by }, ports) {
    const { notReady } = ports.status()
    if (notReady.length === 0) return { body: 'ok\n' }
    const why = by === undefined ? '' : `: ${notReady.join('; ')}`
    return { status: 503, body: `not ready${why}\n` }
  },
})

const metrics = textRoute({
  method: 'GET',
  path: '/metrics',
  scope: 'read',
  summary: 'Metrics in the text format of Prometheus.',
  type: METRICS_TYPE,
  query: {},
  async handle(_request, ports) {
    return { body: ports.renderMetrics() }
  },
})

const errorCode = jsonRoute({
  method: 'GET',
  path: '/v1/errors/:code',
  scope: 'read',
  summary: 'What an error code means; the `type` of a problem leads here.',
  query: {},
  answer: errorSchema,
  refusals: [404],
  async handle({ path }) {
    const code = path['code'] ?? ''
    const names = Object.keys(CODES)
    if (!names.includes(code)) throw notFound('error code', code, names, 'See docs/errors.md.')
    const { http: status, retry, meaning } = CODES[code as Code]
    return { body: { code, status, retry, meaning } }
  },
})

export const PROBE_ROUTES: readonly Route[] = [healthz, readyz, metrics, errorCode]

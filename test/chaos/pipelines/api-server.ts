/**
 * A paged API as a program on a host of its own: parts of rows that are known beforehand, that grow while
 * they are read, and that are served with everything real APIs do wrong, drawn by a seed.
 *
 *     node api-server.ts --address=H --port=P --control=PLACE --state=FILE --seed=N
 *         --parts=N --base=N --per-second=N [--page=N]
 */
import { parseArgs } from 'node:util'
import { systemClock } from '../../../lib/system/clock.ts'
import { mulberry } from '../../cluster/random.ts'
import { type Fault, startHttpSource } from '../../support/http-source.ts'
import { apiRow, firstFrom } from './api-rows.ts'
import { serveControl } from './control.ts'
import { openGrowth } from './growth.ts'

/** Share of all answers that go wrong in each way, 0 to 1. */
export type ApiFaults = {
  readonly rate?: number
  readonly badGateway?: number
  readonly slow?: number
  readonly cut?: number
  readonly reset?: number
}

export type ApiState = {
  /** Rows of each part. */
  readonly count: number
  readonly requests: number
  /** Answers that went wrong since the start. */
  readonly faults: number
}

const REQUESTS_KEPT = 1_000
const SLOW_MS_MAX = 2_000

if (import.meta.main) await main()

async function main(): Promise<void> {
  const options = readOptions()
  const growth = openGrowth(options.state, systemClock)
  const count = (): number => options.base + growth.count(options.perSecond)
  const random = mulberry(options.seed)
  let faults: ApiFaults = {}
  const seen = { requests: 0, faults: 0 }
  await startHttpSource({
    host: options.address,
    port: options.port,
    requestsMax: REQUESTS_KEPT,
    paging: 'cursor',
    pageSize: options.page,
    etag: true,
    rows: (path, query) => rowsOf(partIn(path, options.parts), query, count()),
    fault() {
      seen.requests += 1
      const fault = drawFault(faults, random)
      if (fault) seen.faults += 1
      return fault
    },
  })
  await serveControl(options.control, {
    '/state': (): ApiState => ({ count: count(), ...seen }),
    '/faults': (body) => void (faults = body as ApiFaults),
    '/start': () => growth.start(),
    '/stop': () => growth.stop(),
  })
}

function rowsOf(part: number, query: URLSearchParams, count: number): readonly unknown[] {
  const first = firstFrom(part, Number(query.get('since') ?? 0))
  return Array.from({ length: Math.max(0, count - first + 1) }, (_, at) => apiRow(part, first + at))
}

function partIn(path: string, parts: number): number {
  const part = Number(path.slice(path.lastIndexOf('/') + 1))
  if (!Number.isInteger(part) || part < 0 || part >= parts) throw new Error(`no part at ${path}`)
  return part
}

/** What goes wrong with the next answer; kinds exclude each other. */
export function drawFault(faults: ApiFaults, random: () => number): Fault | undefined {
  let chance = random()
  const isDrawn = (share: number | undefined): boolean => {
    const hit = chance >= 0 && chance < (share ?? 0)
    chance -= share ?? 0
    return hit
  }
  if (isDrawn(faults.rate)) return { kind: 'rate', retryAfter: '1' }
  if (isDrawn(faults.badGateway)) return { kind: 'status', status: 502, body: 'bad gateway' }
  if (isDrawn(faults.slow)) return { kind: 'slow', ms: Math.round(random() * SLOW_MS_MAX) }
  if (isDrawn(faults.cut)) return { kind: random() < 0.5 ? 'cut' : 'cut-silently' }
  if (isDrawn(faults.reset)) return { kind: 'reset' }
  return undefined
}

function readOptions() {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    options: {
      address: text,
      port: text,
      control: text,
      state: text,
      seed: text,
      parts: text,
      base: text,
      'per-second': text,
      page: text,
    },
  })
  return {
    address: values.address ?? '127.0.0.1',
    port: Number(values.port ?? 0),
    control: values.control ?? '',
    state: values.state ?? '',
    seed: Number(values.seed ?? 1),
    parts: Number(values.parts ?? 1),
    base: Number(values.base ?? 0),
    perSecond: Number(values['per-second'] ?? 0),
    page: Number(values.page ?? 50),
  }
}

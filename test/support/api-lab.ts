/** The HTTP API over a real socket and a real catalog, with the parts of a worker played. */
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Catalog } from '../../catalog/catalog.ts'
import type { Clock } from '../../lib/ports.ts'
import { systemClock } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { createTokenGate } from '../../worker/http/access.ts'
import { listenApi, type ApiListenOptions } from '../../worker/http/listen.ts'
import type { ApiPorts, ApiStatus } from '../../worker/http/ports.ts'

export type Answered = {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly json: { readonly [key: string]: unknown }
}

export type Asking = {
  readonly method?: string
  readonly headers?: { readonly [name: string]: string }
  readonly body?: string
}

export type ApiLab = AsyncDisposable & {
  readonly port: number
  readonly requests: { readonly route: string; readonly status: number }[]
  /** Connections that are open now, as the API counts them. */
  connections(): number
  ask(path: string, asking?: Asking): Promise<Answered>
  /** A bare connection, for what no client library would send. */
  socket(): Promise<Socket>
}

export const STATUS: ApiStatus = {
  worker: 'w1',
  version: '0.1.0',
  startedAt: 1_000,
  notReady: [],
  session: 'held',
  planner: 'w1',
  view: {
    revision: 7,
    planner: 'w1',
    members: new Map([
      [
        'w1',
        {
          name: 'w1',
          incarnation: 'i',
          machine: 'm',
          pid: 1,
          address: 'w1:7700',
          slots: 4,
          unitsMax: 100,
          labels: {},
          version: '0.1.0',
          protocol: { oldest: 1, newest: 1 },
          startedAt: 1_000,
          state: 'active',
          lease: '1f',
        },
      ],
    ]),
    claims: new Map([['shop/held', 'w1']]),
    assignments: new Map([
      ['shop/held', 'w1'],
      ['shop/waiting', 'w1'],
    ]),
  },
}

export type LabOptions = Partial<Omit<ApiListenOptions, 'port'>> & {
  readonly status?: Partial<ApiStatus>
  readonly ports?: Partial<ApiPorts>
  readonly clock?: Clock
}

export async function openApiLab(catalog: Catalog, options: LabOptions = {}): Promise<ApiLab> {
  const { status, ports, clock = systemClock, host = '127.0.0.1', ...rest } = options
  const requests: { route: string; status: number }[] = []
  const listener = await listenApi(
    {
      catalog,
      clock,
      logger: silentLogger,
      authorize: createTokenGate({ catalog, clock, isLoopback: host === '127.0.0.1' }),
      status: () => ({ ...STATUS, ...status }),
      coordinators: async () => [
        { endpoint: 'c1:7701', isReachable: true, isLeader: true, version: '0.1.0', error: null },
        { endpoint: 'c2:7701', isReachable: false, isLeader: false, version: null, error: 'away' },
      ],
      renderMetrics: () => 'hakiri_claims 1\n',
      onRequest: (route, code) => void requests.push({ route, status: code }),
      ...ports,
    },
    { version: '0.1.0', ...rest, host, port: 0 },
  )
  const { port } = listener
  return {
    port,
    requests,
    connections: () => listener.connections(),
    ask: (path, asking) => ask(port, path, asking),
    socket: () =>
      new Promise((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => resolve(socket.off('error', reject)))
        socket.once('error', reject)
      }),
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  }
}

function ask(port: number, path: string, asking: Asking = {}): Promise<Answered> {
  const { method = 'GET', headers = {}, body } = asking
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path, method, headers, agent: false },
      (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.once('error', reject)
        response.once('end', () => {
          const text = Buffer.concat(parts).toString()
          const isJson = /json/.test(response.headers['content-type'] ?? '') && text !== ''
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            json: (isJson ? JSON.parse(text) : {}) as Answered['json'],
          })
        })
      },
    )
    request.once('error', reject)
    request.end(body)
  })
}

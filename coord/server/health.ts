/**
 * The health service of gRPC: a member serves while it has a leader, or has lost one only just now;
 * clients that ask are sent to another member otherwise.
 */
import { serverStream } from './stream.ts'
import { unary } from './unary.ts'
import type { Route } from './route.ts'
import type { StreamControl, StreamHooks } from './stream.ts'
import type { Edge } from './edge.ts'
import { EDGE, Refused } from './errors.ts'
import { HealthCheckResponseServingStatus, healthService } from '../../proto/gen/health.ts'

const { serving, notServing, serviceUnknown } = HealthCheckResponseServingStatus

/** How long an election may take before a member counts as out of service. */
const LEADERLESS_MS_MAX = 3_000
/** How often a status is looked at for those who watch it. */
const LOOK_EVERY_MS = 1_000

/** The names that can be asked about: the whole server, or one of its services. */
const SERVICES: ReadonlySet<string> = new Set([
  '',
  ...['KV', 'Watch', 'Lease', 'Cluster', 'Maintenance'].map((name) => `etcdserverpb.${name}`),
])

export function healthRoutes(edge: Edge): readonly Route[] {
  return [
    unary(edge, healthService.check, ({ service }) => {
      if (!SERVICES.has(service)) throw new Refused(EDGE.unknownService)
      return { status: statusOf(edge) }
    }),
    serverStream(edge, healthService.watch, ({ service }, control) =>
      watchHealth(edge, service, control),
    ),
  ]
}

function statusOf({ node }: Edge): number {
  return node.leaderlessMs() <= LEADERLESS_MS_MAX ? serving : notServing
}

/** Says how a service is, and again whenever that changes, until the client has enough. */
function watchHealth(edge: Edge, service: string, control: StreamControl): StreamHooks {
  const closed = new AbortController()
  const say = (status: number): void => {
    control.write(healthService.watch.responseSerialize({ status }))
  }
  const follow = async (): Promise<void> => {
    let last = statusOf(edge)
    say(last)
    while (!closed.signal.aborted) {
      await edge.clock.sleep(LOOK_EVERY_MS, closed.signal)
      const status = statusOf(edge)
      if (status !== last) say(status)
      last = status
    }
  }
  if (SERVICES.has(service)) follow().catch(() => control.end())
  else say(serviceUnknown)
  return { onClose: () => closed.abort() }
}

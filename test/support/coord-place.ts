/** Real `hakiri coord` processes as the suites of the client and the comparison with etcd take them. */
import type { CoordPlace } from '../conformance/coord-client-suite.ts'
import { startCoordCluster, untilReady } from './coord-cluster.ts'

export async function startHakiriPlace(size: 1 | 3): Promise<CoordPlace> {
  const cluster = await startCoordCluster({ members: size })
  try {
    await untilReady(cluster.endpoints)
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
  return {
    members: cluster.members.map((member) => ({
      endpoint: member.endpoint,
      pid: () => member.pid(),
      start: () => member.start(),
      kill: async () => void (await member.signal('SIGKILL')),
      pause: () => void member.signal('SIGSTOP'),
      resume: () => void member.signal('SIGCONT'),
    })),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  }
}

import test from 'ava'
import { coordClientSuite, type CoordPlace } from '../conformance/coord-client-suite.ts'
import { startCoordCluster } from '../support/coord-cluster.ts'

let shared: Promise<CoordPlace> | undefined

coordClientSuite({
  test: test.serial,
  name: 'hakiri coord',
  newPlace,
  shared: () => (shared ??= newPlace(1)),
})

test.after.always(async () => {
  await (await shared)?.[Symbol.asyncDispose]()
})

async function newPlace(size: 1 | 3): Promise<CoordPlace> {
  const cluster = await startCoordCluster({ members: size })
  const members = cluster.members.map((member) => ({
    endpoint: member.endpoint,
    start: () => member.start(),
    kill: async () => {
      await member.signal('SIGKILL')
    },
    pause: () => signalNow(member.pid(), 'SIGSTOP'),
    resume: () => signalNow(member.pid(), 'SIGCONT'),
  }))
  return { members, [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() }
}

function signalNow(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(pid, signal)
}

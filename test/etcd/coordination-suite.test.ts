import test from 'ava'
import { coordinationSuite } from '../conformance/coordination-suite.ts'
import { endpointsOf, newClient, type CoordPlace } from '../conformance/coord-client/kit.ts'
import { etcdMissing, startEtcd } from './start-etcd.ts'

const missing = await etcdMissing()

if (missing !== undefined) test.skip(`coordination by etcd: ${missing}`, (t) => t.fail(missing))
else {
  let shared: Promise<CoordPlace> | undefined
  coordinationSuite({
    test: test.serial,
    name: 'etcd',
    client: async (t) => newClient(t, endpointsOf(await (shared ??= startEtcd()))),
    newPlace: () => startEtcd(),
  })
  test.after.always(async () => {
    await (await shared)?.[Symbol.asyncDispose]()
  })
}

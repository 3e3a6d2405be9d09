import test from 'ava'
import { coordClientSuite, type CoordPlace } from '../conformance/coord-client-suite.ts'
import { etcdMissing, startEtcd } from './start-etcd.ts'

const missing = await etcdMissing()

if (missing !== undefined) test.skip(`the client against etcd: ${missing}`, (t) => t.fail(missing))
else {
  let shared: Promise<CoordPlace> | undefined
  coordClientSuite({
    test: test.serial,
    name: 'etcd',
    newPlace: (size) => startEtcd({ size }),
    shared: () => (shared ??= startEtcd()),
  })
  test.after.always(async () => {
    await (await shared)?.[Symbol.asyncDispose]()
  })
}

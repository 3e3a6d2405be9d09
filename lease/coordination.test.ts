import test from 'ava'
import { createLocalCoord } from '../coord/local/local-client.ts'
import { coordinationSuite } from '../test/conformance/coordination-suite.ts'
import { PARTS } from '../test/conformance/coord-client/kit.ts'

const shared = createLocalCoord(PARTS)
coordinationSuite({
  test: test.serial,
  name: 'in-process',
  client: async (t) => {
    const client = shared.connect()
    t.teardown(() => client[Symbol.asyncDispose]())
    return client
  },
})
test.after.always(() => shared[Symbol.dispose]())

import test from 'ava'
import { coordinationSuite } from '../conformance/coordination-suite.ts'
import { endpointsOf, newClient, type CoordPlace } from '../conformance/coord-client/kit.ts'
import { startHakiriPlace } from '../support/coord-place.ts'

let shared: Promise<CoordPlace> | undefined
coordinationSuite({
  test: test.serial,
  name: 'hakiri coord',
  client: async (t) => newClient(t, endpointsOf(await (shared ??= startHakiriPlace(1)))),
  newPlace: () => startHakiriPlace(1),
})
test.after.always(async () => {
  await (await shared)?.[Symbol.asyncDispose]()
})

import test from 'ava'
import { coordClientSuite, type CoordPlace } from '../conformance/coord-client-suite.ts'
import { startHakiriPlace } from '../support/coord-place.ts'

let shared: Promise<CoordPlace> | undefined
coordClientSuite({
  test: test.serial,
  name: 'hakiri coord',
  newPlace: startHakiriPlace,
  shared: () => (shared ??= startHakiriPlace(1)),
})
test.after.always(async () => {
  await (await shared)?.[Symbol.asyncDispose]()
})

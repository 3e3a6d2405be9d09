/** What coordinates workers in tests: our own coordinators, and a real etcd where there is one. */
import type { TestFn } from 'ava'
import type { CoordPlace } from '../conformance/coord-client-suite.ts'
import { startEtcd } from '../etcd/start-etcd.ts'
import { startHakiriPlace } from './coord-place.ts'

export type Backend = {
  readonly name: 'hakiri coord' | 'etcd'
  start(size: 1 | 3): Promise<CoordPlace>
  /** One member for tests that do it no harm; ended after the last test of the file. */
  shared(): Promise<CoordPlace>
}

/** Declares the tests for each backend; `missing`, why there is no etcd, is the title of a skipped test. */
export function forEachBackend(
  test: TestFn,
  missing: string | undefined,
  declare: (backend: Backend) => void,
): void {
  declare(backendOf(test, 'hakiri coord', startHakiriPlace))
  if (missing === undefined) declare(backendOf(test, 'etcd', (size) => startEtcd({ size })))
  else test.skip(`workers over etcd: ${missing}`, (t) => t.fail(missing))
}

function backendOf(test: TestFn, name: Backend['name'], start: Backend['start']): Backend {
  let shared: Promise<CoordPlace> | undefined
  test.after.always(`${name} is ended`, async () => {
    await (await shared)?.[Symbol.asyncDispose]()
  })
  return { name, start, shared: () => (shared ??= start(1)) }
}

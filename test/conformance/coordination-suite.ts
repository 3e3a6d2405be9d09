/**
 * The executable specification of coordination between workers: the same tests pass in one process,
 * against `hakiri coord` and against a real etcd.
 */
import { claimTests } from './coordination/claims.ts'
import { faultTests } from './coordination/faults.ts'
import type { CoordinationSuite } from './coordination/kit.ts'
import { memberTests } from './coordination/members.ts'
import { plannerTests } from './coordination/planners.ts'
import { viewTests } from './coordination/views.ts'

/** Declares all tests for one backend; those that kill and pause it need `newPlace`. */
export function coordinationSuite(suite: CoordinationSuite): void {
  claimTests(suite)
  memberTests(suite)
  plannerTests(suite)
  viewTests(suite)
  if (suite.newPlace) faultTests({ ...suite, newPlace: suite.newPlace })
}

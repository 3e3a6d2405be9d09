/** The executable specification of the catalog port: every adapter passes it, word for word. */
import type { ExecutionContext } from 'ava'
import { clusterRunTests } from './catalog/cluster-runs.ts'
import { clusterRecordTests } from './catalog/cluster-records.ts'
import { commitTests } from './catalog/commits.ts'
import { generationTests } from './catalog/generations.ts'
import { groupTests } from './catalog/groups.ts'
import type { Declare, Place } from './catalog/kit.ts'
import { modelTests } from './catalog/model.ts'
import { openingTests } from './catalog/opening.ts'
import { planningTests } from './catalog/planning.ts'
import { publishTests } from './catalog/publishing.ts'
import { runTests } from './catalog/runs.ts'
import { shardTests } from './catalog/shards.ts'
import { tableTests } from './catalog/tables.ts'

export type { Place } from './catalog/kit.ts'

/** Declares all tests for one adapter; `newPlace` gives each an empty place of its own. */
export function catalogSuite(
  test: Declare,
  name: string,
  newPlace: (t: ExecutionContext) => Promise<Place>,
): void {
  const suite = { test, name, newPlace }
  openingTests(suite)
  tableTests(suite)
  shardTests(suite)
  commitTests(suite)
  generationTests(suite)
  publishTests(suite)
  runTests(suite)
  groupTests(suite)
  clusterRunTests(suite)
  planningTests(suite)
  clusterRecordTests(suite)
  modelTests(suite)
}

/**
 * The executable specification of the coordinator's client, and of the servers it talks to: the same
 * tests pass against a real etcd and against `hakiri coord`.
 */
import { adminTests } from './coord-client/admin.ts'
import { callTests, wireTests } from './coord-client/calls.ts'
import { clusterTests } from './coord-client/cluster.ts'
import { type ClientSuite, type CoordSuite, sharedClient } from './coord-client/kit.ts'
import { networkTests } from './coord-client/network.ts'
import { sessionTests } from './coord-client/sessions.ts'
import { watchTests } from './coord-client/watches.ts'

export type { CoordPlace, CoordSuite } from './coord-client/kit.ts'

/** Declares what holds for every client, with or without a server of its own. */
export function portSuite(suite: ClientSuite): void {
  callTests(suite)
  sessionTests(suite)
  watchTests(suite)
}

/** Declares all tests for one server; `newPlace` starts one or three members of it. */
export function coordClientSuite(suite: CoordSuite): void {
  portSuite({ ...suite, client: (t) => sharedClient(t, suite) })
  wireTests(suite)
  adminTests(suite)
  networkTests(suite)
  clusterTests(suite)
}

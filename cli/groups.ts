/** Commands that only hold others, by the rows that bring them. */

type Groups = Readonly<Record<string, string>>

export const PROJECT_GROUPS: Groups = {
  state: 'Cursors of shards: get, set, reset.',
  connector: 'Connectors and their sources: list, check.',
  catalog: 'The catalog: rebuild.',
}

export const CLUSTER_GROUPS: Groups = {
  shard: 'One shard of a cluster: pause, resume, release, reset.',
  token: 'Tokens of the HTTP API: create, list, revoke.',
}

export const COORD_GROUPS: Groups = {
  ctl: 'A running coordinator: status, members, keys, leases, snapshots.',
  member: 'Members: add, remove, replace, promote.',
  snapshot: 'Snapshots: save, restore.',
}

/** The table of etcdctl commands that work, each with what it must print. */
import { strict as assert } from 'node:assert'
import { stat } from 'node:fs/promises'
import type { Etcdctl } from './etcdctl-run.ts'

/** The revision in an answer that was printed as JSON. */
function revisionOf(json: string): number {
  return (JSON.parse(json) as { readonly header: { readonly revision: number } }).header.revision
}

export type Check = readonly [title: string, run: (etcdctl: Etcdctl) => Promise<void>]

const keys: readonly Check[] = [
  [
    'put and get',
    async ({ ok }) => {
      assert.equal(await ok(['put', 'a', 'b']), 'OK\n')
      assert.equal(await ok(['get', 'a']), 'a\nb\n')
      assert.equal(await ok(['put', '--prev-kv', 'a', 'c']), 'OK\na\nb\n')
      assert.equal(await ok(['get', 'a', '--print-value-only']), 'c\n')
      assert.match(await ok(['get', 'a', '-w', 'json']), /"cluster_id":\d+.*"version":2/)
    },
  ],
  [
    'get with ranges, order, limits and revisions',
    async ({ ok }) => {
      for (const key of ['r/1', 'r/2', 'r/3']) await ok(['put', key, `v${key}`])
      assert.equal(await ok(['get', '--prefix', 'r/', '--keys-only']), 'r/1\n\nr/2\n\nr/3\n\n')
      assert.equal(
        await ok(['get', '--prefix', 'r/', '--order=DESCEND', '--limit=1']),
        'r/3\nvr/3\n',
      )
      assert.equal(await ok(['get', 'r/1', 'r/3', '--print-value-only']), 'vr/1\nvr/2\n')
      assert.match(
        await ok(['get', '--prefix', 'r/', '--limit=1', '-w', 'fields']),
        /"More" : true\n"Count" : 3/,
      )
      assert.equal(await ok(['get', '--from-key', 'r/3']), 'r/3\nvr/3\n')
      const revision = revisionOf(await ok(['get', 'r/1', '-w', 'json']))
      await ok(['put', 'r/1', 'new'])
      assert.equal(await ok(['get', 'r/1', `--rev=${revision}`]), 'r/1\nvr/1\n')
      assert.equal(await ok(['get', 'r/1', '--consistency=s']), 'r/1\nnew\n')
    },
  ],
  [
    'get of a revision to come is refused',
    ({ fails }) => fails(['get', 'a', '--rev=999999'], 'required revision is a future revision'),
  ],
  [
    'put with an unknown lease is refused',
    ({ fails }) => fails(['put', 'a', 'b', '--lease=123'], 'requested lease not found'),
  ],
  [
    'put that ignores the value of a key that is not there is refused',
    ({ fails }) => fails(['put', 'nothing', '--ignore-value'], 'key not found'),
  ],
  [
    'del',
    async ({ ok }) => {
      await ok(['put', 'd/1', 'x'])
      await ok(['put', 'd/2', 'y'])
      assert.equal(await ok(['del', '--prev-kv', 'd/1']), '1\nd/1\nx\n')
      assert.equal(await ok(['del', '--prefix', 'd/']), '1\n')
      assert.equal(await ok(['del', 'd/1']), '0\n')
    },
  ],
  [
    'txn',
    async ({ ok, run }) => {
      await ok(['put', 't', 'old'])
      const taken = await ok(['txn'], 'value("t") = "old"\n\nput t new\nget t\n\nget t\n\n')
      assert.equal(taken, 'SUCCESS\n\nOK\n\nt\nnew\n')
      const other = await ok(['txn'], 'value("t") = "old"\n\nput t newer\n\nget t\n\n')
      assert.equal(other, 'FAILURE\n\nt\nnew\n')
      const twice = await run(['txn'], '\nput t 1\nput t 2\n\n\n')
      assert.match(twice.err, /duplicate key given in txn request/)
    },
  ],
  [
    'compaction',
    async ({ ok, fails }) => {
      await ok(['put', 'c', '1'])
      const revision = revisionOf(await ok(['put', 'c', '2', '-w', 'json']))
      assert.equal(await ok(['compaction', String(revision)]), `compacted revision ${revision}\n`)
      await fails(['compaction', String(revision)], 'has been compacted')
      await fails(['get', 'c', '--rev=2'], 'required revision has been compacted')
    },
  ],
]

const watches: readonly Check[] = [
  [
    'watch',
    async ({ ok, start }) => {
      await ok(['put', 'w/a', '0'])
      const first = revisionOf(await ok(['put', 'w/a', '1', '-w', 'json']))
      const later = start(['watch', '--prefix', 'w/', '--prev-kv', `--rev=${first}`])
      await later.until(/^PUT\nw\/a\n0\nw\/a\n1\n/)
      await ok(['del', 'w/a'])
      await later.until(/DELETE\nw\/a\n1\nw\/a\n\n/)
      await later.interrupt()
    },
  ],
  [
    'watch interactively, with progress asked for',
    async ({ ok, start }) => {
      const revision = revisionOf(await ok(['put', 'w/p', '1', '-w', 'json']))
      const watch = start(['watch', '--interactive'])
      watch.input(`watch w/p --rev=${revision}\n`)
      await watch.until(/PUT\nw\/p\n1\n/)
      watch.input('progress\n')
      await watch.until(/progress notify: \d+/)
      await watch.interrupt()
    },
  ],
  [
    'watch of what was compacted says so and fails',
    ({ fails }) => fails(['watch', 'a', '--rev=1'], 'required revision has been compacted'),
  ],
]

const leases: readonly Check[] = [
  [
    'lease grant, timetolive, list, keep-alive and revoke',
    async ({ ok }) => {
      const granted = await ok(['lease', 'grant', '100'])
      const id = /^lease ([\da-f]+) granted with TTL\(100s\)\n$/.exec(granted)?.[1] ?? ''
      assert.notEqual(id, '', granted)
      await ok(['put', 'l', 'v', `--lease=${id}`])
      assert.match(
        await ok(['lease', 'timetolive', id, '--keys']),
        new RegExp(
          `^lease ${id} granted with TTL\\(100s\\), remaining\\(\\d+s\\), attached keys\\(\\[l\\]\\)`,
        ),
      )
      assert.match(await ok(['lease', 'list']), new RegExp(`found \\d+ leases\\n(.*\\n)*${id}`))
      assert.equal(
        await ok(['lease', 'keep-alive', id, '--once']),
        `lease ${id} keepalived with TTL(100)\n`,
      )
      assert.equal(await ok(['lease', 'revoke', id]), `lease ${id} revoked\n`)
      assert.equal(await ok(['get', 'l']), '')
      assert.match(await ok(['lease', 'timetolive', id]), /already expired/)
    },
  ],
  [
    'lease keep-alive goes on',
    async ({ ok, start }) => {
      const id = /lease ([\da-f]+)/.exec(await ok(['lease', 'grant', '2']))?.[1] ?? ''
      const renewals = start(['lease', 'keep-alive', id])
      await renewals.until(/(keepalived with TTL\(2\)\n.*){2}/s)
      await renewals.interrupt()
      await ok(['lease', 'revoke', id])
    },
  ],
  [
    'a lease expires and takes its key along',
    async ({ ok, start }) => {
      const id = /lease ([\da-f]+)/.exec(await ok(['lease', 'grant', '2']))?.[1] ?? ''
      const revision = revisionOf(await ok(['put', 'expiring', 'v', `--lease=${id}`, '-w', 'json']))
      const watch = start(['watch', 'expiring', `--rev=${revision}`])
      await watch.until(/DELETE\nexpiring/)
      await watch.interrupt()
    },
  ],
  [
    'lease revoke of what is not there is refused',
    ({ fails }) => fails(['lease', 'revoke', '123'], 'requested lease not found'),
  ],
]

const recipes: readonly Check[] = [
  [
    'lock runs a command, and a second one waits for the first',
    async ({ ok, start }) => {
      assert.match(await ok(['lock', 'm', 'echo', 'inside']), /^inside\n$/)
      const first = start(['lock', 'n'])
      await first.until(/^n\/[\da-f]+\n/)
      const second = start(['lock', 'n', 'echo', 'second'])
      await first.interrupt()
      await second.until(/second/)
      assert.equal((await second.ran).code, 0)
    },
  ],
  [
    'elect proclaims and observes',
    async ({ start }) => {
      const leader = start(['elect', 'e', 'me'])
      await leader.until(/^e\/[\da-f]+\nme\n/)
      const observer = start(['elect', '-l', 'e'])
      await observer.until(/^e\/[\da-f]+\nme\n/)
      const next = start(['elect', 'e', 'you'])
      await leader.interrupt()
      await next.until(/^e\/[\da-f]+\nyou\n/)
      await observer.until(/you\n/)
      await observer.interrupt()
      await next.interrupt()
    },
  ],
]

const cluster: readonly Check[] = [
  [
    'endpoint health, status and hashkv',
    async ({ ok, endpoint, run }) => {
      const health = await run(['endpoint', 'health'])
      assert.match(`${health.out}${health.err}`, /is healthy: successfully committed proposal/)
      assert.match(
        await ok(['endpoint', 'status']),
        new RegExp(`^${endpoint}, [\\da-f]+, 3\\.5\\.`),
      )
      assert.match(await ok(['endpoint', 'hashkv']), new RegExp(`^${endpoint}, \\d+\n$`))
    },
  ],
  [
    'member list',
    async ({ ok }) => {
      assert.match(await ok(['member', 'list']), /^[\da-f]+, started, .*, http/)
      assert.match(await ok(['member', 'list', '-w', 'table']), /IS LEARNER/)
    },
  ],
  [
    'member add, update, promote and remove of a learner',
    async ({ ok, fails }) => {
      const url = 'http://127.0.0.1:59999'
      const added = await ok(['member', 'add', 'two', `--peer-urls=${url}`, '--learner'])
      assert.match(added, /ETCD_INITIAL_CLUSTER=/)
      const id = /Member\s+([\da-f]+) added/.exec(added)?.[1] ?? ''
      await fails(['member', 'add', 'three', `--peer-urls=${url}`], 'already exist')
      assert.match(
        await ok(['member', 'update', id, '--peer-urls=http://127.0.0.1:59998']),
        /updated in cluster/,
      )
      await fails(['member', 'promote', id], 'in sync with leader')
      assert.match(await ok(['member', 'remove', id]), /removed from cluster/)
      await fails(['member', 'remove', id], 'member not found')
    },
  ],
  [
    'move-leader to nobody is refused',
    ({ fails }) => fails(['move-leader', '123'], 'bad leader transferee'),
  ],
  [
    'alarm list and disarm',
    async ({ ok }) => {
      assert.equal(await ok(['alarm', 'list']), '')
      assert.equal(await ok(['alarm', 'disarm']), '')
    },
  ],
  [
    'defrag',
    async ({ ok }) => {
      assert.match(await ok(['defrag']), /Finished defragmenting/)
    },
  ],
  [
    'snapshot save',
    async ({ ok, file }) => {
      const target = file('saved.snapshot')
      assert.match(await ok(['snapshot', 'save', target]), /Snapshot saved at/)
      assert.equal((await stat(target)).size % 512, 32)
    },
  ],
  [
    'users and roles are not implemented yet, and say so',
    async ({ fails }) => {
      await fails(['user', 'list'], 'authentication is not implemented')
      await fails(['role', 'list'], 'authentication is not implemented')
      await fails(['auth', 'enable'], 'authentication is not implemented')
    },
  ],
  [
    'a name and a password are not asked for',
    async ({ ok }) => {
      assert.equal(await ok(['--user=root:secret', 'get', 'nothing']), '')
    },
  ],
]

/** In the order in which they run: later ones live with what earlier ones left. */
export const CHECKS: readonly Check[] = [...keys, ...watches, ...leases, ...recipes, ...cluster]

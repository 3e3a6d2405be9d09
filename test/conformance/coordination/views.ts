/** The live view: one revision at a time, forward, over compactions. */
import type { CoordClient } from '../../../coord/client/client.ts'
import type { ClusterView } from '../../../lease/coordination.ts'
import { createCoordination } from '../../../lease/create.ts'
import { isProcessAlive } from '../../../lib/system/process.ts'
import { bytes, PARTS } from '../coord-client/kit.ts'
import {
  type CoordinationSuite,
  joined,
  newCluster,
  NEVER,
  sorted,
  unitNames,
  untilView,
} from './kit.ts'

export function viewTests({ test, name, client }: CoordinationSuite): void {
  test(`${name}: views go forward, end where everything is, and never change once handed out`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const a = await joined(cluster, 'a')
    const watching = await cluster.coordination()
    const views: { readonly view: ClusterView; readonly claims: readonly unknown[] }[] = []
    await using live = watching.watch(
      (view) => void views.push({ view, claims: sorted(view.claims) }),
    )
    const units = unitNames(400)
    for (let at = 0; at < units.length; at += 20) await a.claim(units.slice(at, at + 20), NEVER)
    await a.release(units.slice(300), NEVER)
    await untilView(watching, ({ claims }) => claims.size === 300)
    const last = await watching.view(NEVER)
    const deadline = PARTS.clock.monotonic() + 10_000
    while ((live.current?.revision ?? 0) < last.revision) {
      if (PARTS.clock.monotonic() > deadline) throw new Error('the live view stayed behind')
      await watching.view(NEVER)
    }
    t.deepEqual(sorted(live.current?.claims ?? new Map()), sorted(last.claims))
    t.deepEqual(
      sorted(last.claims).map(([unit]) => unit),
      units.slice(0, 300),
    )
    const revisions = views.map(({ view }) => view.revision)
    t.deepEqual(
      revisions,
      [...new Set(revisions)].toSorted((x, y) => x - y),
    )
    for (const { view, claims } of views) {
      t.deepEqual(sorted(view.claims), claims)
      t.is(view.claims.size, claims.length)
      t.is([...view.claims.keys()].length, view.claims.size)
    }
  })

  test(`${name}: a view of more than one page is of one revision`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const a = await joined(cluster, 'a')
    const term = await a.campaign(NEVER)
    const units = unitNames(9_000)
    await term.publish(
      units.map((unit) => ({ unit, from: undefined, to: 'a' })),
      NEVER,
    )
    const inner = await client(t)
    let pages = 0
    const disturbed: CoordClient = {
      ...inner,
      async range(request, options) {
        // Somebody changes what comes on later pages before they are read.
        if (++pages === 2)
          await cluster.raw.deleteRange({ key: cluster.keys.assignment('shop/08999') })
        return inner.range(request, options)
      },
    }
    const parts = { ...PARTS, prefix: cluster.prefix, isAlive: isProcessAlive }
    const view = await createCoordination(disturbed, parts).view(NEVER)
    t.is(pages, 3)
    t.deepEqual(
      sorted(view.assignments),
      units.map((unit) => [unit, 'a'] as const),
    )
    const watching = await cluster.coordination()
    t.is((await untilView(watching, () => true)).assignments.size, units.length - 1)
  })

  test(`${name}: a watch whose history was compacted reads everything anew`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const a = await joined(cluster, 'a')
    await a.claim(['p/1', 'p/2'], NEVER)
    await a.release(['p/1'], NEVER)
    const { revision } = await cluster.raw.put({ key: bytes(`${cluster.prefix}other`) })
    await cluster.raw.compact(revision)
    let opened = 0
    const inner = await client(t)
    const late: CoordClient = {
      ...inner,
      // As after an absence: the first watch asks for what is gone.
      watch: (key, options) =>
        inner.watch(key, { ...options, ...(opened++ === 0 ? { startRevision: 1 } : {}) }),
    }
    const parts = { ...PARTS, prefix: cluster.prefix, isAlive: isProcessAlive }
    await using watching = createCoordination(late, parts)
    const seen: number[] = []
    await using live = watching.watch(({ claims }) => void seen.push(claims.size))
    const done = untilView(await cluster.coordination(), ({ claims }) => claims.size === 3)
    while (opened < 2) await cluster.raw.range({ key: cluster.keys.planner })
    await a.claim(['p/3', 'p/4'], NEVER)
    await done
    const deadline = PARTS.clock.monotonic() + 10_000
    while (live.current?.claims.size !== 3) {
      if (PARTS.clock.monotonic() > deadline) throw new Error(`saw ${seen.join(', ')}`)
      await cluster.raw.range({ key: cluster.keys.planner })
    }
    t.deepEqual([...live.current.claims.keys()].toSorted(), ['p/2', 'p/3', 'p/4'])
  })

  test(`${name}: what others write under the prefix is overlooked, and other prefixes are others'`, async (t) => {
    const cluster = await newCluster(t, () => client(t))
    const a = await joined(cluster, 'a')
    for (const key of ['other', 'members', 'claims2/x', 'members2/y', 'planner/z'])
      await cluster.raw.put({
        key: bytes(cluster.prefix + key),
        value: bytes('{"v":1,"worker":"x"}'),
      })
    await cluster.raw.put({ key: cluster.keys.member('odd'), value: bytes('odd') })
    await cluster.raw.put({ key: cluster.keys.assignment('p/odd'), value: bytes('odd') })
    await a.claim(['p/1'], NEVER)
    const { members, claims, assignments } = await (await cluster.coordination()).view(NEVER)
    t.deepEqual([...members.keys()], ['a'])
    t.deepEqual([...claims], [['p/1', 'a']])
    t.deepEqual([...assignments], [['p/odd', '(unknown)']])
    const other = await (await newCluster(t, () => client(t))).coordination()
    t.is((await other.view(NEVER)).members.size, 0)
  })
}

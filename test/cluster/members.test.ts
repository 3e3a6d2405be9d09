/** Members that come, are promoted, are replaced and were told otherwise; keys that are watched and compacted. */
import { spawn } from 'node:child_process'
import { readdir, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { untilReady } from '../support/coord-cluster.ts'
import { finished, HAKIRI } from '../support/project.ts'
import { cluster, ctl, membersOf, scratch, succeeds, until } from './ctl.ts'

test.serial('a member that is added is started with --join, and promoted by hand', async (t) => {
  const running = await cluster(t, 1)
  const { endpoints } = running
  await succeeds(t, endpoints, 'put', 'k', 'v')
  const joiner = await running.add({ args: ['--join', endpoints[0]!] })
  const added = await ctl(endpoints, 'member', 'add', joiner.endpoint)
  t.true(added.ok, added.stderr)
  t.like(added.result, { member: { peerUrls: [`http://${joiner.endpoint}`] } })
  t.regex(added.summary, new RegExp(`--bind ${joiner.endpoint} --join ${endpoints[0]}`))
  const { id } = (added.result as { readonly member: { readonly id: string } }).member
  const early = await ctl(endpoints, 'member', 'promote', id)
  t.regex(early.error!.message, /in sync/)
  const twice = await ctl(endpoints, 'member', 'add', joiner.endpoint)
  t.regex(twice.error!.message, /Peer URLs already exists/)
  await joiner.start()
  // One that has promoted itself cannot be promoted.
  await until('promotion', async () => (await ctl(endpoints, 'member', 'promote', id)).ok)
  const members = await membersOf(endpoints)
  t.deepEqual(
    members.map(({ isLearner }) => isLearner),
    [false, false],
  )
  t.true(members.some((member) => member.id === id && member.name === joiner.endpoint))
  t.like((await ctl([joiner.endpoint], 'get', 'k')).result, { kvs: [{ value: 'v' }] })
})

test.serial(
  'a member that runs is replaced by one elsewhere, and there are always three voters',
  async (t) => {
    const running = await cluster(t, 3)
    await succeeds(t, running.endpoints, 'put', 'k', 'v')
    // The leader, if it can be: that is the hardest one to let go.
    const status = (await ctl(running.endpoints, 'status')).result as readonly {
      readonly role: string
      readonly id: string
      readonly endpoint: string
    }[]
    const { id } = status.find(({ role }) => role === 'leader')!
    const before = await membersOf(running.endpoints)
    const old = running.members.find(({ endpoint }) =>
      before.some((member) => member.id === id && member.name === endpoint),
    )!
    const others = running.endpoints.filter((endpoint) => endpoint !== old.endpoint)
    const newcomer = await running.add({ args: ['--join', others.join(',')] })
    const replaced = await ctl(others, 'member', 'replace', id, newcomer.endpoint)
    t.like(replaced.result, { replaced: id, isJoint: true }, replaced.stdout)
    const twice = await ctl(others, 'member', 'replace', id, '127.0.0.1:1')
    t.regex(twice.error!.message, /in the list already/)
    await newcomer.start()
    const counts = new Set<number>()
    await until('the swap', async () => {
      const members = await membersOf(others)
      counts.add(members.filter(({ isLearner }) => !isLearner).length)
      return members.length === 3 && members.every((member) => member.id !== id)
    })
    // While it lasts, a joint change counts both halves: the list shows four then.
    counts.delete(4)
    t.deepEqual([...counts], [3])
    await old.ended()
    t.regex(old.output(), /removed/)
    await untilReady([...others, newcomer.endpoint])
    t.like((await ctl([newcomer.endpoint], 'get', 'k')).result, { kvs: [{ value: 'v' }] })
    const hashed = await ctl([...others, newcomer.endpoint], 'hash')
    t.like(hashed.result, { equal: true })
  },
)

test.serial(
  'another list of peers on a folder that knows its cluster is told, not obeyed',
  async (t) => {
    const running = await cluster(t, 3)
    const before = await membersOf(running.endpoints)
    const [first] = running.members
    await first!.signal('SIGTERM')
    const args = ['--peers', `${first!.endpoint},127.0.0.1:1,127.0.0.1:2`]
    const again = await running.add({ endpoint: first!.endpoint, folder: first!.folder, args })
    await again.start()
    await untilReady([again.endpoint])
    t.regex(again.output(), /what was asked for is not obeyed/)
    t.deepEqual(await membersOf([again.endpoint]), before)
  },
)

test.serial(
  'a watch shows what happens until Ctrl-C, and says where history is gone',
  async (t) => {
    const { endpoints } = await cluster(t, 1)
    const words = ['ctl', 'watch', '--prefix', 'w/', '--prev-kv', '--endpoints', endpoints[0]!]
    const watching = spawn(HAKIRI, words, { cwd: tmpdir() })
    t.teardown(() => watching.kill('SIGKILL'))
    let shown = ''
    watching.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text))
    const ended = finished(watching)
    // Until one of them is seen, the watch may not stand yet.
    await until('the first event', async () => {
      await ctl(endpoints, 'put', 'w/first', '1')
      return shown.includes('w/first')
    })
    await ctl(endpoints, 'put', 'elsewhere', '1')
    await ctl(endpoints, 'put', 'w/a', 'one')
    const { revision } = (await ctl(endpoints, 'del', 'w/a')).result as {
      readonly revision: number
    }
    await until('the deletion', () => shown.includes(`DELETE\tw/a\t\t${revision}`))
    t.true(shown.includes(`PUT\tw/a\tone\t${revision - 1}`))
    t.false(shown.includes('elsewhere'))
    watching.kill('SIGINT')
    t.is((await ended).code, 130)

    await succeeds(t, endpoints, 'compact', String(revision))
    t.regex((await ctl(endpoints, 'compact', String(revision))).error!.message, /compacted/)
    t.regex((await ctl(endpoints, 'compact', '999999')).error!.message, /future revision/)
    const late = await ctl(endpoints, 'watch', 'w/a', '--rev', '2')
    t.is(late.error?.code, 'COORD_REFUSED')
    t.regex(late.error!.suggestion!, new RegExp(`--rev ${revision}`))
  },
)

test.serial('what is left of a save that was cut off goes at the next one', async (t) => {
  const { endpoints } = await cluster(t, 1)
  const folder = await scratch(t)
  // As kill -9 leaves them: of a process that is gone, of one that runs, and what is somebody else's.
  const gone = spawn(process.execPath, ['--version'])
  await finished(gone)
  const left = `old.db.${gone.pid}.part`
  const fresh = `fresh.db.${gone.pid}.part`
  const busy = `busy.db.${process.pid}.part`
  const foreign = `film.${gone.pid}.part`
  for (const name of [left, busy, fresh]) await writeFile(join(folder, name), 'HAKIRI-SNAPSHOT\nx')
  await writeFile(join(folder, foreign), 'something else altogether')
  const minutesAgo = new Date(Date.now() - 5 * 60_000)
  for (const name of [left, busy, foreign]) await utimes(join(folder, name), minutesAgo, minutesAgo)
  const saved = await ctl(endpoints, 'snapshot', 'save', join(folder, 'new.db'))
  t.like(saved.result, { swept: [left] }, saved.stdout)
  t.deepEqual(await readdir(folder), [busy, foreign, fresh, 'new.db'].toSorted())
})

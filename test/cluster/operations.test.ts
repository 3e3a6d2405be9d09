/** What an operator does, done with the real command line on real members. */
import { spawn } from 'node:child_process'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { startCoordCluster, untilReady } from '../support/coord-cluster.ts'
import { finished, HAKIRI } from '../support/project.ts'
import { cluster, ctl, membersOf, scratch, succeeds, until } from './ctl.ts'

test.serial('keys, leases and members by hand', async (t) => {
  const { endpoints, members } = await cluster(t, 3)
  await succeeds(t, endpoints, 'put', 'a/1', 'one')
  await succeeds(t, endpoints, 'put', 'a/2', 'two')
  const got = await ctl(endpoints, 'get', 'a/', '--prefix')
  t.like(got.result, { count: 2, kvs: [{ key: 'a/1', value: 'one' }, { key: 'a/2' }] })
  t.like((await ctl(endpoints, 'del', 'a/1')).result, { deleted: 1 })
  t.is((await membersOf(endpoints)).length, 3)
  const hashed = await ctl(endpoints, 'hash')
  t.like(hashed.result, { equal: true })
  await succeeds(t, endpoints, 'doctor')
  t.deepEqual((await ctl(endpoints, 'leases')).result, [])
  const status = (await ctl(endpoints, 'status')).result as readonly { role: string; id: string }[]
  const follower = status.find(({ role }) => role === 'follower')!
  await succeeds(t, endpoints, 'move-leader', follower.id)
  // A crowded machine may have elected another one since; that it has led is what counts.
  await succeeds(t, endpoints, 'status')
  const led = new RegExp(`there is a leader.* leader=${follower.id}\\b`)
  t.true(members.some((member) => led.test(member.output())))
})

test.serial(
  'a member that joins becomes a voter by itself, and one that is removed ends',
  async (t) => {
    const running = await cluster(t, 1)
    await succeeds(t, running.endpoints, 'put', 'k', 'v')
    const joiner = await running.add({ args: ['--join', running.endpoints[0]!] })
    await joiner.start()
    await until('promotion', async () => {
      const members = await membersOf(running.endpoints)
      return members.length === 2 && members.every(({ isLearner }) => !isLearner)
    })
    t.like((await ctl([joiner.endpoint], 'get', 'k')).result, { kvs: [{ value: 'v' }] })
    const own = (await membersOf(running.endpoints)).find(({ name }) => name === joiner.endpoint)!
    await succeeds(t, running.endpoints, 'member', 'remove', own.id)
    await joiner.ended()
    t.regex(joiner.output(), /removed/)
    await succeeds(t, running.endpoints, 'put', 'k', 'w')
  },
)

test.serial('a member without its disk is refused, replaced, and catches up', async (t) => {
  const running = await cluster(t, 3)
  await succeeds(t, running.endpoints, 'put', 'k', 'v')
  const [lost, ...rest] = running.members
  const others = rest.map(({ endpoint }) => endpoint)
  await lost!.signal('SIGKILL')
  await rm(lost!.folder, { recursive: true })
  await t.throwsAsync(
    lost!
      .start()
      .then(() => lost!.ended())
      .then((how) => {
        throw new Error(`ended with ${how}:\n${lost!.output()}`)
      }),
    { message: /member replace/ },
  )
  const id = (await membersOf(others)).find(({ name }) => name === lost!.endpoint)!.id
  const replaced = await ctl(others, 'member', 'replace', id)
  t.true(replaced.ok, replaced.stderr)
  await rm(lost!.folder, { recursive: true, force: true })
  const newcomer = await running.add({
    endpoint: lost!.endpoint,
    folder: lost!.folder,
    args: ['--join', others.join(',')],
  })
  await newcomer.start().catch((error: unknown) => t.fail(String(error)))
  await until('promotion', async () => {
    const members = await membersOf(others)
    const isIn = members.every(({ isLearner, name }) => !isLearner && name !== '')
    return isIn && members.length === 3 && members.every((member) => member.id !== id)
  })
  t.like((await ctl([lost!.endpoint], 'get', 'k')).result, { kvs: [{ value: 'v' }] })
})

test.serial('a snapshot is saved and restored as a new cluster with later revisions', async (t) => {
  const running = await cluster(t, 3)
  const folder = await scratch(t)
  for (const n of [1, 2, 3]) await ctl(running.endpoints, 'put', `key/${n}`, `value ${n}`)
  const file = join(folder, 'backup.db')
  const saved = await ctl(running.endpoints, 'snapshot', 'save', file)
  t.true(saved.ok, saved.stderr)
  const before = (await ctl(running.endpoints, 'get', 'key/1')).result as { revision: number }
  const data = join(folder, 'restored')
  const alone = await startCoordCluster({ members: 1 })
  t.teardown(() => alone[Symbol.asyncDispose]())
  const [member] = alone.members
  await member!.signal('SIGTERM')
  const restored = await ctl(
    [],
    'snapshot',
    'restore',
    file,
    '--data',
    data,
    '--peers',
    member!.endpoint,
  )
  t.true(restored.ok, restored.stderr)
  const again = await ctl(
    [],
    'snapshot',
    'restore',
    file,
    '--data',
    data,
    '--peers',
    member!.endpoint,
  )
  t.is(again.error?.code, 'DATA_FOREIGN')
  const second = await alone.add({ endpoint: member!.endpoint, folder: data, args: [] })
  await second.start()
  await untilReady([member!.endpoint])
  const after = (await ctl([member!.endpoint], 'get', 'key/', '--prefix')).result as {
    revision: number
    count: number
  }
  t.is(after.count, 3)
  t.true(after.revision > before.revision + 900_000)
  t.notRegex(second.output(), /not obeyed/, 'the list it was restored for is its own')
  const watched = await ctl([member!.endpoint], 'get', 'key/1', '--rev', String(before.revision))
  t.regex(watched.error!.message, /compacted/)
  await writeFile(join(folder, 'bad.db'), 'nonsense')
  const refused = await ctl(
    [],
    'snapshot',
    'restore',
    join(folder, 'bad.db'),
    '--data',
    join(folder, 'x'),
  )
  t.is(refused.error?.code, 'SNAPSHOT_INVALID')
  t.false((await readdir(folder)).includes('x'), 'nothing is left of what failed')
})

test.serial('the last member is recovered after the majority is lost', async (t) => {
  const running = await cluster(t, 3)
  for (const n of [1, 2, 3]) await ctl(running.endpoints, 'put', `key/${n}`, `value ${n}`)
  const [left, ...lost] = running.members
  for (const member of lost) await member.signal('SIGKILL')
  t.false((await ctl([left!.endpoint], 'put', 'k', 'v')).ok)
  await left!.signal('SIGKILL')
  const refused = await ctl([], 'recover', '--data', left!.folder)
  t.is(refused.error?.code, 'USAGE')
  const recovered = await ctl(
    [],
    'recover',
    '--force',
    '--data',
    left!.folder,
    '--advertise',
    left!.endpoint,
  )
  t.true(recovered.ok, recovered.stderr)
  const alone = await running.add({ endpoint: left!.endpoint, folder: left!.folder, args: [] })
  await alone.start()
  await untilReady([alone.endpoint])
  t.like((await ctl([alone.endpoint], 'get', 'key/', '--prefix')).result, { count: 3 })
  t.is((await membersOf([alone.endpoint])).length, 1)
  t.notRegex(alone.output(), /not obeyed/)
  await succeeds(t, [alone.endpoint], 'put', 'k', 'v')
})

test.serial('what cannot work is refused with exit code 2 and says what to do', async (t) => {
  const run = async (...args: readonly string[]) =>
    finished(spawn(HAKIRI, ['coord', ...args], { cwd: await scratch(t) }))
  const open = await run('--bind', '0.0.0.0:0')
  t.is(open.code, 2)
  t.regex(open.stderr, /--insecure/)
  const lost = await run('--peers', 'nowhere-1:1,nowhere-2:2')
  t.is(lost.code, 2)
  t.regex(lost.stderr, /--advertise/)
  const torn = await run('--bind', '7701')
  t.is(torn.code, 2)
  t.regex(torn.stderr, /host:port/)
})

test.serial('a newcomer that nobody takes in says so, and leaves nothing behind', async (t) => {
  const folder = await scratch(t)
  const args = ['coord', '--bind', '127.0.0.1:0', '--join', '127.0.0.1:1', '--data', 'mine']
  const alone = await finished(spawn(HAKIRI, args, { cwd: folder }))
  t.is(alone.code, 3)
  t.regex(alone.stderr, /127\.0\.0\.1:1 did not take this member in/)
  t.regex(alone.stderr, /Start again once a majority of the members answers/)
  t.deepEqual(await readdir(folder), [])
})

import test from 'ava'
import { createLocalCoord } from '../../../../coord/local/local-client.ts'
import { systemClock, systemRandom } from '../../../../lib/system/clock.ts'
import { silentLogger } from '../../../../lib/system/log.ts'
import { createRecorder, createStamps } from '../record.ts'
import { startWatchers } from './watchers.ts'
import type { Work } from './work.ts'

const PARTS = { clock: systemClock, random: systemRandom, logger: silentLogger }
const PREFIX = 'round/'
const RANGE = { key: PREFIX, end: 'round0' }

// A coordinator was away while others compacted beyond the end of a round (seed 1243424295).
test('a watcher from whom the end of a round was compacted away does not wait for it', async (t) => {
  using coord = createLocalCoord(PARTS)
  const client = coord.connect()
  const put = async (key: string) =>
    (await client.put({ key: Buffer.from(key), value: Buffer.from('v') })).revision
  const end = await put(`${PREFIX}end`)
  const later = await put('elsewhere')
  await client.compact(later)
  const stamps = createStamps(() => systemClock.monotonic())
  const place = { kind: 'leases', number: 1 } as const
  const recorder = createRecorder({ ...place, stamps, calm: () => [], entriesMax: 100 })
  const never = new AbortController().signal
  const work: Work = {
    ...PARTS,
    recorder,
    clients: [{ name: 'here', client }],
    prefix: PREFIX,
    stamps,
    stop: never,
    giveUp: never,
    endsAtMs: Infinity,
    callMs: 1_500,
    pauseMs: 20,
    compacts: true,
  }
  const watchers = startWatchers(work, [RANGE], 1)
  await watchers.finish(end)
  const kinds = recorder.round().watches.flatMap(({ batches }) => batches.map(({ kind }) => kind))
  t.true(kinds.includes('compacted'), 'the watchers have met the compaction')
})

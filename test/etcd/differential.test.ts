import test, { type ExecutionContext } from 'ava'
import { kvService, leaseService, watchService } from '../../proto/gen/rpc.ts'
import type { CoordPlace } from '../conformance/coord-client-suite.ts'
import { compareSeed, describe, type Tamper } from './differential.ts'
import { openCodecCheck } from './differential-codec.ts'
import { openSide, type Side } from './differential-client.ts'
import { scriptOf } from './differential-script.ts'
import { etcdMissing, startEtcd } from './start-etcd.ts'

const missing = await etcdMissing()
const SEEDS = [1, 2, 3, 4, 5, 6]
const LENGTH = 50

let places: readonly CoordPlace[] = []

function sideOf(t: ExecutionContext, index: number): Side {
  const endpoint = places[index]?.members[0]?.endpoint
  if (endpoint === undefined) throw new Error('etcd does not run')
  const side = openSide(endpoint)
  t.teardown(() => side.close())
  return side
}

if (missing !== undefined) test.skip(`servers compared: ${missing}`, (t) => t.fail(missing))
else {
  test.before(async () => {
    places = await Promise.all([startEtcd(), startEtcd()])
  })
  test.after.always(async () => {
    await Promise.all(places.map((place) => place[Symbol.asyncDispose]()))
  })

  // First, as long as nothing is compacted.
  test.serial('an independent codec and ours understand each other, and etcd, alike', async (t) => {
    using check = openCodecCheck(places[0]?.members[0]?.endpoint ?? '')
    const key = Buffer.from('codec')
    const { put, range, txn } = kvService
    const { leaseGrant, leaseTimeToLive, leaseRevoke } = leaseService
    const id = 0x7fff_ffff_ffff_fff0n
    const readings = [
      await check.call(leaseGrant, { ttl: 77, id }),
      await check.call(put, { key, value: Buffer.from('v'), lease: id }),
      await check.call(put, { key, value: Buffer.from([0, 255]), prevKv: true, lease: id }),
      await check.call(range, { key, limit: 5, sortOrder: 2, sortTarget: 3, revision: -1 }),
      await check.call(leaseTimeToLive, { id, keys: true }),
      await check.call(txn, {
        compare: [{ key, target: 3, result: 0, value: Buffer.from([0, 255]) }],
        success: [{ requestDeleteRange: { key, prevKv: true } }, { requestTxn: {} }],
        failure: [{ requestRange: { key } }],
      }),
      await check.stream(
        watchService.watch,
        { createRequest: { key, startRevision: 1, prevKv: true, filters: [1], watchId: 7 } },
        2,
      ),
      await check.call(leaseRevoke, { id }),
    ]
    for (const { ours, theirs } of readings.flat()) t.deepEqual(ours, theirs)
    t.deepEqual(
      readings.map((one) => one.length),
      [2, 2, 2, 2, 2, 2, 3, 2],
    )
    t.true(JSON.stringify(readings.at(5)).includes('"succeeded":true'))
    t.true(JSON.stringify(readings.at(6)).includes('"prevkv"'), 'the watch told of the second put')
  })

  test.serial('two etcds answer every script alike', async (t) => {
    const [a, b] = [sideOf(t, 0), sideOf(t, 1)]
    for (const seed of SEEDS) {
      const finding = await compareSeed(a, b, seed, LENGTH)
      t.is(finding && describe(finding), undefined)
    }
  })

  const planted: Readonly<Record<string, Tamper>> = {
    'a transaction that takes unequal for equal': (step) =>
      step.kind === 'txn'
        ? {
            ...step,
            request: {
              ...step.request,
              compare: step.request.compare.map((one) => ({
                ...one,
                result: one.result === 3 ? 0 : (one.result ?? 0),
              })),
            },
          }
        : step,
    'a watch that forgets what was before': (step) =>
      step.kind === 'watch' ? { ...step, request: { ...step.request, prevKv: false } } : step,
    'a range that passes over its limit': (step) =>
      step.kind === 'range' ? { ...step, request: { ...step.request, limit: 0 } } : step,
    'a lease that is attached to nothing': (step) =>
      step.kind === 'put' ? { ...step, request: { ...step.request, lease: 0n } } : step,
  }
  for (const [name, tamper] of Object.entries(planted))
    test.serial(`a planted difference is found and made small: ${name}`, async (t) => {
      const [a, b] = [sideOf(t, 0), sideOf(t, 1)]
      for (let seed = 1; seed <= 40; seed++) {
        const finding = await compareSeed(a, b, seed, LENGTH, tamper)
        if (!finding) continue
        t.true(finding.script.length <= 5, describe(finding))
        t.regex(describe(finding), new RegExp(`^seed ${seed}: `))
        return
      }
      t.fail('no seed found it')
    })
}

test('a seed gives the same script every time, and another one another script', (t) => {
  t.deepEqual(scriptOf(7, 80), scriptOf(7, 80))
  t.notDeepEqual(scriptOf(7, 80), scriptOf(8, 80))
})

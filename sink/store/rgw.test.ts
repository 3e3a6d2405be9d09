/**
 * The store suite on a real Ceph object gateway. A machine without it shows a skipped test, or a
 * failed one where HAKIRI_REQUIRE_RGW=1 asks for it: this never passes without having run.
 */
import test from 'ava'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { storeSuite } from '../../test/conformance/store-suite.ts'
import { isRgwInstalled, startRgw } from '../../test/support/rgw.ts'
import { openS3Store } from './s3.ts'
import type { ObjectStore } from './store.ts'

const NOT_RUN = 'the store suite on a real object gateway was not run: radosgw is not installed'

if (await isRgwInstalled()) await declareSuite()
else if (process.env['HAKIRI_REQUIRE_RGW'] === '1') test(NOT_RUN, (t) => t.fail(NOT_RUN))
else test.skip(NOT_RUN, (t) => t.fail(NOT_RUN))

async function declareSuite(): Promise<void> {
  const rgw = await startRgw()
  const { endpoint, region, credentials } = rgw
  await rgw.createBucket('lake')
  test.after.always(() => rgw[Symbol.asyncDispose]())
  const deps = { clock: systemClock, random: systemRandom, logger: silentLogger }
  let prefixes = 0
  storeSuite(test, 'rgw', async () => {
    const url = `s3://lake/suite-${prefixes++}`
    const open = async (): Promise<ObjectStore> =>
      openS3Store({ url, endpoint, region, credentials }, deps)
    return { store: await open(), again: open, conditionalPut: 'honoured' }
  })

  test('rgw: a wrong secret is STORE_AUTH and a missing bucket STORE_NOT_FOUND', async (t) => {
    const wrong = openS3Store(
      { url: 's3://lake', endpoint, region, credentials: { ...credentials, secretAccessKey: 'x' } },
      deps,
    )
    await t.throwsAsync(() => wrong.put('a', new Uint8Array()), { code: 'STORE_AUTH' })
    const nowhere = openS3Store({ url: 's3://nowhere', endpoint, region, credentials }, deps)
    await t.throwsAsync(() => nowhere.put('a', new Uint8Array()), { code: 'STORE_NOT_FOUND' })
    await t.throwsAsync(() => nowhere.head('a'), { code: 'STORE_NOT_FOUND' })
    await wrong[Symbol.asyncDispose]()
    await nowhere[Symbol.asyncDispose]()
  })
}

/**
 * Bad input, at the level of the real command line: each row of the table says what is wrong, which
 * exit code, error code and words must come of it, and the project must be as it was, down to the
 * bytes of the lake. Rows that are odd but data say what must be stored instead.
 */
import test from 'ava'
import { readdirSync } from 'node:fs'
import { CONFIG_CASES } from '../support/bad-input-config.ts'
import { SOURCE_CASES } from '../support/bad-input-sources.ts'
import { TABLE_CASES } from '../support/bad-input-tables.ts'
import { canMount, fullDisk, mountSmallDisk, PLACE_CASES } from '../support/bad-input-places.ts'
import { FILE_CASES } from '../support/bad-input-files.ts'
import { openLab, OUTPUTS, SECRETS, type Lab } from '../support/bad-input-lab.ts'
import { work, type Case } from '../support/bad-input-case.ts'

/** Cases at work at one time: each is a process, and most have children. */
const AT_ONCE = 3

const CASES: readonly Case[] = [
  ...CONFIG_CASES,
  ...SOURCE_CASES,
  ...TABLE_CASES,
  ...PLACE_CASES,
  ...FILE_CASES,
]

let lab: Lab
test.before(async () => {
  lab = await openLab()
})
test.after.always(async () => {
  await lab?.[Symbol.asyncDispose]()
})

const lanes: Promise<unknown>[] = Array.from({ length: AT_ONCE }, () => Promise.resolve())

for (const [index, row] of CASES.entries()) {
  test(row.name, async (t) => {
    const lane = index % AT_ONCE
    const before = lanes[lane]
    const { promise, resolve } = Promise.withResolvers<void>()
    lanes[lane] = promise
    await before
    await work(t, lab, row).finally(resolve)
  })
}

const ifMounting = canMount() ? test : test.skip
ifMounting('a disk that is full (needs the right to mount one)', async (t) => {
  using disk = mountSmallDisk()
  await work(t, lab, fullDisk(disk.folder))
  t.deepEqual(
    readdirSync(disk.folder, { recursive: true }).filter((path) => String(path).endsWith('.json')),
    [],
  )
})

test.after.always('no secret is in any output', (t) => {
  const said = OUTPUTS.join('\n')
  t.true(said.length > 1000)
  for (const [name, secret] of Object.entries(SECRETS)) t.false(said.includes(secret), name)
})

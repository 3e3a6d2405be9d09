/** The comparison with foreign readers notices a difference in any part of a table. */
import test from 'ava'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROWS_A, buildGoodTable, writeParquet } from '../support/delta-fixture.ts'
import { differences, summarise } from './summary.ts'

let root = ''

test.before(async () => {
  root = await mkdtemp(join(tmpdir(), 'summary-'))
  await buildGoodTable(join(root, 'good'))
})

test.after.always(() => rm(root, { recursive: true, force: true }))

async function withRows(name: string, select: string): Promise<string> {
  const folder = join(root, name)
  await cp(join(root, 'good'), folder, { recursive: true })
  await writeParquet(join(folder, 'a.parquet'), select)
  return folder
}

test('the same rows in another order are the same table', async (t) => {
  const ours = await summarise(join(root, 'good'))
  const other = await withRows('reordered', `select * from (${ROWS_A}) order by id`)
  t.deepEqual(differences(ours, await summarise(other)), [])
  t.is(ours.rows, 8)
})

test('one changed value, null or row is named by its column', async (t) => {
  const ours = await summarise(join(root, 'good'))
  const changes = [
    ['seen', `seen + interval 1 microsecond`, /^values of seen/],
    ['price', `price + 0.0001`, /^values of price/],
    ['ratio', `case when id = 2 then -0.0 else ratio end`, /^nulls of ratio: 6 here, 5 there/],
    ['raw', `raw || '\\x00'::blob`, /^values of raw/],
    ['flag', `not flag`, /^whole rows/],
  ] as const
  for (const [column, value, expected] of changes) {
    const select = `select * replace ((${value}) as ${column}) from (${ROWS_A})`
    const found = differences(ours, await summarise(await withRows(`changed-${column}`, select)))
    t.regex(found[0] ?? '', expected, found.join('\n'))
  }
  const fewer = await withRows('fewer', `select * from (${ROWS_A}) where id <> 2`)
  t.regex(differences(ours, await summarise(fewer))[0] ?? '', /^rows: 8 here, 7 there/)
})

test('a version, a schema or a column that a reader lacks is named', async (t) => {
  const ours = await summarise(join(root, 'good'))
  t.regex(differences(ours, { ...ours, version: 2 }).join(), /^version: 3 here, 2 there$/)
  t.regex(differences(ours, { ...ours, schema: [] }).join(), /^schema: .* there$/)
  t.true(differences(ours, { ...ours, columns: {} }).includes('nulls of id: 0 here, nothing there'))
})

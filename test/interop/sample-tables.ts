/**
 * Tables for the comparison with foreign readers, written by the command line itself: every column
 * type, partitions, a column that comes later, and a table rewritten by compaction.
 */
import { execFile } from 'node:child_process'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const HAKIRI = fileURLToPath(new URL('../../hakiri', import.meta.url))

const PROJECT = `version = 1

[destination.lake]
type = "file"
url = "./lake"

[pipelines.orders]
source = { type = "file", path = "orders/*.csv" }
destination = "lake"

[pipelines.events]
source = { type = "file", path = "events/*.ndjson" }
destination = "lake"
partition_by = ["day(at)"]
`

/** Builds the tables below `folder` and returns their folders. */
export async function buildSampleTables(folder: string): Promise<string[]> {
  await mkdir(join(folder, 'orders'), { recursive: true })
  await mkdir(join(folder, 'events'), { recursive: true })
  await writeFile(join(folder, 'hakiri.toml'), PROJECT)
  await writeFile(join(folder, 'orders/1.csv'), csv(1, 500))
  await writeFile(join(folder, 'events/1.ndjson'), events(1, 300, false))
  await hakiri(folder, 'run')
  await writeFile(join(folder, 'orders/2.csv'), csv(501, 40))
  await writeFile(join(folder, 'events/2.ndjson'), events(301, 200, true))
  await hakiri(folder, 'run')
  return findTables(join(folder, 'lake'))
}

async function hakiri(cwd: string, ...args: string[]): Promise<void> {
  await run(HAKIRI, args, { cwd, maxBuffer: 64 * 1024 * 1024 })
}

function csv(from: number, count: number): string {
  const rows = Array.from({ length: count }, (_, index) => {
    const id = from + index
    const note = id % 7 === 0 ? '' : id % 5 === 0 ? `"say ""${id}"", Zoë 🦀"` : `note ${id}`
    return `${id},${(id * 1.25).toFixed(2)},${id % 2 === 0},2024-0${(id % 9) + 1}-15,${note}`
  })
  return ['id,amount,paid,due,note', ...rows, ''].join('\n')
}

function events(from: number, count: number, withCity: boolean): string {
  const rows = Array.from({ length: count }, (_, index) => {
    const id = from + index
    const at = new Date(Date.UTC(2024, 0, 1 + (id % 4), id % 24, id % 60, 1, id % 1000))
    const city = withCity && id % 3 === 0 ? { city: `Ville ${id}` } : {}
    const value = id % 11 === 0 ? null : id / 3
    return JSON.stringify({ id, at: at.toISOString(), value, tags: { k: id }, ...city })
  })
  return rows.join('\n') + '\n'
}

/** Folders with a table log, at any depth. */
export async function findTables(root: string): Promise<string[]> {
  const names = await readdir(root, { recursive: true })
  const logs = names.filter((name) => name === '_delta_log' || name.endsWith('/_delta_log'))
  return logs.map((name) => join(root, dirname(name))).toSorted()
}

/** A paged API with latency: how near the latency bound a pass comes, and what a second pass re-reads. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startHttpSource } from '../test/support/http-source.ts'
import { measure, median } from './measure.ts'

const HAKIRI = fileURLToPath(new URL('../hakiri', import.meta.url))
const PAGES = 2_000
const PAGE_ROWS = 50
const LATENCY_MS = 20
const CONNECTIONS = 8

export type HttpReport = {
  readonly pages: number
  readonly latencyMs: number
  readonly connections: number
  /** Pages over connections, each at the latency: no client can be faster. */
  readonly boundS: number
  readonly runS: readonly number[]
  readonly shareOfBound: number
  readonly notModifiedShare: number
  readonly rows: number
}

type Counters = {
  readonly rowsRead: number
  readonly requests: number
  readonly notModified: number
}
type RunJson = {
  readonly result: readonly { readonly durationMs: number; readonly counters: Counters }[]
}

export async function benchHttp(repeats: number, log: (line: string) => void): Promise<HttpReport> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-bench-'))
  const rows = Array.from({ length: PAGES * PAGE_ROWS }, (_, id) => ({
    id,
    name: `item ${id}`,
    price: (id % 500) / 4,
  }))
  try {
    await using server = await startHttpSource({
      paging: 'page',
      pageSize: PAGE_ROWS,
      latencyMs: LATENCY_MS,
      etag: true,
      rows: () => rows,
    })
    const boundS = (PAGES / CONNECTIONS) * (LATENCY_MS / 1000)
    const runS: number[] = []
    let second: Counters | undefined
    for (let round = 0; round < repeats; round++) {
      const work = await mkdtemp(join(folder, 'round-'))
      await writeFile(join(work, 'hakiri.toml'), manifest(server.url))
      const first = await run(work)
      if (first.counters.rowsRead !== rows.length)
        throw new Error(`read ${first.counters.rowsRead} of ${rows.length} rows`)
      runS.push(first.durationMs / 1000)
      second = (await run(work)).counters
      await verify(work, rows.length)
      log(
        `http: ${(first.durationMs / 1000).toFixed(2)} s, bound ${boundS} s; second pass ${second.notModified} of ${second.requests} not modified`,
      )
    }
    return {
      pages: PAGES,
      latencyMs: LATENCY_MS,
      connections: CONNECTIONS,
      boundS,
      runS,
      shareOfBound: Number((boundS / median(runS)).toFixed(3)),
      notModifiedShare: second ? Number((second.notModified / second.requests).toFixed(4)) : 0,
      rows: rows.length,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function run(folder: string): Promise<{ durationMs: number; counters: Counters }> {
  const { stdout } = await measure([HAKIRI, 'run', '--json'], { cwd: folder, env: process.env })
  const [result] = (JSON.parse(stdout) as RunJson).result
  if (!result) throw new Error(`no result in ${stdout}`)
  return result
}

async function verify(folder: string, rows: number): Promise<void> {
  const sql = 'select count(*), count(distinct id) from items'
  const { stdout } = await measure([HAKIRI, 'query', sql, '--json'], {
    cwd: folder,
    env: process.env,
  })
  const found = (
    JSON.parse(stdout) as { result: { rows: readonly (readonly unknown[])[] } }
  ).result.rows[0]?.map(Number)
  if (found?.[0] !== rows || found[1] !== rows)
    throw new Error(`the table holds ${found?.join(' / ')} rows / ids, not ${rows}`)
}

function manifest(url: string): string {
  return `version = 1
[destination.lake]
type = "file"
url = "./lake"
[pipelines.api]
write = { mode = "upsert", key = ["id"] }
limits = { concurrency = ${CONNECTIONS} }
[pipelines.api.source]
type = "http"
base = "${url}"
[pipelines.api.source.streams.items]
path = "items"
key = ["id"]
paging = { type = "page", param = "page", first = 1, size_param = "per_page", size = ${PAGE_ROWS} }
`
}

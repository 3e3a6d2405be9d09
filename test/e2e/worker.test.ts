/** Full loads that are cut short, and two processes at one pipeline: through the real command line. */
import test, { type ExecutionContext } from 'ava'
import { assertDelta } from '../support/delta-lint.ts'
import { readDelta } from '../support/delta-reader.ts'
import { startHttpSource, type Fault, type HttpSource } from '../support/http-source.ts'
import { createProject, finished, HAKIRI, type Project, type Ran } from '../support/project.ts'

const TABLE = 'api.items'
const REPOS = ['a', 'b', 'c']
const PAGE = 2

type Lab = {
  readonly project: Project
  readonly source: HttpSource
  /** What the source does from here on. */
  readonly world: {
    /** Added to each row, so that loads can be told apart. */
    load: number
    fault: (path: string, page: number) => Fault | undefined
    hold: (index: number) => Promise<void> | undefined
  }
  readonly configure: (repos: readonly string[]) => Promise<void>
  readonly run: (code: number) => Promise<Ran>
  /** Rows of the table as "repo id load", after an audit. */
  readonly rows: (version?: number) => Promise<readonly string[]>
  readonly version: () => Promise<number>
}

/** Every repository is a shard of five rows on three pages. */
async function openLab(t: ExecutionContext): Promise<Lab> {
  const world: Lab['world'] = { load: 1, fault: () => undefined, hold: () => undefined }
  const source = await startHttpSource({
    paging: 'page',
    pageSize: PAGE,
    rows: () => [1, 2, 3, 4, 5].map((id) => ({ id, load: world.load })),
    fault: (_, { path, query }) => world.fault(path, Number(query.get('page') ?? 1)),
    hold: (index) => world.hold(index),
  })
  const project = await createProject(manifest(source.url, REPOS))
  t.teardown(async () => {
    await source[Symbol.asyncDispose]()
    await project[Symbol.asyncDispose]()
  })
  const table = project.table(TABLE)
  return {
    project,
    source,
    world,
    configure: (repos) => project.write('hakiri.toml', manifest(source.url, repos)),
    async run(code) {
      const ran = await project.hakiri('run', '--json')
      t.is(ran.code, code, ran.stdout + ran.stderr)
      return ran
    },
    async rows(version) {
      await assertDelta(table)
      const found = await readDelta(table, version === undefined ? {} : { version })
      const rows: string[] = []
      for await (const { repo, id, load } of found.rows())
        rows.push([repo, id, load].map((value) => `${value as string}`).join(' '))
      return rows.toSorted()
    },
    version: async () => (await readDelta(table)).version,
  }
}

function manifest(base: string, repos: readonly string[]): string {
  return `version = 1
[catalog]
url = "sqlite:.hakiri/catalog.db"
[destination.lake]
type = "file"
url = "./lake"
[destination.lake.files]
compact = { min_files = 2, retain = "1h" }
[pipelines.api]
destination = "lake"
mode = "full"
limits = { concurrency = 1 }
retries = { max = 2, backoff = "1ms..2ms" }
[pipelines.api.source]
type = "http"
base = "${base}"
[pipelines.api.source.streams.items]
path = "repos/{repo}/items"
paging = { type = "page", size_param = "per_page", size = ${PAGE} }
each = { repo = ${JSON.stringify(repos)} }
`
}

const all = (repos: readonly string[], load: number): readonly string[] =>
  repos.flatMap((repo) => [1, 2, 3, 4, 5].map((id) => [repo, id, load].join(' ')))

test('a replace that fails keeps the old rows; the next run reads only what is missing and swaps once', async (t) => {
  const { project, world, source, run, rows, version, configure } = await openLab(t)
  await run(0)
  t.deepEqual(await rows(), all(REPOS, 1))
  // Compaction works under a shard of its own, which no later load may wait for.
  t.is((await project.hakiri('tables', 'compact')).code, 0)
  const before = await version()
  t.is(before, 1)

  world.load = 2
  world.fault = (path, page) =>
    path.includes('/b/') && page === 2 ? { kind: 'status', status: 403 } : undefined
  const failed = await run(1)
  t.regex(failed.stdout, /"status":"partial"/)
  t.deepEqual(await rows(), all(REPOS, 1))
  t.is(await version(), before, 'readers see no step of the load')

  world.fault = () => undefined
  const seen = source.requests.length
  await run(0)
  const again = source.requests.slice(seen).map(({ path }) => path)
  t.true(again.length > 0 && again.every((path) => path.includes('/b/')), 'a and c were whole')
  t.deepEqual(await rows(), all(REPOS, 2))
  t.deepEqual(await rows(before), all(REPOS, 1))
  t.deepEqual(await rows(before + 1), all(REPOS, 2), 'one version swaps all rows')

  world.load = 3
  await configure(['b', 'd'])
  await run(0)
  t.deepEqual(await rows(), all(['b', 'd'], 3), 'a shard that is gone holds nothing up')
})

test('a replace that is killed in the middle shows the old rows and goes on in the next run', async (t) => {
  const { project, world, source, run, rows } = await openLab(t)
  await run(0)
  world.load = 2
  const first = source.requests.length
  const never = new Promise<void>(() => undefined)
  world.hold = (index) => (index === first + 4 ? never : undefined)
  const child = project.start(HAKIRI, 'run', '--quiet')
  const ended = finished(child)
  await source.seen(() => source.requests.length > first + 4)
  child.kill('SIGKILL')
  t.is((await ended).signal, 'SIGKILL')
  t.deepEqual(await rows(), all(REPOS, 1))
  world.hold = () => undefined
  await run(0)
  t.deepEqual(await rows(), all(REPOS, 2))
})

test('of two processes at one pipeline the older is fenced, says both epochs, and nothing is doubled', async (t) => {
  const { project, world, source, run, rows } = await openLab(t)
  const release = Promise.withResolvers<void>()
  world.hold = (index) => (index === 1 ? release.promise : undefined)
  const older = finished(project.start(HAKIRI, 'run', '--json'))
  await source.seen(() => source.requests.length > 1)
  await run(0)
  release.resolve()
  const { code, stdout } = await older
  t.is(code, 1, stdout)
  t.regex(stdout, /"code":"FENCED","message":"[^"]*epoch 1\b[^"]*epoch 2\b/)
  t.deepEqual(await rows(), all(REPOS, 1))
  t.deepEqual((await assertDelta(project.table(TABLE))).orphans, [], 'its files are deleted')
})

test('a source that stumbles is tried again within one run', async (t) => {
  const { world, run, rows } = await openLab(t)
  let stumbles = 0
  world.fault = (path, page) => {
    if (!path.includes('/b/') || page !== 3 || stumbles >= 4) return undefined
    stumbles++
    return stumbles % 2 === 0 ? { kind: 'cut' } : { kind: 'status', status: 503 }
  }
  await run(0)
  t.is(stumbles, 4)
  t.deepEqual(await rows(), all(REPOS, 1))
})

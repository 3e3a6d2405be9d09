/** `hakiri serve` as a process on its own: it applies its file, reads it again, and refuses what it must. */
import test from 'ava'
import { createProject, finished, HAKIRI, type Project } from '../support/project.ts'
import { assertDelta } from '../support/delta-lint.ts'
import { type ServeProcess, startServe } from '../support/serve-process.ts'

const toml = (every: string): string => `version = 1
[destination.lake]
type = "file"
url = "lake"
[pipelines.files]
source = { type = "file", paths = ["data/*.csv"], table = "things" }
mode = "full"
write = { mode = "replace" }
schedule = { every = "${every}" }
destination = "lake"
`

async function project(): Promise<Project> {
  const made = await createProject(toml('1h'))
  await made.write('data/a.csv', 'id,v\n1,x\n2,y\n')
  return made
}

const start = ({ folder, env }: Project): Promise<ServeProcess> =>
  startServe({ name: 'alone', folder, args: [], env: env as Record<string, string> })

test('alone it applies the file beside it, runs what is due, and ends with 0 at SIGTERM', async (t) => {
  await using at = await project()
  await using worker = await start(at)
  await worker.until(({ message }) => message === 'a run ended', 'the end of a run')
  await assertDelta(at.table('files.things'))
  const ready = await fetch(`${worker.api}/readyz`)
  t.is(ready.status, 200)
  const shards = (await (await fetch(`${worker.api}/v1/shards`)).json()) as {
    readonly items: readonly { readonly worker: string }[]
  }
  t.true(shards.items.length > 0 && shards.items.every((shard) => shard.worker === 'alone'))
  t.is(await worker.signal('SIGTERM'), 0)
})

test('a bad file at SIGHUP is told with its line and changes nothing; a good one is taken', async (t) => {
  await using at = await project()
  await using worker = await start(at)
  await worker.until(({ message }) => message === 'a manifest is in force', 'a manifest')
  await at.write('hakiri.toml', toml('soon'))
  await worker.signal('SIGHUP')
  const told = await worker.until(
    ({ message }) => message.startsWith('the configuration stays'),
    'word of it',
  )
  t.like(told, { level: 'error', code: 'CONFIG_INVALID', line: 9 })
  const before = await fetch(`${worker.api}/v1/pipelines/files`)
  t.like(await before.json(), { schedule: { everyMs: 3_600_000 } })
  await at.write('hakiri.toml', toml('2h'))
  await worker.signal('SIGHUP')
  await worker.until(({ version }) => version === 2, 'the second version')
  const after = await fetch(`${worker.api}/v1/pipelines/files`)
  t.like(await after.json(), { schedule: { everyMs: 7_200_000 } })
})

test('what cannot be served is refused, with what to do', async (t) => {
  await using at = await project()
  const cases = [
    { args: ['--bind', '0.0.0.0'], code: 2, error: 'API_TOKEN', words: /token create/ },
    { args: ['--slots', 'many'], code: 2, error: 'USAGE', words: /--slots/ },
    { args: ['--name', 'a/b'], code: 2, error: 'USAGE', words: /name/ },
    { args: ['--labels', 'region'], code: 2, error: 'USAGE', words: /name=value/ },
    { args: ['--session-ttl', '100ms'], code: 2, error: 'USAGE', words: /2s/ },
    { args: ['--memory', '1MB'], code: 2, error: 'USAGE', words: /64MB/ },
    { args: ['--coord', 'nowhere'], code: 2, error: 'USAGE', words: /host:port/ },
  ]
  for (const { args, code, error, words } of cases) {
    const ran = await finished(at.start(HAKIRI, 'serve', '--json', '--port', '0', ...args))
    t.is(ran.code, code, args.join(' '))
    const { error: said } = JSON.parse(ran.stdout) as {
      readonly error: {
        readonly code: string
        readonly message: string
        readonly suggestion: string
      }
    }
    t.is(said.code, error)
    t.regex(`${said.message} ${said.suggestion}`, words)
  }
})

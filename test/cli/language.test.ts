/**
 * What every command has in common, as a process: help, slips of the hand, options on either side,
 * --json, --quiet, completion, a reader that goes away, bugs, and how long a start takes.
 */
import test, { type ExecutionContext } from 'ava'
import type { CommandSpec } from '../../cli/command.ts'
import { COMMANDS } from '../../cli/commands.ts'
import { buildProgram, commandName } from '../../cli/parse.ts'
import { createProject, finished, HAKIRI, type Project } from '../support/project.ts'

const TOML = `version = 1
[catalog]
url = "sqlite:.hakiri/catalog.db"
[destination.lake]
type = "file"
url = "lake"
[pipelines.shop]
destination = "lake"
source = { type = "http", base = "http://127.0.0.1:9", streams = { orders = { path = "orders" } } }
`

async function open(t: ExecutionContext): Promise<Project> {
  const project = await createProject(TOML)
  t.teardown(() => project[Symbol.asyncDispose]())
  return project
}

/** A shell script in the project's folder; `hakiri` is the command. */
function shell(project: Project, script: string): ReturnType<Project['hakiri']> {
  return finished(project.start('bash', '-c', `hakiri() { "${HAKIRI}" "$@"; }\n${script}`))
}

function parse(words: readonly string[]): CommandSpec | undefined {
  let found: CommandSpec | undefined
  const program = buildProgram(
    () => undefined,
    (spec) => (found = spec),
  )
  program.parse([...words], { from: 'user' })
  return found
}

/** The words of each hakiri call in a line of shell. */
function callsOf(line: string): string[][] {
  return line
    .replaceAll(/<\(|\)$/g, '')
    .split(/ && |source /)
    .map((call) =>
      [...call.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2] ?? m[3] ?? ''),
    )
    .filter(([first]) => first === 'hakiri')
    .map((words) => words.slice(1))
}

test('the help of every command shows its examples, its options and the global ones', async (t) => {
  const project = await open(t)
  for (const spec of COMMANDS) {
    const ran = await project.hakiri(...commandName(spec).split(' '), '--help')
    t.is(ran.code, 0, commandName(spec))
    t.is(ran.stderr, '')
    for (const part of ['--json', '--quiet', '--config', ...spec.examples])
      t.true(ran.stdout.includes(part), `${commandName(spec)}: ${part}`)
    for (const { flags } of spec.options ?? []) t.true(ran.stdout.includes(flags), flags)
  }
})

test('every example is a line that the command line understands as that very command', (t) => {
  for (const spec of COMMANDS) {
    t.true(spec.examples.length > 0, spec.usage)
    for (const example of spec.examples) {
      const [first] = callsOf(example)
      t.truthy(first, example)
      t.is(parse(first ?? [])?.usage, spec.usage, example)
    }
  }
})

test('hakiri alone, help and --help show every command and succeed', async (t) => {
  const project = await open(t)
  for (const args of [[], ['help'], ['--help']]) {
    const ran = await project.hakiri(...args)
    t.is(ran.code, 0)
    for (const spec of COMMANDS)
      t.true(ran.stdout.includes(`\n  ${commandName(spec).split(' ')[0]} `), spec.usage)
  }
  t.regex((await project.hakiri('help', 'run')).stdout, /--full-refresh/)
})

const SLIPS: readonly (readonly [args: readonly string[], said: RegExp, advice: RegExp])[] = [
  [['rn'], /unknown command "hakiri rn"/, /`hakiri run`/],
  [['sttaus'], /unknown command/, /`hakiri status`/],
  [['state', 'gte'], /unknown command "hakiri state gte"/, /`hakiri state get`/],
  [['tables', 'shwo', 'x'], /unknown command "hakiri tables shwo"/, /`hakiri tables show`/],
  [['state'], /needs one more word/, /get, set, reset/],
  [['run', '--full-refesh'], /unknown option '--full-refesh'/, /--full-refresh/],
  [['--jsno', 'status'], /unknown option '--jsno'/, /--json/],
  [['status', 'extra'], /one argument too many/, /hakiri status --help/],
  [['runs', 'show'], /missing required argument 'id'/, /--help/],
  [['run', '--shard'], /argument missing/, /--help/],
  [['query', 'select 1', '--format', 'xml'], /no format xml/, /table, json, csv, parquet/],
  [['query', 'select 1', '--at', 'noon'], /version or a time/, /2026-11-01T00:00:00Z/],
  [['query', 'select 1', '--limit', 'few'], /whole number/, /^$/],
  [['completion', 'tcsh'], /no completion for tcsh/, /bash, zsh and fish/],
  [['run', 'shp'], /no pipeline shp/, /shop/],
  [['runs', 'shp'], /no pipeline shp/, /shop/],
  [['state', 'get', 'shp'], /no pipeline shp/, /shop/],
  [['runs', 'show', '7'], /no run 7/, /hakiri runs/],
  [['tables', 'show', 'shop.none'], /no table/, /hakiri tables/],
  [['schema', 'approve', '9'], /no schema decision 9/, /hakiri schema/],
  [['backfill', 'shop'], /--from and --to/, /--from 2026-01-01/],
  [['catalog', 'rebuild'], /--from-bucket/, /--from-bucket/],
  [['--config', 'nowhere', 'status'], /no such file/, /hakiri init/],
]

test('a slip ends with exit code 2 and advice, for people and as one object', async (t) => {
  const project = await open(t)
  for (const [args, said, advice] of SLIPS) {
    const label = args.join(' ')
    const human = await project.hakiri(...args)
    t.is(human.code, 2, label + human.stderr)
    t.is(human.stdout, '', label)
    t.regex(human.stderr, said, label)
    const { code, envelope, stderr } = await project.json(...args)
    t.is(code, 2, label)
    t.is(stderr, '', label)
    t.deepEqual([envelope.ok, envelope.result], [false, null], label)
    t.regex(envelope.error?.message ?? '', said, label)
    t.regex(envelope.error?.suggestion ?? '', advice, label)
    if (envelope.error?.suggestion) t.true(human.stderr.includes(envelope.error.suggestion), label)
  }
})

test('global options are understood before and after the command', async (t) => {
  const project = await open(t)
  const at = project.folder
  const orders = [
    ['--json', '--config', at, '--catalog', 'sqlite:other.db', 'runs', '--limit', '1'],
    ['runs', '--limit', '1', '--json', '--config', at, '--catalog', 'sqlite:other.db'],
    ['--config', `${at}/hakiri.toml`, 'runs', '--json', '-n', '1', '--catalog=sqlite:other.db'],
  ]
  for (const args of orders) {
    const ran = await finished(project.start(HAKIRI, ...args))
    t.deepEqual(
      [ran.code, JSON.parse(ran.stdout)],
      [
        0,
        {
          command: 'runs',
          ok: true,
          summary: 'no runs yet; next: hakiri run',
          result: [],
          error: null,
        },
      ],
    )
  }
})

test('--json, NO_COLOR and a pipe carry no escape sequence', async (t) => {
  const project = await open(t)
  for (const args of [['status'], ['status', '--json'], ['rn'], ['doctor']]) {
    const ran = await project.hakiri(...args)
    t.false((ran.stdout + ran.stderr).includes('\u001B'), args.join(' '))
  }
})

test('bash completes commands, their words, options and formats from the script', async (t) => {
  const project = await open(t)
  const ask = async (...words: readonly string[]): Promise<readonly string[]> => {
    const list = words.map((word) => `'${word}'`).join(' ')
    const ran = await shell(
      project,
      `source <(hakiri completion bash)\nCOMP_WORDS=(hakiri ${list}); COMP_CWORD=${words.length}\n` +
        `_hakiri; printf '%s\\n' "\${COMPREPLY[@]}"; complete -p hakiri`,
    )
    t.is(ran.code, 0, ran.stderr)
    t.is(ran.stderr, '')
    const lines = ran.stdout.trim().split('\n')
    t.is(lines.pop(), 'complete -o default -F _hakiri hakiri')
    return lines.filter((line) => line !== '')
  }
  t.deepEqual(await ask('sta'), ['status', 'state'])
  t.deepEqual(
    (await ask('')).toSorted(),
    [...new Set(COMMANDS.map((spec) => commandName(spec).split(' ')[0] ?? ''))].toSorted(),
  )
  t.deepEqual(await ask('state', ''), ['get', 'set', 'reset'])
  t.deepEqual(await ask('tables', 'show', ''), [])
  t.deepEqual(await ask('run', '--f'), ['--full-refresh'])
  t.deepEqual(await ask('--config', 'run', '--json', 'sche'), ['schema'])
  t.deepEqual(await ask('query', '--format', ''), ['table', 'json', 'csv', 'parquet'])
  t.deepEqual(await ask('completion', 'f'), ['fish'])
})

test('zsh and fish scripts name every command', async (t) => {
  const project = await open(t)
  const [zsh, fish] = [
    await project.hakiri('completion', 'zsh'),
    await project.hakiri('completion', 'fish'),
  ]
  t.true(zsh.stdout.startsWith('#compdef hakiri\n'))
  for (const spec of COMMANDS) {
    const [word = '', child] = commandName(spec).split(' ')
    t.regex(zsh.stdout, new RegExp(`\\b${word}\\)`))
    t.true(fish.stdout.includes(`__fish_seen_subcommand_from ${word}"`), word)
    if (child) t.regex(fish.stdout, new RegExp(`-a "[^"]*\\b${child}\\b`))
  }
  const { envelope } = await project.json('completion', 'fish')
  t.deepEqual(envelope.result, { script: fish.stdout })
})

test('a reader that goes away is no failure; a full disk is one', async (t) => {
  const project = await open(t)
  const gone = await shell(
    project,
    `set -o pipefail
     hakiri query --format csv 'from range(3000000)' | head -n 1
     hakiri query --limit 300000 'from range(300000)' | head -n 1
     hakiri help | true
     echo 'from range(9); from range(9);' | hakiri query | true`,
  )
  t.deepEqual([gone.code, gone.stderr, gone.stdout], [0, '', 'range\n range\n'])
  for (const command of ['status', `query --format csv 'from range(9)'`, 'status --json']) {
    const full = await shell(project, `hakiri ${command} >/dev/full`)
    t.is(full.code, 3, command)
    t.is(full.stderr.match(/DISK_FULL/g)?.length, 1, full.stderr)
  }
})

const BUGS = {
  thrown: 'Date.parse = () => { throw new TypeError("planted") }',
  loose: 'Date.parse = () => { setImmediate(() => { throw new TypeError("planted") }); return 0 }',
  rejected: 'Date.parse = () => { Promise.reject(new TypeError("planted")); return 0 }',
}

for (const [kind, code] of Object.entries(BUGS)) {
  test(`a bug that is ${kind} prints its stack, INTERNAL and one object, and exits with 1`, async (t) => {
    const project = await open(t)
    project.env['NODE_OPTIONS'] = `--import=data:text/javascript,${encodeURIComponent(code)}`
    const args = ['query', '--at', '2026-01-01T00:00:00Z', 'from range(3)']
    const human = await project.hakiri(...args)
    t.is(human.code, 1)
    t.regex(human.stderr, /TypeError: planted\n +at .*\n/)
    t.regex(human.stderr, /INTERNAL: planted\n.*report/)
    const { code: exit, envelope, stderr } = await project.json(...args)
    t.deepEqual([exit, envelope.ok, envelope.error?.code], [1, false, 'INTERNAL'])
    t.regex(stderr, /TypeError: planted/)
  })
}

test('status loads no query engine, no encoder, no connector and no Postgres client', async (t) => {
  const project = await open(t)
  const spy = `import { registerHooks } from 'node:module'
    registerHooks({ load(url, context, next) { process.stderr.write('loads ' + url + '\\n'); return next(url, context) } })`
  project.env['NODE_OPTIONS'] = `--import=data:text/javascript,${encodeURIComponent(spy)}`
  const loadsOf = async (...args: readonly string[]): Promise<readonly string[]> =>
    (await project.hakiri(...args)).stderr
      .split('\n')
      .filter((line) => line.startsWith('loads file:'))
  const heavy = /duckdb|sink\/|connector\/|worker\/|\/pg\//
  t.deepEqual(
    (await loadsOf('status')).filter((line) => heavy.test(line)),
    [],
  )
  t.true((await loadsOf('query', 'select 1')).some((line) => /duckdb/.test(line)))
  t.true((await loadsOf('--version')).length <= 3)
})

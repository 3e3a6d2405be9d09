/** Bad input in configuration, secrets and on the command line: all refused before anything is read. */
import { APPEND, feed, SECRETS, tables, toml } from './bad-input-lab.ts'
import type { Case, Refusal } from './bad-input-case.ts'

type Fault = Omit<Refusal, 'exit'>

const refused = (
  name: string,
  text: string,
  { code, message, place }: Fault,
  command: readonly string[] = ['validate'],
): Case => ({
  name,
  toml: text,
  command,
  expect: { exit: 2, code, message, ...(place === undefined ? {} : { place }) },
})

const MANIFEST: readonly Case[] = [
  refused('a toml value without quotes', `version = 1\n[catalog]\nurl = sqlite\n`, {
    code: 'CONFIG_SYNTAX',
    message: 'not valid TOML',
    place: 'hakiri.toml:3:7',
  }),
  refused('a toml section that appears twice', toml({}, '[defaults]\n'), {
    code: 'CONFIG_SYNTAX',
    message: 'not valid TOML',
  }),
  refused(
    'a broken toml in run, not only in validate',
    'version = 1\ncatalog = = 2\n',
    { code: 'CONFIG_SYNTAX', message: 'not valid TOML', place: 'hakiri.toml:2:11' },
    ['run'],
  ),
  refused('an unknown key at the top', `versoin = 1\n${toml()}`, {
    code: 'CONFIG_UNKNOWN_KEY',
    message: 'there is no key "versoin" here',
    place: 'hakiri.toml:1:1',
  }),
  refused(
    'an unknown key in a pipeline',
    `version = 1\n[pipelines.p]\nshardby = "table"\nsource = { type = "file", paths = ["*.csv"] }\n`,
    {
      code: 'CONFIG_UNKNOWN_KEY',
      message: 'there is no key "shardby" here',
      place: 'hakiri.toml:3:1',
    },
  ),
  refused('a number where text belongs', `version = 1\n[catalog]\nurl = 5\n`, {
    code: 'CONFIG_INVALID',
    message: '',
    place: 'hakiri.toml:3:7',
  }),
  refused('a size that is none', toml({}, '[pipelines.x]\nmemory = "lots"\n' + feed('/seed')), {
    code: 'CONFIG_INVALID',
    message: 'lots',
  }),
  refused('a version from the future', toml().replace('version = 1', 'version = 2'), {
    code: 'CONFIG_INVALID',
    message: '',
    place: 'hakiri.toml:1:11',
  }),
  refused('a pipeline without a source', toml({}, '[pipelines.x]\nmode = "full"\n'), {
    code: 'CONFIG_INVALID',
    message: 'the key "source" is missing',
  }),
  refused(
    'a pipeline into a destination that is not there',
    toml({ x: `${feed('/seed')}destination = "ocean"\n` }),
    { code: 'CONFIG_INVALID', message: 'ocean' },
  ),
  refused('a source of a later version', toml({ x: 'source = { type = "github" }\n' }), {
    code: 'CONFIG_UNAVAILABLE',
    message: 'github source is not available',
  }),
  refused(
    'a literal password in a url',
    toml({ x: tables('"a"', '', `postgres://u:${SECRETS.literal}@localhost/x`) }),
    { code: 'CONFIG_SECRET', message: '' },
  ),
  refused(
    'a literal token of an http source',
    toml({ x: feed('/seed').replace('env:FEED_TOKEN', SECRETS.literal) }),
    { code: 'CONFIG_SECRET', message: '' },
    ['plan'],
  ),
  refused('a json pointer that is none', toml({ x: feed('/seed', '', ', records = "items"') }), {
    code: 'CONFIG_INVALID',
    message: 'JSON pointer',
  }),
  {
    name: 'a pipelines/*.json that is cut off',
    prepare: (bench) => bench.write('pipelines/cut.json', '{"source": {"type": "http"'),
    command: ['run'],
    expect: {
      exit: 2,
      code: 'CONFIG_SYNTAX',
      message: 'not valid JSON',
      place: 'pipelines/cut.json:1:27',
    },
  },
  {
    name: 'a pipelines/*.json with a wrong type',
    prepare: (bench) => bench.write('pipelines/odd.json', '{\n  "source": 7\n}'),
    command: ['validate'],
    expect: { exit: 2, code: 'CONFIG_INVALID', message: '', place: 'pipelines/odd.json:2:13' },
  },
  {
    name: 'a hakiri.toml that is not UTF-8',
    prepare: (bench) => bench.write('hakiri.toml', new Uint8Array([0x61, 0x20, 0x3d, 0xff, 0xfe])),
    command: ['validate'],
    expect: { exit: 2, code: 'CONFIG_SYNTAX', message: 'UTF-8' },
  },
  {
    name: 'a folder without hakiri.toml',
    command: ['--config', '/nowhere/at/all', 'run'],
    expect: { exit: 2, code: 'CONFIG_NOT_FOUND', message: 'there is no such file' },
  },
]

const feedWith = (reference: string): string =>
  toml({ feed: feed('/seed', APPEND).replace('env:FEED_TOKEN', reference) })

const SECRET_CASES: readonly Case[] = [
  refused(
    'an environment variable that is not set',
    feedWith('env:NO_SUCH_TOKEN'),
    { code: 'SECRET_MISSING', message: 'NO_SUCH_TOKEN' },
    ['run', 'feed'],
  ),
  refused(
    'a secret file that is not there',
    feedWith('file:secrets/token'),
    { code: 'SECRET_MISSING', message: 'secrets/token' },
    ['run', 'feed'],
  ),
  {
    ...refused(
      'a secret:// that neither keychain nor .env holds',
      feedWith('secret://feed_token'),
      { code: 'SECRET_MISSING', message: 'feed_token' },
      ['run', 'feed'],
    ),
    prepare: (bench) => bench.write('.env', `OTHER=${SECRETS.dotenv}\n`),
  },
  refused(
    'a catalog url whose variable is not set',
    toml({}, '[catalog]\nurl = "env:NO_SUCH_CATALOG"\n'),
    { code: 'SECRET_MISSING', message: 'NO_SUCH_CATALOG' },
    ['status'],
  ),
]

const usage = (name: string, command: readonly string[], fault: Fault): Case => ({
  name,
  command,
  expect: { exit: 2, ...fault },
})

const COMMAND_LINE: readonly Case[] = [
  usage('an unknown pipeline', ['run', 'nobody'], {
    code: 'NOT_FOUND',
    message: 'no pipeline nobody',
  }),
  usage('an unknown shard of a run', ['run', 'shop', '--shard', 'nothing'], {
    code: 'NOT_FOUND',
    message: 'has no shard nothing',
  }),
  usage('an unknown table', ['tables', 'show', 'shop.nothing'], {
    code: 'NOT_FOUND',
    message: 'no table shop.nothing',
  }),
  usage('an unknown table in history', ['tables', 'history', 'nothing'], {
    code: 'NOT_FOUND',
    message: 'no table nothing',
  }),
  usage('an unknown run', ['runs', 'show', '99'], { code: 'NOT_FOUND', message: '99' }),
  usage('a run number that is none', ['runs', 'logs', 'latest'], {
    code: 'USAGE',
    message: 'latest',
  }),
  usage('an unknown shard of state get', ['state', 'get', 'shop', 'nothing'], {
    code: 'NOT_FOUND',
    message: 'no shard shop/nothing',
  }),
  usage('an unknown shard of state set', ['state', 'set', 'shop', 'nothing', '1'], {
    code: 'NOT_FOUND',
    message: 'no shard shop/nothing',
  }),
  usage('a cursor that is not JSON', ['state', 'set', 'shop', 'shop', '{"id":'], {
    code: 'STATE_INVALID',
    message: 'the cursor is not valid JSON',
  }),
  usage('a reset that would double an append table', ['state', 'reset', 'shop'], {
    code: 'STATE_INVALID',
    message: 'would double the rows of shop.orders',
  }),
  usage('a backfill into an append table', ['backfill', 'shop', '--from', '1', '--to', '5'], {
    code: 'BACKFILL_UNSAFE',
    message: 'would double rows',
  }),
  usage('a backfill without an end', ['backfill', 'keyed', '--from', '1'], {
    code: 'USAGE',
    message: 'needs --from and --to',
  }),
  usage('bad SQL', ['query', 'selec 1'], { code: 'QUERY_INVALID', message: 'syntax error' }),
  usage('a query of a table that is not there', ['query', 'from nothing'], {
    code: 'QUERY_INVALID',
    message: 'nothing',
  }),
  usage('a query of a file outside the lake', ['query', `from read_csv('/etc/passwd')`], {
    code: 'QUERY_INVALID',
    message: '/etc/passwd',
  }),
  usage('a query that writes outside', ['query', `copy (select 1) to '/tmp/stolen.csv'`], {
    code: 'QUERY_INVALID',
    message: 'Cannot access file',
  }),
  usage('a query that unlocks the engine', ['query', 'set enable_external_access = true'], {
    code: 'QUERY_INVALID',
    message: 'onfiguration',
  }),
  usage(
    'a query that writes into the lake',
    ['query', `copy (select 1) to 'lake/shop/x.parquet'`],
    {
      code: 'QUERY_INVALID',
      message: 'a query only reads',
    },
  ),
  usage(
    'an explanation that writes',
    ['query', `explain analyze copy (select 1) to 'lake/x.csv'`],
    {
      code: 'QUERY_INVALID',
      message: 'a query only reads',
    },
  ),
  usage('a query that makes a database file', ['query', `attach 'lake/x.db'`], {
    code: 'QUERY_INVALID',
    message: 'a query only reads',
  }),
  usage('a time of --at that is none', ['query', '--at', 'yesterday', 'from shop.orders'], {
    code: 'USAGE',
    message: 'yesterday',
  }),
  usage('a version of --at that is not there', ['query', '--at', '7', 'from shop.orders'], {
    code: 'NOT_FOUND',
    message: 'shop.orders has no version 7',
  }),
  usage('a time before the table', ['query', '--at', '1999-01-01', 'from shop.orders'], {
    code: 'NOT_FOUND',
    message: 'did not exist',
  }),
  usage('an unknown format', ['query', '--format', 'xml', 'select 1'], {
    code: 'USAGE',
    message: 'no format xml',
  }),
  usage('an unknown command', ['rum'], { code: 'USAGE', message: 'rum' }),
  usage('an unknown option', ['run', '--fast'], { code: 'USAGE', message: '--fast' }),
]

export const CONFIG_CASES: readonly Case[] = [...MANIFEST, ...SECRET_CASES, ...COMMAND_LINE]

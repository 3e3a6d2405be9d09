/** Bad input from sources: servers that refuse, are not there, or send what cannot be read. */
import { APPEND, feed, SECRETS, tables, toml, type Bench, type Reply } from './bad-input-lab.ts'
import type { Case, Refusal } from './bad-input-case.ts'

const run = (name: string, pipeline: string, text: string, expect: Refusal): Case => ({
  name,
  toml: text,
  command: ['run', pipeline],
  expect,
})

const badUrl =
  (change: (url: URL) => void) =>
  (bench: Bench): Promise<void> => {
    const url = new URL(String(bench.env['SHOP_URL']))
    change(url)
    bench.env['SHOP_URL'] = url.href
    return Promise.resolve()
  }

const POSTGRES: readonly Case[] = [
  {
    name: 'a wrong password',
    prepare: (bench) => {
      const url = new URL(String(bench.env['READER_URL']))
      url.password = SECRETS.wrongPassword
      bench.env['READER_URL'] = url.href
      return Promise.resolve()
    },
    command: ['run', 'locked'],
    expect: { exit: 3, code: 'SOURCE_AUTH', message: 'password authentication failed' },
  },
  {
    name: 'a database that is not there',
    prepare: badUrl((url) => (url.pathname = '/no_such_database')),
    command: ['run', 'shop'],
    expect: { exit: 1, code: 'SOURCE_FATAL', message: 'no_such_database' },
  },
  {
    name: 'a user that is not there',
    prepare: badUrl((url) => {
      url.username = 'nobody_here'
      url.password = SECRETS.wrongPassword
    }),
    command: ['run', 'shop'],
    expect: { exit: 3, code: 'SOURCE_AUTH', message: 'nobody_here' },
  },
  {
    name: 'a host that no name server knows',
    prepare: badUrl((url) => (url.hostname = 'no-such-host.invalid')),
    command: ['run', 'shop'],
    expect: { exit: 3, code: 'SOURCE_UNREACHABLE', message: 'no-such-host.invalid' },
  },
  {
    name: 'a port that refuses',
    prepare: badUrl((url) => (url.port = '1')),
    command: ['run', 'shop'],
    expect: { exit: 3, code: 'SOURCE_UNREACHABLE', message: 'ECONNREFUSED' },
  },
  {
    name: 'an HTTP server where Postgres should be',
    prepare: (bench) => {
      bench.env['SHOP_URL'] = `${bench.lab.feedUrl.replace('http:', 'postgres:')}/shop`
      return Promise.resolve()
    },
    command: ['run', 'shop'],
    expect: { exit: 3, code: 'SOURCE_UNREACHABLE', message: '' },
  },
  run('a table that was never there', 'shop', toml({ shop: tables('"oders"', APPEND) }), {
    exit: 2,
    code: 'CONFIG_INVALID',
    message: 'no table is named "oders"',
  }),
  {
    name: 'a table that was dropped between two runs',
    command: ['run', 'gone'],
    expect: { exit: 2, code: 'CONFIG_INVALID', message: 'no table is named "gone"' },
  },
  {
    name: 'a table whose privileges were taken away between two runs',
    command: ['run', 'locked'],
    expect: { exit: 3, code: 'SOURCE_AUTH', message: 'locked' },
  },
  run(
    'a cursor column that is not there',
    'shop',
    toml({ shop: tables('"orders"', 'write = { mode = "append", cursor = "changed_at" }') }),
    { exit: 2, code: 'CONFIG_INVALID', message: 'changed_at' },
  ),
  run(
    'a key to shard by that is not there',
    'shop',
    toml({ shop: tables('"orders"', `${APPEND}shard_by = { key = "nr", ranges = 2 }`) }),
    { exit: 2, code: 'CONFIG_INVALID', message: 'nr' },
  ),
  run('a table without a column', 'bare', toml({ bare: tables('"nothing"') }), {
    exit: 2,
    code: 'NOT_FOUND',
    message: 'no table that the configuration selects',
  }),
  {
    name: 'a cursor of another kind than the column',
    prepare: (bench) => bench.run('state', 'set', 'shop', 'public.orders', '{"v":"yesterday"}'),
    command: ['run', 'shop'],
    expect: { exit: 2, code: 'STATE_INVALID', message: 'not a cursor of a postgres source' },
  },
  {
    name: 'a cursor that an http source did not write',
    prepare: (bench) => bench.run('state', 'set', 'feed', 'rows', '"page 7"'),
    command: ['run', 'feed'],
    expect: { exit: 2, code: 'STATE_INVALID', message: 'the cursor is not one' },
  },
]

/** The `feed` pipeline reads `reply` where it read good rows before. */
const answer = (name: string, reply: Reply, expect: Refusal, more = '', stream = ''): Case => {
  const path = `/${name.replaceAll(/[^a-z0-9]+/gi, '-')}`
  return {
    name,
    toml: toml({ feed: feed(path, APPEND + more, stream) }),
    prepare: (bench) => {
      bench.lab.replies.set(path, reply)
      return Promise.resolve()
    },
    command: ['run', 'feed'],
    expect,
  }
}

const HTTP: readonly Case[] = [
  answer(
    'http: 401, and the server repeats the token',
    { status: 401, body: 'bad token' },
    {
      exit: 3,
      code: 'SOURCE_AUTH',
      message: 'refuses the credentials (status 401)',
    },
  ),
  answer('http: 403', { status: 403 }, { exit: 3, code: 'SOURCE_AUTH', message: 'status 403' }),
  answer('http: 404', { status: 404 }, { exit: 1, code: 'SOURCE_FATAL', message: 'status 404' }),
  answer(
    'http: 429 that never ends',
    { status: 429 },
    {
      exit: 3,
      code: 'SOURCE_RATE',
      message: 'asks to slow down',
    },
  ),
  answer(
    'http: 500 that never ends',
    { status: 500 },
    {
      exit: 3,
      code: 'SOURCE_UNREACHABLE',
      message: 'status 500',
    },
  ),
  answer(
    'http: a body that is not JSON',
    { body: '<html>sorry</html>' },
    {
      exit: 1,
      code: 'SOURCE_DATA',
      message: 'is not valid JSON near "<html>sorry</html>"',
    },
  ),
  answer(
    'http: JSON that ends too early',
    { body: '[{"id":3},{"id":4' },
    {
      exit: 1,
      code: 'SOURCE_DATA',
      message: 'ends too early',
    },
  ),
  answer(
    'http: a body that is cut while it is read',
    { body: '[{"id":3},{"id":4}', cut: true },
    {
      exit: 3,
      code: 'SOURCE_UNREACHABLE',
      message: '',
    },
  ),
  answer(
    'http: a pointer to nothing',
    { body: '{"items":[]}' },
    {
      exit: 1,
      code: 'SOURCE_DATA',
      message: 'has nothing at records = "/data"',
    },
    '',
    ', records = "/data"',
  ),
  answer(
    'http: a pointer to a number',
    { body: '{"data":5}' },
    {
      exit: 1,
      code: 'SOURCE_DATA',
      message: 'neither a list nor an object',
    },
    '',
    ', records = "/data"',
  ),
  answer(
    'http: a body that is not UTF-8',
    { body: Buffer.from([...Buffer.from('[{"id":3,"name":"'), 0xff, 0xfe, ...Buffer.from('"}]')]) },
    { exit: 1, code: 'SOURCE_DATA', message: 'is not valid UTF-8' },
  ),
  answer(
    'http: redirects without an end',
    { status: 302, headers: { location: '?again' } },
    {
      exit: 1,
      code: 'SOURCE_FATAL',
      message: 'redirects more than 5 times',
    },
  ),
  {
    ...answer(
      'http: a body larger than max_body',
      { body: `[{"id":3,"name":"${'x'.repeat(5000)}"}]` },
      {
        exit: 1,
        code: 'SOURCE_DATA',
        message: 'the body is larger than 4000 bytes',
      },
    ),
    toml: toml({
      feed: feed('/http-a-body-larger-than-max-body', APPEND).replace(
        'base =',
        'max_body = "4KB", base =',
      ),
    }),
  },
  answer(
    'http: too many rejected rows, because they are no objects',
    { body: '[1, 2, 3, "x"]' },
    {
      exit: 1,
      code: 'QUARANTINE_FULL',
      message: 'the record is not a JSON object',
    },
    'quarantine = { max_rows = 2 }',
  ),
  {
    name: 'http: a host that is not there',
    prepare: (bench) => {
      bench.env['FEED_URL'] = 'http://no-such-host.invalid'
      return Promise.resolve()
    },
    command: ['run', 'feed'],
    expect: { exit: 3, code: 'SOURCE_UNREACHABLE', message: 'no-such-host.invalid' },
  },
  {
    name: 'http: a base that is no address',
    prepare: (bench) => {
      bench.env['FEED_URL'] = 'ftp://files.example'
      return Promise.resolve()
    },
    command: ['run', 'feed'],
    expect: { exit: 2, code: 'CONFIG_INVALID', message: 'not an http(s) url' },
  },
]

export const SOURCE_CASES: readonly Case[] = [...POSTGRES, ...HTTP]

/** `hakiri ctl get | put | del | watch | compact`: keys by hand. */
import type { KeyValue } from '../../../proto/gen/kv.ts'
import { HakiriError } from '../../../lib/error.ts'
import type { CommandInput } from '../../command.ts'
import { hex, parseHex, parseWhole, withCluster } from '../../coord/connect.ts'

/** One past the last key with this prefix; all keys for an empty one. */
export function endOfPrefix(prefix: Uint8Array): Buffer {
  const end = Buffer.from(prefix)
  for (let last = end.length - 1; last >= 0; last--) {
    if (end[last]! < 0xff) {
      end[last]!++
      return end.subarray(0, last + 1)
    }
  }
  return Buffer.from([0])
}

/** The key and the end of a range: --prefix, or a second argument. */
function rangeOf({ args, options }: CommandInput): {
  readonly key: Buffer
  readonly rangeEnd?: Buffer
} {
  const key = Buffer.from(String(args[0]))
  const end = args[1]
  if (options['prefix'] === true) {
    if (end !== undefined)
      throw new HakiriError('USAGE', '--prefix and the end of a range exclude each other')
    return { key: key.length === 0 ? Buffer.from([0]) : key, rangeEnd: endOfPrefix(key) }
  }
  return end === undefined ? { key } : { key, rangeEnd: Buffer.from(String(end)) }
}

function numberOption({ options }: CommandInput, name: string): number | undefined {
  const value = options[name]
  return value === undefined ? undefined : parseWhole(String(value), `a value of --${name}`)
}

/** Bytes that are no text are shown in base64, and said to be. */
function textOf(bytes: Uint8Array): { readonly text: string; readonly isText: boolean } {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), isText: true }
  } catch {
    return { text: Buffer.from(bytes).toString('base64'), isText: false }
  }
}

function asJson(kv: KeyValue) {
  const [key, value] = [textOf(kv.key), textOf(kv.value)]
  return {
    [key.isText ? 'key' : 'keyBase64']: key.text,
    [value.isText ? 'value' : 'valueBase64']: value.text,
    createRevision: kv.createRevision,
    modRevision: kv.modRevision,
    version: kv.version,
    lease: kv.lease === 0n ? null : hex(kv.lease),
  }
}

export const get = withCluster(async ({ client }, input, io) => {
  const revision = numberOption(input, 'rev')
  const limit = numberOption(input, 'limit')
  const keysOnly = input.options['keysOnly'] === true
  const found = await client.range({
    ...rangeOf(input),
    keysOnly,
    ...(revision === undefined ? {} : { revision }),
    ...(limit === undefined ? {} : { limit }),
  })
  for (const { key, value } of found.kvs)
    io.data(keysOnly ? `${textOf(key).text}\n` : `${textOf(key).text}\t${textOf(value).text}\n`)
  return {
    result: { revision: found.revision, count: found.count, kvs: found.kvs.map(asJson) },
    summary: `${found.kvs.length} of ${found.count} key(s) at revision ${found.revision}`,
  }
})

export const put = withCluster(async ({ client }, { args, options }) => {
  const lease = options['lease']
  const { revision } = await client.put({
    key: Buffer.from(String(args[0])),
    value: Buffer.from(String(args[1])),
    ...(lease === undefined ? {} : { lease: parseHex(String(lease), 'a lease id') }),
  })
  return { result: { revision }, summary: `✓ revision ${revision}` }
})

export const del = withCluster(async ({ client }, input) => {
  const { deleted, revision } = await client.deleteRange(rangeOf(input))
  return {
    result: { deleted, revision },
    summary: `✓ ${deleted} key(s) deleted, revision ${revision}`,
  }
})

export const compact = withCluster(async ({ client }, { args }) => {
  const revision = parseWhole(String(args[0]), 'a revision')
  await client.compact(revision)
  return { result: { revision }, summary: `✓ history before revision ${revision} is gone` }
})

/** Runs until it is stopped, or until history broke; one line an event, or with --json one object each. */
export const watch = withCluster(async ({ client }, input, io) => {
  const { key, rangeEnd } = rangeOf(input)
  const startRevision = numberOption(input, 'rev')
  await using watcher = client.watch(key, {
    prevKv: input.options['prevKv'] === true,
    signal: io.stop,
    ...(rangeEnd ? { rangeEnd } : {}),
    ...(startRevision === undefined ? {} : { startRevision }),
  })
  let [events, revision] = [0, 0]
  try {
    for await (const batch of watcher) {
      if (batch.kind === 'progress') continue
      if (batch.kind === 'compacted')
        throw new HakiriError('COORD_REFUSED', `history before ${batch.compactRevision} is gone`, {
          suggestion: `Read the keys anew, and watch from there with --rev ${batch.compactRevision}.`,
        })
      revision = batch.revision
      for (const { type, kv } of batch.events) {
        if (!kv) continue
        events++
        const what = type === 0 ? 'PUT' : 'DELETE'
        if (input.globals.json)
          process.stderr.write(`${JSON.stringify({ type: what, ...asJson(kv) })}\n`)
        else
          io.data(`${what}\t${textOf(kv.key).text}\t${textOf(kv.value).text}\t${kv.modRevision}\n`)
      }
    }
  } catch (error) {
    if (!io.stop.aborted) throw error
  }
  return { result: { events, revision }, summary: `${events} event(s)`, stopped: io.stop.aborted }
})

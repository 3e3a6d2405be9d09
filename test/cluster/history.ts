/**
 * Writers that note what was acknowledged, and what that says about the end: every acknowledged write is
 * there, every other one is there whole or not at all, and nothing is there that nobody wrote.
 */
import type { CoordClient } from '../../coord/client/client.ts'

export type Writers = {
  /** Stops writing and waits for the last answers. */
  stop(): Promise<void>
  readonly acknowledged: ReadonlyMap<string, number>
  readonly sent: ReadonlySet<string>
  /** Writes acknowledged since the last call. */
  takeProgress(): number
}

/** So many writers, each with keys of its own, each key written once by create-if-absent. */
export function startWriters(client: CoordClient, writers: number): Writers {
  const acknowledged = new Map<string, number>()
  const sent = new Set<string>()
  let isStopped = false
  let progress = 0
  const write = async (writer: number): Promise<void> => {
    for (let n = 0; !isStopped; n++) {
      const key = `w/${writer}/${String(n).padStart(8, '0')}`
      sent.add(key)
      await client
        .put({ key: Buffer.from(key), value: Buffer.from(key) }, { timeoutMs: 2_000 })
        .then(
          ({ revision }) => {
            acknowledged.set(key, revision)
            progress++
          },
          () => undefined,
        )
    }
  }
  const running = Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
  return {
    acknowledged,
    sent,
    takeProgress() {
      const before = progress
      progress = 0
      return before
    },
    async stop() {
      isStopped = true
      await running
    },
  }
}

/** What is wrong with what the cluster holds now, in words; empty when all is well. */
export async function auditWrites(
  client: CoordClient,
  writers: Writers,
): Promise<readonly string[]> {
  const found = new Map<string, { readonly revision: number; readonly version: number }>()
  const problems: string[] = []
  for (let from = 'w/'; ;) {
    const page = await client.range({
      key: Buffer.from(from),
      rangeEnd: Buffer.from('w0'),
      limit: 5_000,
    })
    for (const { key, value, modRevision, version } of page.kvs) {
      const name = Buffer.from(key).toString()
      if (name !== Buffer.from(value).toString()) problems.push(`${name} holds another value`)
      found.set(name, { revision: modRevision, version })
    }
    const last = page.kvs.at(-1)
    if (!page.more || !last) break
    from = `${Buffer.from(last.key).toString()}\0`
  }
  for (const [key, revision] of writers.acknowledged) {
    const one = found.get(key)
    if (!one) problems.push(`${key} was acknowledged at ${revision} and is lost`)
    else if (one.revision !== revision)
      problems.push(`${key} was acknowledged at ${revision}, is at ${one.revision}`)
  }
  for (const [key, { version }] of found) {
    if (!writers.sent.has(key)) problems.push(`${key} was never sent`)
    if (version !== 1) problems.push(`${key} was written ${version} times`)
  }
  return problems
}

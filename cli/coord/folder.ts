/**
 * Data folders that are made or rewritten while nothing runs on them: out of a snapshot, or of the one
 * member that is left. A folder appears whole under its name or not at all.
 */
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openImage } from '../../coord/image/level-image.ts'
import type { ImageRecord } from '../../coord/image/image.ts'
import { writeIdentity } from '../../coord/node/identity-file.ts'
import { clusterIdOf, firstMemberId } from '../../coord/node/ids.ts'
import type { Member } from '../../coord/node/node.ts'
import { carryOver, firstImage, firstLog } from '../../coord/node/state.ts'
import type { Entry, HardState, SnapshotMark } from '../../coord/raft/types.ts'
import { createWal, openWal } from '../../coord/wal/log.ts'
import { HakiriError } from '../../lib/error.ts'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'

export const walFolder = (data: string): string => join(data, 'wal')
export const imageFolder = (data: string): string => join(data, 'image')

export type NewCluster = {
  readonly token: string
  /** What `hakiri coord` will be started with: its --cluster-token. */
  readonly startedWith: string
  /** Of all members. */
  readonly peerUrls: readonly string[]
  /** Which of them the folder is for. */
  readonly self: string
}

export type Written = { readonly clusterId: bigint; readonly memberId: bigint }

/**
 * A member of a new cluster that holds these records. All its members, each made from the same records,
 * agree on ids and state; the old cluster's members do not know it.
 */
export async function writeFolder(
  data: string,
  cluster: NewCluster,
  records: AsyncIterable<readonly ImageRecord[]>,
  leapBy: number,
): Promise<Written> {
  const { token, peerUrls, self, startedWith } = cluster
  const members = peerUrls.map((url) => memberOf(token, url))
  const first = firstImage(members)
  const ids = { clusterId: clusterIdOf(token, peerUrls), memberId: firstMemberId(token, self) }
  await build(data, async (part) => {
    await writeImage(part, first.mark, membersAnd(first.changes, records, leapBy))
    const start = firstLog(first.mark)
    const wal = await createWal({
      folder: walFolder(part),
      clock: systemClock,
      identity: ids,
      start: { mark: first.mark, hardState: start.hardState },
    })
    await wal.close()
    await writeIdentity(part, {
      ...ids,
      isComplete: true,
      knownAs: {
        clusterId: clusterIdOf(startedWith, peerUrls),
        memberId: firstMemberId(startedWith, self),
      },
      formation: { life: drawLife(), isFormed: peerUrls.length === 1, lives: new Map() },
    })
  })
  return ids
}

function memberOf(token: string, url: string): Member {
  return {
    id: firstMemberId(token, url),
    name: '',
    peerUrls: [url],
    clientUrls: [],
    isLearner: false,
  }
}

function drawLife(): bigint {
  return 1n + (BigInt(Math.floor(systemRandom.float() * 2 ** 31)) << 31n)
}

async function* membersAnd(
  members: readonly { readonly key: Uint8Array; readonly value: Uint8Array | undefined }[],
  records: AsyncIterable<readonly ImageRecord[]>,
  leapBy: number,
): AsyncGenerator<readonly ImageRecord[]> {
  const own = members.flatMap(({ key, value }) => (value ? [{ key, value }] : []))
  yield own.toSorted((a, b) => Buffer.compare(a.key, b.key))
  for await (const portion of records) yield carryOver(portion, leapBy)
}

async function writeImage(
  part: string,
  mark: SnapshotMark,
  records: AsyncIterable<readonly ImageRecord[]>,
): Promise<void> {
  const image = await openImage({ folder: imageFolder(part) })
  try {
    await image.install(mark, records)
  } finally {
    await image.close()
  }
}

/** Built beside, renamed into place: an existing folder that holds anything is refused before. */
async function build(data: string, work: (part: string) => Promise<void>): Promise<void> {
  const names = await readdir(data).catch(() => [])
  if (names.length > 0)
    throw new HakiriError('DATA_FOREIGN', `${data} is not empty`, {
      suggestion: 'Give an empty folder, or one that does not exist.',
    })
  const part = `${data}.part`
  await rm(part, { recursive: true, force: true })
  await mkdir(part, { recursive: true, mode: 0o700 })
  try {
    await work(part)
    await rm(data, { recursive: true, force: true })
    await rename(part, data)
  } catch (error) {
    await rm(part, { recursive: true, force: true })
    throw error
  }
}

export type Survivor = {
  readonly clusterId: bigint
  readonly hardState: HardState
  readonly mark: SnapshotMark
  readonly entries: readonly Entry[]
}

/** The log of a stopped member, read only; undefined when there is none. */
export async function readLog(data: string): Promise<Survivor | undefined> {
  const opened = await openWal({ folder: walFolder(data), clock: systemClock })
  if (!opened) return undefined
  const { identity, hardState, mark, entries } = opened.recovery
  await opened.wal.close()
  return { clusterId: identity.clusterId, hardState, mark, entries }
}

/**
 * Who the owner of a data folder is: written before anything else, so that a folder that lost its log
 * or its image is told from a new one, and replaced whole, so that it is never half written.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { HakiriError, operatingError } from '../../lib/error.ts'
import { syncFolder } from '../../lib/system/fs.ts'
import type { MemberId } from '../raft/types.ts'
import type { Formation } from './types.ts'

export type Identity = {
  readonly clusterId: bigint
  readonly memberId: MemberId
  /** Whether log and image have been made. */
  readonly isComplete: boolean
  readonly formation: Formation
  /** What its list of peers would make of it: a folder that was restored has other ids than that. */
  readonly knownAs?: { readonly clusterId: bigint; readonly memberId: MemberId }
}

const NAME = 'member.json'
const FORMAT = 1

/** Undefined for a folder that nobody has used. */
export async function readIdentity(folder: string): Promise<Identity | undefined> {
  const text = await readFile(join(folder, NAME), 'utf8').catch((error: unknown) => {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined
    throw operatingError(error, 'DISK_FAILED', join(folder, NAME))
  })
  if (text === undefined) return undefined
  const identity = parseIdentity(text)
  if (identity) return identity
  throw new HakiriError('DATA_FOREIGN', `${join(folder, NAME)} cannot be read`, {
    suggestion: 'Start with the Hakiri that wrote it, or replace this member.',
  })
}

function parseIdentity(text: string): Identity | undefined {
  try {
    const read = JSON.parse(text) as Record<string, unknown>
    if (read['format'] !== FORMAT) return undefined
    const id = (name: string): bigint => BigInt(read[name] as string)
    const known = read['knownAs'] as Record<string, string> | undefined
    const lives = Object.entries(read['lives'] as Record<string, string>)
    return {
      clusterId: id('cluster'),
      memberId: id('member'),
      isComplete: read['isComplete'] === true,
      ...(known && {
        knownAs: {
          clusterId: BigInt(known['cluster'] as string),
          memberId: BigInt(known['member'] as string),
        },
      }),
      formation: {
        life: id('life'),
        isFormed: read['isFormed'] === true,
        lives: new Map(lives.map(([member, life]) => [BigInt(member), BigInt(life)])),
      },
    }
  } catch {
    return undefined
  }
}

/** Durable once it resolves. */
export async function writeIdentity(folder: string, identity: Identity): Promise<void> {
  const { formation, knownAs } = identity
  const text = JSON.stringify({
    format: FORMAT,
    cluster: String(identity.clusterId),
    member: String(identity.memberId),
    isComplete: identity.isComplete,
    ...(knownAs && {
      knownAs: { cluster: String(knownAs.clusterId), member: String(knownAs.memberId) },
    }),
    life: String(formation.life),
    isFormed: formation.isFormed,
    lives: Object.fromEntries([...formation.lives].map(([id, life]) => [String(id), String(life)])),
  })
  try {
    await mkdir(folder, { recursive: true })
    const fresh = join(folder, `${NAME}.new`)
    const file = await open(fresh, 'w')
    try {
      await file.writeFile(`${text}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(fresh, join(folder, NAME))
    await syncFolder(folder)
  } catch (error) {
    const isFull = (error as { code?: unknown }).code === 'ENOSPC'
    throw operatingError(error, isFull ? 'DISK_FULL' : 'DISK_FAILED', folder)
  }
}

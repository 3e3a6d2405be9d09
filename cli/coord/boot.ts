/**
 * How this member begins: alone, with all of --peers, or by asking a running cluster to take it in. A
 * folder that is in use already knows; the network is asked only for an empty one.
 */
import { networkInterfaces, hostname } from 'node:os'
import type { AdminClient } from '../../coord/client/admin.ts'
import { readIdentity } from '../../coord/node/identity-file.ts'
import type { Boot } from '../../coord/node/options.ts'
import { HakiriError } from '../../lib/error.ts'
import type { Logger } from '../../lib/ports.ts'
import type { Member } from '../../proto/gen/rpc.ts'
import { formatAddress, type Address } from './address.ts'
import { findSelf, ownAddress, type Machine } from './self.ts'
import type { CoordSettings } from './settings.ts'

export type Plan = {
  readonly boot: Boot
  /** Where the others and clients reach this member. */
  readonly self: Address
  readonly url: string
}

export type BootParts = {
  readonly folder: string
  readonly logger: Logger
  /** Connects to the members of --join. */
  readonly connect: (endpoints: readonly string[]) => Promise<AdminClient>
}

export async function planBoot(settings: CoordSettings, parts: BootParts): Promise<Plan> {
  const { bind, peers, join, advertise } = settings
  const scheme = settings.tls ? 'https' : 'http'
  const urlOf = (address: Address): string => `${scheme}://${formatAddress(address)}`
  const self =
    peers.length > 0
      ? findSelf(peers, bind, advertise, machine())
      : ownAddress(bind, advertise, machine())
  const url = urlOf(self)
  if (join.length > 0) return { self, url, boot: await bootByJoining(url, join, parts) }
  const peerUrls = peers.length > 0 ? peers.map(urlOf) : [url]
  if (new Set(peerUrls).size < peerUrls.length)
    throw new HakiriError('USAGE', '--peers names a member twice', {
      suggestion: 'Each member stands once in the list.',
    })
  return { self, url, boot: { kind: 'form', token: settings.clusterToken, peerUrls, self: url } }
}

function machine(): Machine {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return { hostname: hostname(), addresses: addresses.map(({ address }) => address.toLowerCase()) }
}

async function bootByJoining(
  url: string,
  join: readonly Address[],
  { folder, logger, connect }: BootParts,
): Promise<Boot> {
  const known = await readIdentity(folder)
  if (known) return { kind: 'join', ...known, members: [] }
  const endpoints = join.map(formatAddress)
  await using admin = await connect(endpoints)
  const { clusterId, members } = await admin.memberList()
  // One that waits for its first start, before one whose place it is about to take.
  const here = members.filter(({ peerUrls }) => peerUrls.includes(url))
  const reserved = here.find(({ name }) => name === '') ?? here[0]
  if (reserved && reserved.name !== '') throw lostDisk(url, reserved)
  if (reserved) return bootAs(clusterId, reserved, members)
  const added = await admin.memberAdd({ peerUrls: [url], isLearner: true })
  logger.log('info', 'the cluster has taken this member in as a learner', {
    member: added.member.id.toString(16),
    via: endpoints.join(','),
  })
  return bootAs(clusterId, added.member, added.members)
}

function bootAs(clusterId: bigint, own: Member, members: readonly Member[]): Boot {
  return { kind: 'join', clusterId, memberId: own.id, members }
}

/** Its votes and what it acknowledged are gone: under its old id it could break what was promised. */
function lostDisk(url: string, { id }: Member): HakiriError {
  const hex = id.toString(16)
  return new HakiriError(
    'MEMBER_LOST_DISK',
    `${url} is member ${hex}, but its data folder is empty`,
    {
      suggestion: `Replace it, then start again: hakiri ctl member replace ${hex}`,
    },
  )
}

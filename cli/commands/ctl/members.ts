/** `hakiri ctl members | member … | move-leader`: who belongs to the cluster, and changes of it. */
import type { Member } from '../../../proto/gen/rpc.ts'
import { HakiriError } from '../../../lib/error.ts'
import type { AdminClient } from '../../../coord/client/admin.ts'
import { CoordError } from '../../../coord/client/client.ts'
import { memberUrl } from '../../coord/address.ts'
import { hex, parseHex, withCluster, type Ctl } from '../../coord/connect.ts'
import { formatTable } from '../../output.ts'
import { findLeader } from './status.ts'

const asJson = (member: Member) => ({
  id: hex(member.id),
  name: member.name,
  peerUrls: member.peerUrls,
  clientUrls: member.clientUrls,
  isLearner: member.isLearner,
})

function table(members: readonly Member[]): string {
  return formatTable(
    ['id', 'name', 'role', 'peers at', 'clients at'],
    members.map((member) => [
      hex(member.id),
      member.name || '(not started)',
      member.isLearner ? 'learner' : 'voter',
      member.peerUrls.join(','),
      member.clientUrls.join(','),
    ]),
  )
}

export const members = withCluster(async ({ admin }) => {
  const { clusterId, members: all } = await admin.memberList()
  return {
    result: { clusterId: hex(clusterId), members: all.map(asJson) },
    summary: `${all.length} member(s) of cluster ${hex(clusterId)}`,
    text: table(all),
  }
})

/** A member serves everybody alike: whoever asks for a change over TLS means an address with TLS. */
const urlOf = (text: string, { isSecure }: Ctl): string =>
  memberUrl(text, 'the address', isSecure ? 'https' : 'http')

/** What starts the new member, so that nobody has to look it up. */
function howToStart(url: string, all: readonly Member[], self: bigint): string {
  const others = all.filter(({ id }) => id !== self).flatMap(({ peerUrls }) => peerUrls)
  const [host] = others.map((one) => one.replace(/^https?:\/\//, ''))
  const own = url.replace(/^https?:\/\//, '')
  return `Start it: hakiri coord --bind ${own} --join ${host ?? '…'}`
}

export const memberAdd = withCluster(async (ctl, { args, options }) => {
  const url = urlOf(String(args[0]), ctl)
  const isLearner = options['voter'] !== true
  const { member, members: all } = await ctl.admin.memberAdd({ peerUrls: [url], isLearner })
  return {
    result: { member: asJson(member), members: all.map(asJson) },
    summary: `✓ ${hex(member.id)} added as ${isLearner ? 'learner: it becomes a voter once it has caught up' : 'voter'}. ${howToStart(url, all, member.id)}`,
    text: table(all),
  }
})

export const memberRemove = withCluster(async ({ admin }, { args }) => {
  const id = parseHex(String(args[0]), 'a member id')
  const all = await admin.memberRemove(id)
  return {
    result: { removed: hex(id), members: all.map(asJson) },
    summary: `✓ ${hex(id)} removed; its process ends by itself, its folder can go`,
    text: table(all),
  }
})

export const memberPromote = withCluster(async ({ admin }, { args }) => {
  const id = parseHex(String(args[0]), 'a member id')
  const all = await admin.memberPromote(id)
  return {
    result: { promoted: hex(id), members: all.map(asJson) },
    summary: `✓ ${hex(id)} is a voter`,
    text: table(all),
  }
})

/**
 * A learner comes that takes the place of the old member, in one change of the cluster's own once it has
 * caught up: until then the old one counts, and there is never one voter less. Where a member is too old
 * for that, the old one goes first. The newcomer has an id of its own, whatever its address.
 */
export const memberReplace = withCluster(async (ctl, { args }) => {
  const { admin } = ctl
  const id = parseHex(String(args[0]), 'a member id')
  const before = (await admin.memberList()).members
  const old = before.find((member) => member.id === id)
  if (!old)
    throw new HakiriError('NOT_FOUND', `no member ${hex(id)}`, {
      suggestion: 'See `hakiri ctl members`.',
    })
  const url = args[1] === undefined ? old.peerUrls[0] : urlOf(String(args[1]), ctl)
  if (url === undefined)
    throw new HakiriError('USAGE', `${hex(id)} has no address: say where the new member will be`)
  const { isJoint, member, members: all } = await putInPlaceOf(admin, old, url)
  const others = all.filter((one) => one.id !== id)
  const what = isJoint
    ? `${hex(member.id)} takes the place of ${hex(id)} once it has caught up`
    : `${hex(id)} removed, ${hex(member.id)} added`
  const sameFolder = url === old.peerUrls[0] ? ' Empty its folder.' : ''
  return {
    result: { replaced: hex(id), isJoint, member: asJson(member), members: all.map(asJson) },
    summary: `✓ ${what}.${sameFolder} ${howToStart(url, others, member.id)}`,
    text: table(all),
  }
})

type Replacement = {
  readonly isJoint: boolean
  readonly member: Member
  readonly members: readonly Member[]
}

async function putInPlaceOf(admin: AdminClient, old: Member, url: string): Promise<Replacement> {
  const newcomer = { peerUrls: [url], isLearner: true }
  // A learner has no place that anybody could miss.
  if (!old.isLearner)
    try {
      return { isJoint: true, ...(await admin.memberAdd({ ...newcomer, replaces: old.id })) }
    } catch (error) {
      if (!(error instanceof CoordError)) throw error
      if (error.message.includes('member ID already exist')) throw alreadyReplaced(old, error)
      if (!NOT_EVERYWHERE.test(error.message)) throw error
    }
  await admin.memberRemove(old.id)
  return { isJoint: false, ...(await admin.memberAdd(newcomer)) }
}

function alreadyReplaced({ id }: Member, cause: unknown): HakiriError {
  return new HakiriError('COORD_REFUSED', `a newcomer for ${hex(id)} is in the list already`, {
    cause,
    suggestion: 'Start it, or take it out first with `hakiri ctl member remove`.',
  })
}

/** What members of an older version are the reason for. */
const NOT_EVERYWHERE = /not every member of the cluster is new enough/

export const moveLeader = withCluster(async (ctl, { args }) => {
  const target = parseHex(String(args[0]), 'a member id')
  const { endpoint, id } = await leaderOf(ctl)
  if (id !== target) await ctl.admin.moveLeader(endpoint, target)
  return {
    result: { from: hex(id), to: hex(target) },
    summary:
      id === target
        ? `✓ ${hex(target)} leads already`
        : `✓ ${hex(target)} leads, ${hex(id)} follows`,
  }
})

/** The leader may be at none of --endpoints: then its client address in the member list is asked. */
async function leaderOf({
  admin,
  endpoints,
}: Ctl): Promise<{ readonly endpoint: string; readonly id: bigint }> {
  const all = (await admin.memberList()).members
  const known = [...endpoints, ...all.flatMap(({ clientUrls }) => clientUrls)]
  const found = await findLeader(admin, known)
  if (!found) throw new HakiriError('COORD_UNREACHABLE', 'no leader was found at the endpoints')
  return found
}

/**
 * `hakiri ctl snapshot restore | recover`: a new cluster out of a file, or out of the one member that is
 * left. Both work on folders that no process uses, and both leave what they read as it was.
 */
import { createReadStream } from 'node:fs'
import { mkdir, rename, stat } from 'node:fs/promises'
import { hostname, networkInterfaces } from 'node:os'
import { decodeSnapshot } from '../../../coord/server/snapshot-file.ts'
import { HakiriError } from '../../../lib/error.ts'
import type { CommandInput, CommandRun } from '../../command.ts'
import { memberUrl, parseAddress, type Address } from '../../coord/address.ts'
import { hex, parseWhole } from '../../coord/connect.ts'
import { writeFolder, type NewCluster } from '../../coord/folder.ts'
import { findSelf } from '../../coord/self.ts'
import { readSurvivor } from '../../coord/survivor.ts'

const LOCAL = '127.0.0.1:7701'

function text({ options }: CommandInput, name: string): string | undefined {
  const value = options[name]
  return typeof value === 'string' ? value : undefined
}

const leapOf = (input: CommandInput): number =>
  parseWhole(text(input, 'bumpRevision') ?? '1000000', 'a value of --bump-revision')

export const snapshotRestore: CommandRun = async (input) => {
  const file = String(input.args[0])
  const data = text(input, 'data') ?? '.hakiri/coord'
  const cluster = clusterOf(input)
  const found = await stat(file).catch(() => undefined)
  if (!found?.isFile()) throw new HakiriError('NOT_FOUND', `no snapshot at ${file}`)
  const { header, portions } = await decodeSnapshot(createReadStream(file))
  const written = await writeFolder(
    data,
    { ...cluster, token: restoredToken(cluster, header.revision), startedWith: cluster.token },
    portions,
    leapOf(input),
  )
  return {
    result: {
      data,
      clusterId: hex(written.clusterId),
      memberId: hex(written.memberId),
      revision: header.revision + leapOf(input),
      takenFrom: hex(header.memberId),
    },
    summary: `✓ ${data} holds revision ${header.revision} of cluster ${hex(header.clusterId)} as member ${hex(written.memberId)} of a new cluster. Restore the same file for every member, then start them as usual.`,
  }
}

/** The members of the old cluster, should they come back, must not take the new ones for their own. */
function restoredToken({ token }: { readonly token: string }, revision: number): string {
  return `${token}\nrestored at revision ${revision}`
}

function clusterOf(input: CommandInput): Omit<NewCluster, 'startedWith'> {
  const entries = (text(input, 'peers') ?? LOCAL).split(',')
  const peers = entries.map((one) => parseAddress(one, '--peers'))
  const peerUrls = entries.map((one) => memberUrl(one, '--peers'))
  if (new Set(peerUrls.map((url) => new URL(url).protocol)).size > 1)
    throw new HakiriError('USAGE', '--peers mixes http and https', {
      suggestion: 'With TLS, write https:// in front of every member.',
    })
  const advertised = text(input, 'advertise')
  const advertise = advertised === undefined ? undefined : parseAddress(advertised, '--advertise')
  const self = peers.length === 1 ? peers[0]! : selfAmong(peers, advertise)
  return {
    token: text(input, 'clusterToken') ?? '',
    peerUrls,
    self: peerUrls[peers.indexOf(self)]!,
  }
}

function selfAmong(peers: readonly Address[], advertise: Address | undefined): Address {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const machine = {
    hostname: hostname(),
    addresses: addresses.map(({ address }) => address.toLowerCase()),
  }
  return findSelf(peers, { host: '0.0.0.0', port: 0 }, advertise, machine)
}

export const recover: CommandRun = async (input) => {
  const data = text(input, 'data') ?? '.hakiri/coord'
  if (input.options['force'] !== true)
    throw new HakiriError('USAGE', 'recover gives up what only the lost members knew', {
      suggestion:
        'Be sure that they are gone for good and this process is stopped; then add --force.',
    })
  const survivor = await readSurvivor(data)
  const url = memberUrl(text(input, 'advertise') ?? LOCAL, '--advertise')
  const token = `recovered from ${hex(survivor.clusterId)} at index ${survivor.index}`
  const made = `${data}.recovered`
  const written = await writeFolder(
    made,
    { token, peerUrls: [url], self: url, startedWith: text(input, 'clusterToken') ?? '' },
    survivor.records(),
    leapOf(input),
  )
  const kept = await freeName(`${data}.before-recovery`)
  await mkdir(data, { recursive: true })
  await rename(data, kept)
  await rename(made, data)
  return {
    result: {
      data,
      kept,
      clusterId: hex(written.clusterId),
      memberId: hex(written.memberId),
      index: survivor.index,
    },
    summary: `✓ ${data} is a cluster of its own with everything up to index ${survivor.index}; the old folder is ${kept}. Start it, then add members with \`hakiri coord --join\`.`,
  }
}

async function freeName(base: string): Promise<string> {
  for (let n = 1; ; n++) {
    const name = n === 1 ? base : `${base}-${n}`
    if ((await stat(name).catch(() => undefined)) === undefined) return name
  }
}

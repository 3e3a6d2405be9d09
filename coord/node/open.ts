/**
 * Opens a node: finds out who it is, makes or opens log and image, fits them to each other and starts
 * the loop. What it gives is the port of the edge, and the inbox of the other members.
 */
import { HakiriError } from '../../lib/error.ts'
import type { Image } from '../image/image.ts'
import type { KvLimits } from '../kv/types.ts'
import type { Wal, WalIdentity, WalObserver, WalRecovery } from '../wal/wal.ts'
import { createDriver, tooOld } from './driver.ts'
import { readIdentity, writeIdentity } from './identity-file.ts'
import type { Identity } from './identity-file.ts'
import { clusterIdOf, firstMemberId } from './ids.ts'
import { createNodePort } from './node-port.ts'
import type { Member } from './node.ts'
import { ELECTION_MS, HEARTBEAT_MS, SLOW_SYNC_MS } from './options.ts'
import type { Boot, NodeOptions, OpenedNode } from './options.ts'
import { PROTOCOLS } from './protocol.ts'
import { createReplica } from './replica.ts'
import { createStateLoader, firstImage, firstLog, fitLog, joiningImage } from './state.ts'
import { DEFAULT_LIMITS, DEFAULT_TUNING, DEFAULT_WINDOWS } from './tuning.ts'
import type { LoadedState, ReplicaConfig } from './types.ts'

type Disks = { readonly wal: Wal; readonly recovery: WalRecovery; readonly image: Image }

/** Rejects with a HakiriError when the folder cannot be used; afterwards `failed` tells. */
export async function openNode(options: NodeOptions): Promise<OpenedNode> {
  const { storage } = options
  const limits = DEFAULT_LIMITS
  const identity = await identify(options)
  const walIdentity: WalIdentity = identity
  const observer = watchSyncs(options)
  const image = await storage.openImage()
  let wal: Wal | undefined
  try {
    const disks = await openDisks(options, identity, walIdentity, observer, image)
    ;({ wal } = disks)
    const state = await loadState(image, limits)
    if (state.level > PROTOCOLS.max) throw tooOld(state.level)
    const { repair, ...log } = fitLog(disks.recovery, state)
    if (repair) await disks.wal.append(repair)
    const config = configure(options, identity, limits)
    const replica = createReplica(config, { ...log, state, formation: identity.formation })
    const driver = createDriver({
      options,
      replica,
      wal: disks.wal,
      image,
      tickMs: config.tickMs,
      electionMs: config.raft.electionTicks * config.tickMs,
      limits,
      keepFormation: (formation) =>
        writeIdentity(options.folder, { ...identity, isComplete: true, formation }),
      onTick: () => port.tick(),
    })
    const port = createNodePort({
      options,
      identity,
      replica,
      driver,
      wal: disks.wal,
      config,
    })
    driver.start(
      options.openTransport(driver.inbox, {
        clusterId: identity.clusterId,
        memberId: identity.memberId,
        protocols: () => replica.protocols(),
      }),
    )
    return port.node
  } catch (error) {
    await wal?.close()
    await image.close()
    throw error
  }
}

/** Who this folder belongs to; an empty one is given its owner here, before anything else is written. */
async function identify({ folder, boot, random, logger }: NodeOptions): Promise<Identity> {
  const found = await readIdentity(folder)
  const wanted = bootIds(boot)
  if (found) {
    const isExpected = [found, found.knownAs].some(
      (ids) => ids?.memberId === wanted.memberId && ids.clusterId === wanted.clusterId,
    )
    if (!isExpected)
      logger.log('warn', 'the data folder knows its cluster; what was asked for is not obeyed', {
        member: found.memberId.toString(16),
        cluster: found.clusterId.toString(16),
      })
    return found
  }
  const identity: Identity = {
    ...wanted,
    isComplete: false,
    formation: {
      life: drawLife(() => random.float()),
      isFormed: boot.kind === 'join',
      lives: new Map(),
    },
  }
  await writeIdentity(folder, identity)
  return identity
}

function drawLife(float: () => number): bigint {
  return (BigInt(Math.floor(float() * 2 ** 32)) << 31n) | BigInt(1 + Math.floor(float() * 2 ** 30))
}

function bootIds(boot: Boot): Pick<Identity, 'clusterId' | 'memberId'> {
  if (boot.kind === 'join') return boot
  const { token, peerUrls, self } = boot
  return { clusterId: clusterIdOf(token, peerUrls), memberId: firstMemberId(token, self) }
}

function bootMembers(boot: Boot): readonly Member[] {
  if (boot.kind === 'join') return boot.members
  return boot.peerUrls.map((url) => ({
    id: firstMemberId(boot.token, url),
    name: '',
    peerUrls: [url],
    clientUrls: [],
    isLearner: false,
  }))
}

/** A folder whose owner is complete has both log and image; anything less was lost (M2). */
async function openDisks(
  options: NodeOptions,
  identity: Identity,
  walIdentity: WalIdentity,
  observer: WalObserver,
  image: Image,
): Promise<Disks> {
  const { storage, folder, boot } = options
  const opened = await storage.openWal(walIdentity, observer)
  if (opened && image.mark) {
    if (!identity.isComplete) await writeIdentity(folder, { ...identity, isComplete: true })
    return { ...opened, image }
  }
  if (identity.isComplete || opened) {
    await opened?.wal.close()
    const what = opened ? 'its image' : 'its log'
    throw new HakiriError('MEMBER_LOST_DISK', `the data folder ${folder} has lost ${what}`, {
      suggestion: 'Replace this member: hakiri ctl member replace.',
    })
  }
  const members = bootMembers(boot)
  const first = boot.kind === 'form' ? firstImage(members) : joiningImage(members)
  await image.write(first)
  await image.sync()
  const { hardState } = firstLog(first.mark)
  const wal = await storage.createWal(walIdentity, { mark: first.mark, hardState }, observer)
  await writeIdentity(folder, { ...identity, isComplete: true })
  const recovery: WalRecovery = {
    identity: walIdentity,
    hardState,
    mark: first.mark,
    entries: [],
    cutBytes: 0,
  }
  return { wal, recovery, image }
}

async function loadState(image: Image, limits: KvLimits): Promise<LoadedState> {
  const loader = createStateLoader(limits)
  for await (const portion of image.load(new AbortController().signal)) loader.add(portion)
  return loader.finish(image.mark ?? joiningImage([]).mark)
}

function configure(options: NodeOptions, identity: Identity, limits: KvLimits): ReplicaConfig {
  const { random, attributes, tuning, quotaBytes } = options
  const tickMs = options.heartbeatMs ?? HEARTBEAT_MS
  const electionTicks = Math.max(2, Math.round((options.electionMs ?? ELECTION_MS) / tickMs))
  const lot = (): number => 1 + Math.floor(random.float() * 2 ** 48)
  return {
    clusterId: identity.clusterId,
    tickMs,
    origin: lot(),
    random: () => random.float(),
    limits,
    ...(quotaBytes !== undefined && { quotaBytes }),
    attributes,
    tuning: { ...DEFAULT_TUNING, ...tuning },
    raft: {
      self: identity.memberId,
      electionTicks,
      heartbeatTicks: 1,
      random: () => random.float(),
      firstContext: lot(),
      ...DEFAULT_WINDOWS,
    },
  }
}

/** A disk that is slow shows: as a metric, and as a line, but not as a flood of them. */
function watchSyncs({ observer, logger, clock }: NodeOptions): WalObserver {
  let quietUntilMs = Number.NEGATIVE_INFINITY
  return {
    onSync(durationMs, batches, bytes) {
      observer?.onWalSync?.(durationMs, batches, bytes)
      const nowMs = clock.monotonic()
      if (durationMs < SLOW_SYNC_MS || nowMs < quietUntilMs) return
      quietUntilMs = nowMs + 10_000
      logger.log('warn', 'the disk is slow: a sync of the log took long', {
        durationMs: Math.round(durationMs),
        bytes,
      })
    },
  }
}

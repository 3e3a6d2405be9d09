/**
 * The one loop of a node: what comes in changes the replica at once; a turn later, when everything that
 * was ready has come in, its effects are carried out. Nothing here decides anything. While a sync is
 * under way further turns go on: messages are answered, heartbeats leave, new portions queue up.
 */
import { AssertionFailure } from '../../lib/assert.ts'
import { HakiriError, toHakiriError } from '../../lib/error.ts'
import type { SnapshotMark } from '../raft/types.ts'
import type { Image, ImageView } from '../image/image.ts'
import type { Wal } from '../wal/wal.ts'
import { createDiskWork } from './disk-work.ts'
import type { DiskWork } from './disk-work.ts'
import type { NodeOptions } from './options.ts'
import { PROTOCOLS } from './protocol.ts'
import { createRequests } from './requests.ts'
import { workShare } from './slices.ts'
import { takeSnapshot } from './snapshot-inbox.ts'
import type { PeerInbox, Transport } from './transport.ts'
import type { Effect, Formation, Replica, Request, Result } from './types.ts'
import { NodeError } from './node.ts'

export type Driver = {
  readonly inbox: PeerInbox
  readonly failed: Promise<never>
  isRunning(): boolean
  start(transport: Transport): void
  ask(request: Request, signal: AbortSignal): Promise<Result>
  /** Everything applied by now is in it. */
  view(): Promise<ImageView>
  stop(signal: AbortSignal): Promise<void>
}

export type DriverParts = {
  readonly options: NodeOptions
  readonly replica: Replica
  readonly wal: Wal
  readonly image: Image
  readonly tickMs: number
  readonly electionMs: number
  readonly limits: Parameters<typeof takeSnapshot>[3]
  readonly keepFormation: (formation: Formation) => Promise<void>
  readonly onTick: () => void
}

export function createDriver(parts: DriverParts): Driver {
  const { options, replica, wal, image } = parts
  const { clock, scheduler, logger, observer = {} } = options
  const requests = createRequests()
  const ending = Promise.withResolvers<never>()
  ending.promise.catch(() => undefined)
  const snapshotsOut = new AbortController()
  let transport: Transport | undefined
  let state: 'new' | 'running' | 'stopping' | 'failed' | 'closed' = 'new'
  let isTurnDue = false
  let isTakingSnapshot = false
  let ticking: Disposable | undefined
  let turnsWaiting: (() => void)[] = []

  const now = (): number => clock.monotonic()
  const isLive = (): boolean => state === 'running' || state === 'stopping'

  const fail = (error: unknown): void => {
    if (!isLive()) return
    state = 'failed'
    ticking?.[Symbol.dispose]()
    snapshotsOut.abort()
    replica.stopRequests()
    for (const effect of replica.takeEffects())
      if (effect.kind === 'answer') requests.settle(effect.request, effect.result)
    ending.reject(toHakiriError(error, 'INTERNAL'))
  }

  const disk: DiskWork = createDiskWork(wal, image, now, {
    onPersisted: ({ number, thenSend }) => {
      if (!isLive()) return
      for (const { to, message } of thenSend) transport?.send(to, message)
      replica.persisted(number, now())
      wake()
    },
    onImageWritten: (mark, durationMs) => {
      if (!isLive()) return
      observer.onImageWrite?.(durationMs)
      replica.imageWritten(mark, now())
      wake()
    },
    onFailure: fail,
  })

  const wake = (): void => {
    if (isTurnDue) return
    isTurnDue = true
    scheduler.soon(turn)
  }

  const turn = (): void => {
    isTurnDue = false
    if (isLive()) work()
    const done = turnsWaiting
    turnsWaiting = []
    for (const resolve of done) resolve()
  }

  const work = (): void => {
    const appliedBefore = replica.applied
    const from = now()
    workShare(replica, now, isLive, carryOut)
    const entries = replica.applied - appliedBefore
    if (entries > 0) observer.onApply?.(now() - from, entries)
    if (replica.hasWork()) wake()
  }

  const carryOut = (effects: readonly Effect[]): void => {
    let answered = 0
    for (const effect of effects) {
      if (!isLive()) return
      switch (effect.kind) {
        case 'send':
          transport?.send(effect.to, effect.message)
          break
        case 'answer':
          if (effect.result.kind === 'applied') answered++
          requests.settle(effect.request, effect.result)
          break
        case 'persist':
          disk.persist(effect)
          break
        case 'image':
          disk.image(effect)
          break
        case 'release':
          disk.release(effect)
          break
        case 'send-snapshot':
          sendSnapshot(effect).catch(fail)
          break
        case 'install':
          // Raised within `receiveSnapshot`, which goes on with it.
          disk.holdLog()
          break
        case 'members':
          transport?.setMembers(effect.members)
          break
        case 'form':
          keepFormation(effect.formation).catch(fail)
          break
        case 'stop':
          fail(stopError(effect))
      }
    }
    if (answered > 0) observer.onProposalApplied?.(answered)
  }

  const keepFormation = async (formation: Formation): Promise<void> => {
    await parts.keepFormation(formation)
    if (!isLive()) return
    replica.formed(now())
    wake()
  }

  const sendSnapshot = async (
    effect: Extract<Effect, { readonly kind: 'send-snapshot' }>,
  ): Promise<void> => {
    let isDelivered = false
    try {
      await using view = await disk.view(effect.image)
      const message = { ...effect.message, mark: view.mark }
      isDelivered =
        (await transport?.sendSnapshot(effect.to, message, view, snapshotsOut.signal)) ?? false
      if (isDelivered) observer.onSnapshotSent?.()
    } catch (error) {
      if (error instanceof AssertionFailure) throw error
      logger.log('warn', 'a snapshot could not be sent', {
        to: effect.to,
        error: String(error),
      })
    }
    if (!isLive()) return
    replica.snapshotSent(effect.to, isDelivered, now())
    wake()
  }

  const receiveSnapshot: PeerInbox['receiveSnapshot'] = async (_from, message, records) => {
    if (state !== 'running' || isTakingSnapshot) return false
    isTakingSnapshot = true
    disk.holdImage()
    let installed: SnapshotMark | undefined
    let isAccepted = false
    const isWanted = (): boolean => {
      if (state !== 'running') return false
      isAccepted = replica.snapshotArrived(message, now())
      carryOut(replica.takeEffects())
      return isAccepted
    }
    try {
      const loaded = await disk.withImage((held) =>
        takeSnapshot(held, message.mark, records, parts.limits, isWanted),
      )
      if (loaded && isLive()) {
        installed = loaded.mark
        replica.snapshotInstalled(loaded, now())
        logger.log('info', 'a snapshot was installed', { index: loaded.mark.index })
      }
      return loaded !== undefined
    } catch (error) {
      if (isAccepted) fail(error)
      throw error
    } finally {
      isTakingSnapshot = false
      if (isLive()) disk.resume(installed)
      wake()
    }
  }

  const tick = (): void => {
    if (!isLive()) return
    replica.tick(now())
    parts.onTick()
    wake()
  }

  const passed = (): Promise<void> =>
    new Promise((resolve) => {
      turnsWaiting.push(resolve)
      wake()
    })

  const view = async (): Promise<ImageView> => {
    if (state !== 'running') throw new NodeError('stopped')
    const index = replica.applied
    await flush()
    // A node that failed meanwhile may not have written it.
    if (!isLive()) throw new NodeError('stopped')
    return disk.view(index)
  }

  /** One batch may be under way that began before; the one after it has everything. */
  const flush = async (): Promise<void> => {
    for (let batch = 0; batch < 2; batch++) {
      replica.flushImage()
      await passed()
      await disk.drain()
    }
  }

  const handOver = async (signal: AbortSignal): Promise<void> => {
    const isLeading = (): boolean => replica.raftStatus().role === 'leader'
    if (!isLeading() || !replica.stepAside()) return
    const until = now() + parts.electionMs
    while (isLive() && isLeading() && now() < until && !signal.aborted) {
      wake()
      await clock.sleep(Math.min(20, parts.tickMs)).catch(() => undefined)
    }
  }

  return {
    inbox: {
      receive(from, message) {
        if (!isLive()) return
        replica.receive(from, message, now())
        wake()
      },
      greeted(from, protocols) {
        if (isLive()) replica.greeted(from, protocols, now())
      },
      receiveSnapshot,
      isRemoved: (member) => replica.isRemoved(member),
      removedBy(member) {
        if (!isLive()) return
        replica.removedBy(member, now())
        wake()
      },
      gone(member) {
        if (!isLive()) return
        replica.gone(member, now())
        wake()
      },
    },
    failed: ending.promise,
    isRunning: () => state === 'running',
    start(opened) {
      transport = opened
      state = 'running'
      ticking = scheduler.every(parts.tickMs, tick)
      wake()
    },
    ask(what, signal) {
      if (signal.aborted) return Promise.reject(new NodeError('cancelled'))
      if (state !== 'running') return Promise.reject(new NodeError('stopped'))
      const { request, result } = requests.open()
      replica.submit(request, what, now())
      wake()
      return result
    },
    view,
    async stop(signal) {
      if (state === 'closed') return
      if (state === 'running') {
        await handOver(signal)
        if (isLive()) state = 'stopping'
        replica.stopRequests()
        await flush()
      }
      ticking?.[Symbol.dispose]()
      snapshotsOut.abort()
      await transport?.close()
      await disk.drain()
      const isSound = state === 'stopping'
      if (isSound) await image.sync()
      state = 'closed'
      // After a failure there may be nothing left to close in order.
      for (const closing of [wal.close(), image.close()])
        await closing.catch((error: unknown) => {
          if (isSound) throw error
        })
    },
  }
}

function stopError({ reason }: Extract<Effect, { readonly kind: 'stop' }>): HakiriError {
  if (reason.kind === 'removed')
    return new HakiriError('MEMBER_REMOVED', 'this member was removed from the cluster', {
      suggestion: 'To join again, start with an empty data folder and --join.',
    })
  if (reason.kind === 'too-old') return tooOld(reason.level)
  return new HakiriError(
    'MEMBER_LOST_DISK',
    `the data folder is empty, but member ${reason.toldBy.toString(16)} has met this member with another disk`,
    {
      suggestion:
        'Run `hakiri ctl member replace` on a running member, then start this one with --join.',
    },
  )
}

/** What the cluster has come to, this program cannot read: only a newer one can go on with the folder. */
export function tooOld(level: number): HakiriError {
  return new HakiriError(
    'DATA_FOREIGN',
    `the cluster has come to protocol ${level}, this program speaks up to ${PROTOCOLS.max}`,
    { suggestion: 'Start the newer Hakiri that the other members run on the same folder.' },
  )
}

/**
 * The two streams of the client without a wire: renewals and watches. Answers come a turn later, as
 * they would over a wire, so that nobody is called back from within their own call.
 */
import type { LeaseKeepAliveResponse, WatchResponse } from '../../proto/gen/rpc.ts'
import type { StreamHandlers } from '../client/link.ts'
import type { SessionParts } from '../client/session.ts'
import type { WatchParts } from '../client/watch.ts'
import { CoordError } from '../client/client.ts'
import { STATUS } from '../../lib/grpc-status.ts'
import type { WatchAnswer } from '../kv/watch-types.ts'
import type { Engine } from './engine.ts'

const ANSWER_BYTES_MAX = 1024 * 1024

/** Streams of renewals for `keepSession`. */
export function renewalStreams(engine: Engine): SessionParts['openRenewals'] {
  return (to) => {
    const life = startLife(engine, to)
    const send = ({ id }: { readonly id: bigint }): void =>
      queueMicrotask(() => {
        if (!life.isOver()) to.onAnswer(renewal(engine, id))
      })
    return settled(engine, { ...NO_FLOW, send, cancel: life.stop, blame: life.stop })
  }
}

/** Streams of one watch each for `openWatch`. */
export function watchStreams(engine: Engine): WatchParts['openStream'] {
  return (to) => {
    let isPaused = false
    const pump = (): void => {
      while (!isPaused && !life.isOver()) {
        const answer = stream.take(ANSWER_BYTES_MAX)
        if (!answer) return
        to.onAnswer(responseOf(answer))
      }
    }
    const stream = engine.hub.open(() => queueMicrotask(pump))
    const life = startLife(engine, to, () => stream[Symbol.dispose]())
    return settled(engine, {
      ...NO_FLOW,
      send({ createRequest }) {
        if (!createRequest) return
        stream.create({
          key: createRequest.key ?? EMPTY,
          rangeEnd: createRequest.rangeEnd ?? EMPTY,
          startRevision: createRequest.startRevision ?? 0,
          withPrevKv: createRequest.prevKv ?? false,
          skipPuts: false,
          skipDeletes: false,
          progressNotify: createRequest.progressNotify ?? false,
          watchId: 0,
        })
      },
      pause: () => void (isPaused = true),
      resume() {
        isPaused = false
        queueMicrotask(pump)
      },
      cancel: life.stop,
      blame: life.stop,
    })
  }
}

const EMPTY = new Uint8Array(0)
const nothing = (): void => undefined
const NO_FLOW = { finish: nothing, pause: nothing, resume: nothing }

type Life = { readonly isOver: () => boolean; readonly stop: () => void }

/** A stream ends when its client cancels it, silently, or with the engine, which it is told. */
function startLife(engine: Engine, to: StreamHandlers<never>, onStop = nothing): Life {
  let isOver = false
  const stop = (): void => {
    if (isOver) return
    isOver = true
    engine.ended.removeEventListener('abort', onEnd)
    onStop()
  }
  const onEnd = (): void => {
    if (isOver) return
    stop()
    to.onEnd(closedError())
  }
  engine.ended.addEventListener('abort', onEnd, { once: true })
  return { isOver: () => isOver, stop }
}

function settled<T>(engine: Engine, stream: T): Promise<T> {
  return engine.ended.aborted ? Promise.reject(closedError()) : Promise.resolve(stream)
}

/** What a call gets once the engine is gone. */
export function closedError(): CoordError {
  return new CoordError(STATUS.unavailable, 'the coordinator in this process was closed', 'failed')
}

function renewal(engine: Engine, id: bigint): LeaseKeepAliveResponse {
  return { id, ttl: engine.renew(id) }
}

function responseOf(answer: WatchAnswer): WatchResponse {
  const { revision, ...rest } = answer
  const header = { clusterId: 0n, memberId: 0n, revision, raftTerm: 0 }
  return { header, fragment: false, ...rest }
}

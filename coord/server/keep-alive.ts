/**
 * The stream of renewals: many leases, many requests under way, answered in the order in which they
 * were asked. A lease that is gone is answered with a TTL of 0; the stream goes on.
 */
import { duplex } from './stream.ts'
import type { Received, Route } from './route.ts'
import type { StreamControl, StreamHooks } from './stream.ts'
import type { Edge } from './edge.ts'
import { refusalFrom, refusalOf } from './errors.ts'
import type { Refusal } from './errors.ts'
import { leaseService } from '../../proto/gen/rpc.ts'
import type { LeaseKeepAliveRequest } from '../../proto/gen/rpc.ts'
import type { ServerDuplexStream } from '@grpc/grpc-js'

const { leaseKeepAlive } = leaseService

/** One request: filled in when its answer is known, sent when all before it were. */
type Slot = { encoded: Buffer | undefined; refusal: Refusal | undefined }

export function keepAliveRoute(edge: Edge): Route {
  return duplex(edge, leaseKeepAlive, (call, control) => openRenewals(edge, call, control))
}

function openRenewals(
  edge: Edge,
  call: ServerDuplexStream<Received<LeaseKeepAliveRequest>, Buffer>,
  control: StreamControl,
): StreamHooks {
  const { node, signal, limits } = edge
  let waiting: Slot[] = []
  let sent = 0
  let unsent = 0
  let isEnded = false
  const balance = (): void => {
    const isFull = waiting.length - sent + unsent >= limits.renewalsInFlightMax
    if (isFull && !call.isPaused()) call.pause()
    else if (!isFull && call.isPaused()) call.resume()
  }
  const sendSettled = (): void => {
    for (let slot = waiting[sent]; slot; slot = waiting[sent]) {
      if (slot.refusal) return control.end(slot.refusal)
      if (!slot.encoded) break
      sent += 1
      unsent += 1
      control.write(slot.encoded)
    }
    if (sent === waiting.length || sent > limits.renewalsInFlightMax) {
      waiting = waiting.slice(sent)
      sent = 0
    }
    if (isEnded && waiting.length === 0) control.end()
  }
  const renew = (slot: Slot, id: bigint): void => {
    node.renew(id, signal).then(
      ({ ttl, header }) => {
        slot.encoded = leaseKeepAlive.responseSerialize({ header, id, ttl })
        sendSettled()
      },
      (error: unknown) => {
        slot.refusal = refusalFrom(error)
        sendSettled()
      },
    )
  }
  call.on('data', ({ message }: Received<LeaseKeepAliveRequest>) => {
    if (!message) return control.end(refusalOf('request-too-large'))
    const slot: Slot = { encoded: undefined, refusal: undefined }
    waiting.push(slot)
    balance()
    renew(slot, message.id)
  })
  call.on('end', () => {
    isEnded = true
    sendSettled()
  })
  return {
    onSent: () => {
      unsent -= 1
      balance()
    },
    onClose: () => {
      waiting = []
      sent = 0
    },
  }
}

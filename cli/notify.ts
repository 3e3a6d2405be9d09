/**
 * What a service tells systemd: that it is ready, reloads, stops, lives (sd_notify(3), Type=notify and
 * WatchdogSec=). Nothing happens where nobody asked. A sign of life
 * is a turn of the event loop: a process that hangs sends none and is replaced.
 */
import { toHakiriError } from '../lib/error.ts'
import { loadLibc } from './libc.ts'

export type Notifier = Disposable & {
  /** All that `Type=notify` waits for is done. */
  ready(status: string): void
  /** `ready` ends it. */
  reloading(): void
  /** `ms`: how long the end may take, when that is more than the unit allows. */
  stopping(ms?: number): void
}

type Env = Readonly<Record<string, string | undefined>>

/** Sends to a socket; true when it was taken. */
export type SendDatagram = (address: string, text: string) => boolean

/** The signs of life are this part of the period that systemd waits for. */
const SIGNS_PER_PERIOD = 3

export async function openNotifier(env: Env = process.env, send?: SendDatagram): Promise<Notifier> {
  const address = env['NOTIFY_SOCKET']
  if (!address) return SILENT
  const deliver = send ?? (await loadLibc().catch(refuse)).sendDatagram
  return createNotifier(address, watchdogMs(env, process.pid), deliver)
}

/** Better to end with the reason than to be waited for in vain. */
function refuse(error: unknown): never {
  throw toHakiriError(error, 'ENGINE_UNAVAILABLE', 'systemd waits for word and cannot be told')
}

const SILENT: Notifier = {
  ready: () => undefined,
  reloading: () => undefined,
  stopping: () => undefined,
  [Symbol.dispose]: () => undefined,
}

/** The period of the watchdog of this process; undefined: there is none. */
export function watchdogMs(env: Env, pid: number): number | undefined {
  const us = Number(env['WATCHDOG_USEC'])
  const isOurs = env['WATCHDOG_PID'] === undefined || Number(env['WATCHDOG_PID']) === pid
  return isOurs && Number.isSafeInteger(us) && us > 0 ? us / 1000 : undefined
}

function createNotifier(
  address: string,
  periodMs: number | undefined,
  send: SendDatagram,
): Notifier {
  const say = (...lines: readonly string[]): void => void send(address, lines.join('\n'))
  const timer =
    periodMs === undefined
      ? undefined
      : setInterval(() => say('WATCHDOG=1'), periodMs / SIGNS_PER_PERIOD)
  timer?.unref()
  return {
    ready: (status) => say('READY=1', `STATUS=${status}`),
    reloading: () => say('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping: (ms) =>
      say(
        'STOPPING=1',
        'STATUS=stopping',
        ...(ms === undefined ? [] : [`EXTEND_TIMEOUT_USEC=${Math.ceil(ms * 1000)}`]),
      ),
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

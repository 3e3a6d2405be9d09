/**
 * Makes this Node process dial the hosts of a proxy lab through its fault proxy: whatever connects, by
 * `net`, `tls`, `http2`, fetch or a package on top of them, goes through `Socket.connect`. The proxy dials
 * the other host first; so a refused or hanging dial looks like one here.
 */
import { Socket } from 'node:net'

export type DialSettings = {
  /** Name of the host that this process is on. */
  readonly host: string
  readonly address: string
  /** What the addresses of all hosts of the lab begin with. */
  readonly prefix: string
  /** Port of loopback at which the proxy takes requests. */
  readonly gatePort: number
}

/** One line to the proxy, and its one line back. */
export type DialRequest = { readonly from: string; readonly address: string; readonly port: number }
export type DialAnswer =
  | { readonly kind: 'through'; readonly port: number }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }

type ConnectOptions = {
  readonly host?: string
  readonly port?: number | string
  readonly localAddress?: string
}
type Dial = { readonly options: ConnectOptions; readonly tell: (() => void) | undefined }
type Connect = (this: Socket, ...args: unknown[]) => Socket

/** In force until it is disposed of. */
export function dialThrough(settings: DialSettings): Disposable {
  // oxlint-disable-next-line typescript/unbound-method -- it is called with the socket each time
  const original = Socket.prototype.connect as Connect
  let isOn = true
  const patched: Connect = function (...args) {
    const dial = isOn ? readDial(args) : undefined
    const { host, port, localAddress, ...rest } = dial?.options ?? {}
    if (!dial || !host?.startsWith(settings.prefix) || host === settings.address)
      return original.apply(this, args)
    // The proxy itself dials with the address of a host, and directly.
    if (localAddress?.startsWith(settings.prefix)) return original.apply(this, args)
    if (dial.tell) this.once('connect', dial.tell)
    // What is written before it is connected waits, as it does while a name is looked up.
    Object.assign(this, { connecting: true })
    const request = { from: settings.host, address: host, port: Number(port) }
    askGate(original, settings.gatePort, request, this).then(
      (answer) => {
        if (this.destroyed) return
        if (answer.kind === 'through')
          original.call(this, { ...rest, host: '127.0.0.1', port: answer.port })
        else
          this.destroy(Object.assign(new Error(answer.message), { code: answer.code, ...request }))
      },
      (error: Error) => this.destroy(error),
    )
    return this
  }
  Socket.prototype.connect = patched
  return {
    [Symbol.dispose]: () => {
      isOn = false
      // Somebody may have patched it after us; then it only passes on.
      // oxlint-disable-next-line typescript/unbound-method -- it is compared only
      if (Object.is(Socket.prototype.connect, patched)) Socket.prototype.connect = original
    },
  }
}

/** The ways in which `connect` is called; undefined for a path. */
function readDial(args: readonly unknown[]): Dial | undefined {
  const [first, ...more] = Array.isArray(args[0]) ? (args[0] as readonly unknown[]) : args
  const tell = more.find((one) => typeof one === 'function') as (() => void) | undefined
  if (typeof first === 'object' && first !== null) return { options: first, tell }
  const host = typeof more[0] === 'string' ? more[0] : 'localhost'
  return Number.isInteger(Number(first))
    ? { options: { port: Number(first), host }, tell }
    : undefined
}

/** The request ends with the socket that waits for it: who gives up is not dialed for. */
function askGate(
  connect: Connect,
  port: number,
  request: DialRequest,
  waiting: Socket,
): Promise<DialAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<DialAnswer>()
  const gate = new Socket()
  let text = ''
  gate.setEncoding('utf8').on('data', (part: string) => {
    text += part
    if (text.endsWith('\n')) resolve(JSON.parse(text) as DialAnswer)
  })
  gate.once('error', reject)
  gate.once('close', () => reject(new Error('the fault proxy has closed')))
  waiting.once('close', () => gate.destroy())
  connect.call(gate, { host: '127.0.0.1', port })
  gate.write(`${JSON.stringify(request)}\n`)
  return promise.finally(() => gate.destroy())
}

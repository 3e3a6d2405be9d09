import test from 'ava'
import koffi from 'koffi'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadLibc, socketAddress } from './libc.ts'
import { openNotifier, watchdogMs } from './notify.ts'

test('what systemd waits for is said in its words', async (t) => {
  const said: string[] = []
  const send = (address: string, text: string): boolean => said.push(`${address} ${text}`) > 0
  using notifier = await openNotifier({ NOTIFY_SOCKET: '/n' }, send)
  notifier.ready('listens')
  notifier.reloading()
  notifier.stopping(1_500)
  t.deepEqual(
    said.map((text) => text.replaceAll(/\d{4,}/g, 'N')),
    [
      '/n READY=1\nSTATUS=listens',
      '/n RELOADING=1\nMONOTONIC_USEC=N',
      '/n STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=N',
    ],
  )
})

test('nothing is said where nobody listens', async (t) => {
  using notifier = await openNotifier({}, () => t.fail())
  notifier.ready('')
  t.pass()
})

test('signs of life come while the event loop turns', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>()
  let signs = 0
  const send = (_: string, text: string): boolean => {
    if (text === 'WATCHDOG=1' && ++signs === 3) resolve()
    return true
  }
  const env = { NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '30000' }
  const awake = setInterval(() => undefined, 1_000)
  using _notifier = await openNotifier(env, send)
  await promise
  clearInterval(awake)
  t.is(signs, 3)
})

test('the watchdog of another process is none of ours', (t) => {
  t.is(watchdogMs({ WATCHDOG_USEC: '2000000', WATCHDOG_PID: '7' }, 7), 2_000)
  t.is(watchdogMs({ WATCHDOG_USEC: '2000000', WATCHDOG_PID: '8' }, 7), undefined)
  t.is(watchdogMs({ WATCHDOG_USEC: 'soon' }, 7), undefined)
  t.is(watchdogMs({}, 7), undefined)
})

test('an address of a socket is what unix(7) says', (t) => {
  t.deepEqual([...socketAddress('/a')!], [1, 0, 47, 97, 0])
  t.deepEqual([...socketAddress('@a')!], [1, 0, 0, 97])
  t.is(socketAddress('a'), undefined)
  t.is(socketAddress(`/${'a'.repeat(108)}`), undefined)
})

const onLinux = process.platform === 'linux' ? test : test.skip

onLinux('a datagram reaches the socket that it is sent to', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-notify-'))
  const path = join(folder, 'socket')
  using listener = listen(path)
  const { sendDatagram } = await loadLibc()
  t.false(sendDatagram(join(folder, 'none'), 'READY=1'))
  t.true(sendDatagram(path, 'READY=1'))
  t.is(listener.heard(), 'READY=1')
  await rm(folder, { recursive: true })
})

/** A socket for datagrams, which the runtime has none of; what was sent to it on this machine is there at once. */
function listen(path: string): Disposable & { heard(): string } {
  const library = koffi.load(null)
  const socket = library.func('int socket(int domain, int type, int protocol)')
  const bind = library.func('int bind(int socket, const void *address, uint32_t size)')
  const recv = library.func('int64_t recv(int socket, void *data, size_t length, int flags)')
  const close = library.func('int close(int file)')
  const [unixDomain, datagrams, dontWait] = [1, 2, 0x40]
  const file = Number(socket(unixDomain, datagrams, 0))
  const address = socketAddress(path)!
  if (bind(file, address, address.length) !== 0) throw new Error(`cannot listen at ${path}`)
  return {
    heard() {
      const data = Buffer.alloc(999)
      return data.toString('utf8', 0, Number(recv(file, data, data.length, dontWait)))
    },
    [Symbol.dispose]: () => void close(file),
  }
}

import test from 'ava'
import { once } from 'node:events'
import { spawn } from 'node:child_process'
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

test('a datagram reaches the socket that it is sent to', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-notify-'))
  const path = join(folder, 'socket')
  // The runtime has no such sockets, so that another program listens.
  const listener = spawn('python3', [
    '-c',
    'import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\nprint("up",flush=True)\nprint(s.recv(999).decode(),flush=True)',
    path,
  ])
  await once(listener.stdout, 'data')
  const { sendDatagram } = await loadLibc()
  t.false(sendDatagram(join(folder, 'none'), 'READY=1'))
  const heard = once(listener.stdout, 'data')
  t.true(sendDatagram(path, 'READY=1'))
  t.is(String((await heard)[0]).trim(), 'READY=1')
  await rm(folder, { recursive: true })
})

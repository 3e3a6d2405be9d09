/** The gate of the fault proxy: programs that ask it to dial are killed at any moment. */
import test from 'ava'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import type { DialAnswer, DialRequest } from './dial-through.ts'
import { startFaultProxy } from './fault-proxy.ts'

const LOOPBACK = '127.0.0.1'
const directory = { addressOf: () => LOOPBACK, nameOf: () => 'server' }

async function ask(gatePort: number, words: string): Promise<Socket> {
  const socket = connect({ port: gatePort, host: LOOPBACK, allowHalfOpen: true })
  await once(socket, 'connect')
  socket.write(words)
  return socket
}

async function answerTo(gatePort: number, request: DialRequest): Promise<DialAnswer> {
  const socket = await ask(gatePort, `${JSON.stringify(request)}\n`)
  return JSON.parse(await text(socket)) as DialAnswer
}

const QUESTION = JSON.stringify({ from: 'client', address: LOOPBACK, port: 1 })

const LEAVE = {
  killed: (socket: Socket) => once(socket.resetAndDestroy(), 'close'),
  done: (socket: Socket) => text(socket.end()),
}

for (const [name, leave] of Object.entries(LEAVE))
  test(`one that is ${name} in the middle of its question harms nobody else`, async (t) => {
    await using server = createServer((socket) => socket.end())
    await once(server.listen(0, LOOPBACK), 'listening')
    await using proxy = await startFaultProxy(directory, () => 0.5)
    const { port } = server.address() as AddressInfo
    for (const part of [QUESTION.slice(0, 9), QUESTION])
      await leave(await ask(proxy.gatePort, part))
    const answer = await answerTo(proxy.gatePort, { from: 'client', address: LOOPBACK, port })
    t.is(answer.kind, 'through')
  })

/**
 * The program that the tests of a lab run on its hosts; it says what it does as lines of JSON:
 *   serve ADDRESS PORT         echoes each line, and sends a line of its own every TICK_MS
 *   beat ADDRESS PORT          sends a numbered line every BEAT_MS over one connection
 *   bulk ADDRESS PORT BYTES    sends so much in one go and waits for its echo
 *   count ADDRESS PORT         counts numbered datagrams until one that says it is the end
 *   flood ADDRESS PORT COUNT   sends so many numbered datagrams, and ends that are many enough to arrive
 */
import { createSocket } from 'node:dgram'
import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

const BEAT_MS = 20
const TICK_MS = 50
const PACE = 50
const ENDS = 20
const RECEIVE_BYTES = 1 << 20

const [mode, address = '', portText = '', amountText = '0'] = process.argv.slice(2)
const port = Number(portText)
const amount = Number(amountText)

const say = (event: string, more: object = {}): void =>
  console.log(JSON.stringify({ event, at: Date.now(), pid: process.pid, ...more }))

function serve(): void {
  const server = createServer((peer) => {
    say('accepted', { from: peer.remoteAddress })
    const ticks = setInterval(() => peer.write('{"tick":true}\n'), TICK_MS)
    peer.setNoDelay(true)
    peer.on('error', ({ message }) => say('error', { message }))
    peer.once('close', () => {
      clearInterval(ticks)
      say('closed')
    })
    createInterface(peer)
      .on('line', (line) => {
        const { n, at } = JSON.parse(line) as { n: number; at: number }
        say('received', { n, tookMs: Date.now() - at })
        peer.write(`${JSON.stringify({ n, at, back: Date.now() })}\n`)
      })
      .on('error', () => undefined)
  })
  server.listen(port, address, () => say('listening'))
}

function dial(): Socket {
  const began = performance.now()
  const socket = connect(port, address, () => say('connected', { ms: performance.now() - began }))
  socket.setNoDelay(true)
  socket.on('error', (error: NodeJS.ErrnoException) => say('failed', { code: error.code }))
  socket.once('close', () => say('closed'))
  return socket
}

function beat(): void {
  const socket = dial()
  let n = 0
  socket.once('connect', () => {
    const beats = setInterval(() => {
      socket.write(`${JSON.stringify({ n: ++n, at: Date.now() })}\n`)
      say('sent', { n })
    }, BEAT_MS)
    socket.once('close', () => clearInterval(beats))
  })
  createInterface(socket)
    .on('line', (line) => {
      const echo = JSON.parse(line) as { tick?: true; n: number; at: number; back: number }
      if (echo.tick) say('tick')
      else say('echo', { n: echo.n, ms: Date.now() - echo.at, backMs: Date.now() - echo.back })
    })
    .on('error', () => undefined)
}

function bulk(): void {
  const socket = dial()
  const line = `${JSON.stringify({ n: 1, at: Date.now(), filling: 'x'.repeat(amount) })}\n`
  socket.write(line)
  createInterface(socket)
    .on('line', (answer) => {
      if (answer.includes('"tick"')) return
      say('done', { bytes: line.length })
      socket.destroy()
    })
    .on('error', () => undefined)
}

function count(): void {
  const seen = new Set<number>()
  let doubled = 0
  let overtaken = 0
  let highest = 0
  const socket = createSocket('udp4')
  socket.on('message', (bytes) => {
    const n = Number(bytes.toString())
    if (n === 0) {
      say('counted', { seen: seen.size, doubled, overtaken })
      socket.close()
      return
    }
    if (seen.has(n)) doubled++
    else if (n < highest) overtaken++
    seen.add(n)
    highest = Math.max(highest, n)
  })
  socket.bind(port, address, () => {
    // What a starved process has not read yet must find room: it would look lost on the way.
    socket.setRecvBufferSize(RECEIVE_BYTES)
    say('listening')
  })
}

/** In small lots, so that no buffer on the way overflows. */
function flood(): void {
  const socket = createSocket('udp4')
  let n = 0
  const lots = setInterval(() => {
    for (let sent = 0; sent < PACE && n < amount; sent++) socket.send(String(++n), port, address)
    if (n < amount) return
    clearInterval(lots)
    setTimeout(() => {
      for (let end = 0; end < ENDS; end++) socket.send('0', port, address)
      say('flooded')
      setTimeout(() => socket.close(), TICK_MS)
    }, TICK_MS)
  }, 5)
}

const MODES = { serve, beat, bulk, count, flood }
MODES[mode as keyof typeof MODES]()

import { once } from 'node:events'
import { mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkServerIdentity, connect as secureConnect } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import test from 'ava'
import { Client, Server, credentials } from '@grpc/grpc-js'
import type { ChannelCredentials, ServiceError } from '@grpc/grpc-js'
import { systemScheduler } from '../../lib/system/clock.ts'
import type { Logger } from '../../lib/ports.ts'
import { healthService } from '../../proto/gen/health.ts'
import { createAuthority, createIdentity } from '../../test/support/certificates.ts'
import type { Authority, Identity } from '../../test/support/certificates.ts'
import { openListener } from './listen.ts'
import type { Listener, ListenParts } from './listen.ts'
import { openTls } from './tls.ts'
import type { TlsSource } from './tls.ts'

type Lab = AsyncDisposable & {
  readonly listener: Listener
  readonly port: number
  readonly lines: string[]
  /** Resolves with the first log line that contains `text`. */
  logged(text: string): Promise<string>
}

function createLog(): Pick<Lab, 'lines' | 'logged'> & { readonly logger: Logger } {
  const lines: string[] = []
  const waiting = new Set<() => void>()
  const logger: Logger = {
    log: (level, message, fields = {}) => {
      lines.push(`${level} ${message} ${Object.values(fields).map(String).join(' ')}`)
      for (const look of waiting) look()
    },
  }
  const logged = (text: string): Promise<string> =>
    new Promise((resolve) => {
      const look = (): void => {
        const line = lines.find((item) => item.includes(text))
        if (line === undefined) return
        waiting.delete(look)
        resolve(line)
      }
      waiting.add(look)
      look()
    })
  return { lines, logged, logger }
}

async function startLab(options: Partial<ListenParts> = {}, log = createLog()): Promise<Lab> {
  const grpc = new Server()
  grpc.addService(healthService, {
    check: (_call: unknown, answer: (error: null, response: object) => void) =>
      answer(null, { status: 1 }),
    watch: (call: { write(message: object): void }) => call.write({ status: 1 }),
  })
  const listener = await openListener({
    host: '127.0.0.1',
    port: 0,
    grpc,
    http: (incoming, response) => response.end(`seen ${incoming.method} ${incoming.url}`),
    logger: log.logger,
    ...options,
    limits: { drainMs: 200, ...options.limits },
  })
  return {
    listener,
    port: listener.port,
    lines: log.lines,
    logged: log.logged,
    [Symbol.asyncDispose]: async () => {
      await listener.close()
      grpc.forceShutdown()
    },
  }
}

async function check(port: number, security?: ChannelCredentials): Promise<number> {
  const client = newClient(port, security)
  try {
    return await checkWith(client)
  } finally {
    client.close()
  }
}

function newClient(port: number, security = credentials.createInsecure()): Client {
  return new Client(`127.0.0.1:${port}`, security, {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.ssl_target_name_override': 'server',
  })
}

function checkWith(client: Client): Promise<number> {
  const { path, requestSerialize, responseDeserialize } = healthService.check
  return new Promise((resolve, reject) => {
    const answer = (error: ServiceError | null, response?: { readonly status: number }): void => {
      if (error) reject(error)
      else resolve(response?.status ?? -1)
    }
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, answer)
  })
}

async function bodyOf(outgoing: ReturnType<typeof request>): Promise<string> {
  const [response] = (await once(outgoing.end(), 'response')) as [AsyncIterable<Buffer>]
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part)
  return Buffer.concat(parts).toString()
}

/** The other end of a connection that has closed here has heard of it too. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

// ── Plain ────────────────────────────────────────────────────────────────────────────────────────

test('one port answers gRPC and HTTP/1.1', async (t) => {
  await using lab = await startLab()
  t.is(await check(lab.port), 1)
  t.is(await bodyOf(request({ port: lab.port, path: '/version' })), 'seen GET /version')
  t.is(await bodyOf(request({ port: lab.port, method: 'PUT', path: '/x' })), 'seen PUT /x')
})

test('requests of HTTP/1.1 that follow each other on one connection are answered', async (t) => {
  await using lab = await startLab()
  const socket = await open(lab.port)
  let text = ''
  const answered = new Promise<void>((resolve) => {
    socket.on('data', (part: Buffer) => {
      text += part.toString()
      if (text.includes('seen GET /three')) resolve()
    })
  })
  for (const path of ['one', 'two', 'three'])
    socket.write(`GET /${path} HTTP/1.1\r\nHost: here\r\n\r\n`)
  await answered
  t.regex(text, /seen GET \/one[^]*seen GET \/two[^]*seen GET \/three/)
  socket.destroy()
})

test('a preface and a request that come byte by byte are understood', async (t) => {
  await using lab = await startLab()
  const write = async (socket: Socket, text: string): Promise<void> => {
    socket.setNoDelay(true)
    for (const byte of text)
      await new Promise<void>((resolve) => {
        socket.write(byte, () => setImmediate(() => setImmediate(resolve)))
      })
  }
  const plain = await open(lab.port)
  await write(plain, 'PUT /x HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n')
  const [answer] = (await once(plain, 'data')) as [Buffer]
  t.regex(answer.toString(), /^HTTP\/1.1 200 OK/)
  const h2 = await open(lab.port)
  await write(h2, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  h2.write(Buffer.from('000000040000000000', 'hex'))
  const [frames] = (await once(h2, 'data')) as [Buffer]
  t.is(frames[3], 4, 'a SETTINGS frame')
  h2.destroy()
})

test('what is neither is told so and closed', async (t) => {
  await using lab = await startLab()
  for (const text of [
    'PRI * HTTP/9.9\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00',
    'GARBAGE\r\n\r\n',
  ]) {
    const socket = await open(lab.port)
    const closed = once(socket.resume(), 'close')
    socket.write(text)
    await closed
  }
  t.is(await check(lab.port), 1)
})

test('a connection that says nothing is closed, one that is used stays', async (t) => {
  await using lab = await startLab({ limits: { handshakeMs: 150 } })
  const client = newClient(lab.port)
  t.is(await checkWith(client), 1)
  const silent = await open(lab.port)
  const partial = await open(lab.port)
  partial.write('PR')
  await Promise.all([once(silent.resume(), 'close'), once(partial.resume(), 'close')])
  await settled()
  t.is(lab.listener.connections(), 1)
  t.is(await checkWith(client), 1)
  client.close()
})

test('probes that reset their connection leave no trace', async (t) => {
  await using lab = await startLab()
  for (let turn = 0; turn < 20; turn++) {
    const socket = await open(lab.port)
    if (turn % 2 === 0) socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    socket.resetAndDestroy()
  }
  t.is(await check(lab.port), 1)
  t.deepEqual(lab.lines, [])
})

test('beyond the limit connections are closed, with one line in the log', async (t) => {
  await using lab = await startLab({ limits: { connectionsMax: 3 } })
  const held = await Promise.all([open(lab.port), open(lab.port), open(lab.port)])
  await check(lab.port).then(
    () => t.fail('a fourth connection was taken'),
    (error: ServiceError) => t.is(error.code, 14),
  )
  t.deepEqual(lab.lines, ['warn no more connections are taken 3'])
  for (const socket of held) socket.destroy()
  await Promise.all(held.map((socket) => once(socket, 'close')))
  t.is(await check(lab.port), 1)
})

test('closing ends idle connections, and those that do not end by themselves', async (t) => {
  const lab = await startLab()
  const client = newClient(lab.port)
  await checkWith(client)
  const silent = await open(lab.port)
  const gone = once(silent.resume(), 'close')
  await lab.listener.close()
  await gone
  await settled()
  t.is(lab.listener.connections(), 0)
  client.close()
})

test('an address that is taken is an error with a name', async (t) => {
  await using lab = await startLab()
  await t.throwsAsync(() => startLab({ port: lab.port }), {
    code: 'LISTEN_FAILED',
    message: /^cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/,
  })
})

// ── TLS ──────────────────────────────────────────────────────────────────────────────────────────

type Files = AsyncDisposable & {
  readonly cert: string
  readonly key: string
  readonly ca: string
  put(identity: Identity, ...authorities: readonly Authority[]): Promise<void>
}

async function createFiles(
  identity: Identity,
  ...authorities: readonly Authority[]
): Promise<Files> {
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-listen-'))
  const files = {
    cert: join(folder, 'cert.pem'),
    key: join(folder, 'key.pem'),
    ca: join(folder, 'ca.pem'),
  }
  const put = async (next: Identity, ...trusted: readonly Authority[]): Promise<void> => {
    const bundle = trusted.map(({ certificate }) => certificate).join('')
    await writeFile(files.ca, bundle)
    await writeFile(files.cert, next.certificate)
    await writeFile(files.key, next.key)
  }
  await put(identity, ...authorities)
  return {
    ...files,
    put,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  }
}

/** Resolves once certificate, key and bundle are the given ones, whatever was read in between. */
function takenBy(tls: TlsSource, identity: Identity, authority: Authority): Promise<void> {
  return new Promise((resolve) => {
    const change = tls.onChange(() => {
      const { cert, key, ca } = tls.current()
      const isTaken =
        cert.toString() === identity.certificate &&
        key.toString() === identity.key &&
        ca?.toString() === authority.certificate
      if (!isTaken) return
      change[Symbol.dispose]()
      resolve()
    })
  })
}

function openFiles({ cert, key, ca }: Files, logger: Logger, pollMs = 60_000): Promise<TlsSource> {
  return openTls({ files: { cert, key, ca }, scheduler: systemScheduler, logger, pollMs })
}

function trust(authority: Authority, identity?: Identity): ChannelCredentials {
  const pem = (text: string | undefined): Buffer | null =>
    text === undefined ? null : Buffer.from(text)
  return credentials.createSsl(
    pem(authority.certificate),
    pem(identity?.key),
    pem(identity?.certificate),
    // TLS cannot name an address, and Node says so at each attempt.
    { checkServerIdentity: (_name, certificate) => checkServerIdentity('127.0.0.1', certificate) },
  )
}

async function subjectSeen(port: number, options: ConnectionOptions): Promise<string> {
  const socket = secureConnect({ port, host: '127.0.0.1', ...options })
  await once(socket, 'secureConnect')
  const { subject } = socket.getPeerCertificate()
  socket.destroy()
  return String(subject.CN)
}

test('with TLS one port answers gRPC and HTTP/1.1, by ALPN', async (t) => {
  const authority = createAuthority('CA')
  await using files = await createFiles(createIdentity(authority, 'server'), authority)
  const log = createLog()
  using tls = await openFiles(files, log.logger)
  await using lab = await startLab({ tls }, log)
  t.is(await check(lab.port, trust(authority)), 1)
  const ca = authority.certificate
  const host = '127.0.0.1'
  t.is(
    await bodyOf(secureRequest({ host, port: lab.port, path: '/health', ca })),
    'seen GET /health',
  )
})

test('mutual TLS refuses whoever has no certificate of the bundle', async (t) => {
  const authority = createAuthority('CA')
  const other = createAuthority('Other CA')
  await using files = await createFiles(createIdentity(authority, 'server'), authority)
  const log = createLog()
  using tls = await openFiles(files, log.logger)
  await using lab = await startLab({ tls, clientAuth: true }, log)
  t.is(await check(lab.port, trust(authority, createIdentity(authority, 'client'))), 1)
  await t.throwsAsync(() => check(lab.port, trust(authority)))
  await t.throwsAsync(() => check(lab.port, trust(authority, createIdentity(other, 'client'))))
})

test('a TLS handshake that is never finished is ended', async (t) => {
  const authority = createAuthority('CA')
  await using files = await createFiles(createIdentity(authority, 'server'), authority)
  const log = createLog()
  using tls = await openFiles(files, log.logger)
  await using lab = await startLab({ tls, limits: { handshakeMs: 150 } }, log)
  const silent = await open(lab.port)
  const partial = await open(lab.port)
  partial.write(Buffer.from('160301', 'hex'))
  await Promise.all([once(silent.resume(), 'close'), once(partial.resume(), 'close')])
  t.is(await check(lab.port, trust(authority)), 1)
})

test('new certificates and a new bundle are taken, and connections stay', async (t) => {
  const [first, second] = [createAuthority('First'), createAuthority('Second')]
  await using files = await createFiles(createIdentity(first, 'old'), first)
  const log = createLog()
  using tls = await openFiles(files, log.logger)
  await using lab = await startLab({ tls, clientAuth: true }, log)
  const held = newClient(lab.port, trust(first, createIdentity(first, 'client')))
  t.is(await checkWith(held), 1)
  const before = lab.listener.connections()

  const renewed = createIdentity(second, 'new')
  const taken = takenBy(tls, renewed, second)
  await files.put(renewed, second)
  await taken
  const newcomer = createIdentity(second, 'client')
  const options = { ca: second.certificate, cert: newcomer.certificate, key: newcomer.key }
  t.is(await subjectSeen(lab.port, options), 'new')
  t.is(await check(lab.port, trust(second, newcomer)), 1)
  await t.throwsAsync(() => check(lab.port, trust(first, createIdentity(first, 'late'))))
  t.is(await checkWith(held), 1, 'the connection of before still works')
  t.true(lab.listener.connections() >= before)
  held.close()
})

test('files that are no good leave the old ones in use, and say so once', async (t) => {
  const authority = createAuthority('CA')
  const [old, next] = [createIdentity(authority, 'old'), createIdentity(authority, 'next')]
  await using files = await createFiles(old, authority)
  const log = createLog()
  using tls = await openFiles(files, log.logger)
  await using lab = await startLab({ tls }, log)
  const seen = (): Promise<string> => subjectSeen(lab.port, { ca: authority.certificate })

  await writeFile(files.cert, next.certificate)
  t.regex(
    await log.logged('does not belong'),
    /^error new certificates are no good; the old ones stay/,
  )
  t.is(await seen(), 'old')
  await writeFile(files.key, next.key.slice(0, 60))
  await log.logged('no valid private key')
  t.is(await seen(), 'old')
  await writeFile(files.key, next.key)
  await log.logged('certificates read anew')
  t.is(await seen(), 'next')
  await writeFile(files.ca, `${authority.certificate}-----BEGIN CERTIFICATE-----\nMIIB`)
  await log.logged('no valid CA certificate')
  await writeFile(files.ca, '')
  await log.logged('holds no certificate')
  await rm(files.ca)
  await log.logged('cannot be read')
  t.is(await seen(), 'next')
})

test('files are found anew when a link turns, and when only polling sees it', async (t) => {
  const authority = createAuthority('CA')
  await using one = await createFiles(createIdentity(authority, 'one'), authority)
  await using two = await createFiles(createIdentity(authority, 'two'), authority)
  const folder = await mkdtemp(join(tmpdir(), 'hakiri-links-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const [current, next] = [join(folder, 'current'), join(folder, 'next')]
  await symlink(join(one.cert, '..'), current)
  const files = { cert: join(current, 'cert.pem'), key: join(current, 'key.pem') }
  const log = createLog()
  // The folder that is watched is the one the link led to: a link that turns is seen by polling.
  using tls = await openTls({ files, scheduler: systemScheduler, logger: log.logger, pollMs: 20 })
  await symlink(join(two.cert, '..'), next)
  await rename(next, current)
  await log.logged('certificates read anew')
  t.is(tls.current().cert.toString(), await readFile(two.cert, 'utf8'))
})

test('certificates that are no good to begin with are an error that names the file', async (t) => {
  const authority = createAuthority('CA')
  const identity = createIdentity(authority, 'server')
  await using files = await createFiles(identity, authority)
  const log = createLog()
  const refused = async (expected: RegExp): Promise<void> => {
    await t.throwsAsync(() => openFiles(files, log.logger), {
      code: 'CONFIG_INVALID',
      message: expected,
    })
  }
  await files.put({ ...identity, key: createIdentity(authority, 'x').key }, authority)
  await refused(/key in .*key\.pem does not belong to the certificate in .*cert\.pem/)
  await files.put({ ...identity, certificate: 'no' }, authority)
  await refused(/cert\.pem holds no valid certificate/)
  await rm(files.key)
  await refused(/key\.pem cannot be read/)
})

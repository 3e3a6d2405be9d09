import { Server, ServerCredentials } from '@grpc/grpc-js'
import test, { type ExecutionContext } from 'ava'
import { systemClock, systemRandom } from '../../lib/system/clock.ts'
import { silentLogger } from '../../lib/system/log.ts'
import { kvService, type PutRequest, type PutResponse } from '../../proto/gen/rpc.ts'
import { createAuthority, createIdentity } from '../../test/support/certificates.ts'
import { type ClientTls, type CoordClient, CoordError } from './client.ts'
import { createCoordClient } from './create.ts'

const PARTS = { clock: systemClock, random: systemRandom, logger: silentLogger }
const authority = createAuthority('the authority of the servers')
const stranger = createAuthority('an authority that nobody trusts')

/** A server over TLS that wants a certificate of its clients and answers puts; gives its port. */
async function startServer(t: ExecutionContext): Promise<number> {
  const { certificate, key } = createIdentity(authority, 'server')
  const ca = Buffer.from(authority.certificate)
  const pair = { cert_chain: Buffer.from(certificate), private_key: Buffer.from(key) }
  const server = new Server()
  const answer = { header: { clusterId: 1n, memberId: 1n, revision: 7, raftTerm: 1 } }
  server.addService(
    { put: kvService.put },
    {
      put: (_call: { readonly request: PutRequest }, done: (e: null, a: PutResponse) => void) =>
        done(null, answer),
    },
  )
  t.teardown(() => server.forceShutdown())
  return await new Promise((resolve, reject) => {
    const credentials = ServerCredentials.createSsl(ca, [pair], true)
    server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
      if (error) reject(error)
      else resolve(port)
    })
  })
}

function newClient(t: ExecutionContext, endpoint: string, tls?: ClientTls): CoordClient {
  const config = { endpoints: [endpoint], attemptMs: 2_000, readMs: 2_000, ...(tls && { tls }) }
  const client = createCoordClient(config, PARTS)
  t.teardown(() => client[Symbol.asyncDispose]())
  return client
}

function tlsOf(trusted = authority, issuer = authority): ClientTls {
  const { certificate, key } = createIdentity(issuer, 'client')
  return {
    ca: Buffer.from(trusted.certificate),
    cert: Buffer.from(certificate),
    key: Buffer.from(key),
  }
}

const key = Buffer.from('a')

test('with mutual TLS a put is answered, with and without https:// in the endpoint', async (t) => {
  const port = await startServer(t)
  for (const scheme of ['', 'https://']) {
    const client = newClient(t, `${scheme}127.0.0.1:${port}`, tlsOf())
    t.is((await client.put({ key })).revision, 7)
  }
})

test('a server that the client does not trust gets nothing, and the error says why', async (t) => {
  const client = newClient(t, `127.0.0.1:${await startServer(t)}`, tlsOf(stranger))
  const error = await t.throwsAsync(client.put({ key }), { instanceOf: CoordError })
  t.like(error, { status: 14, outcome: 'failed' })
  t.regex(error?.message ?? '', /certificate/)
})

test('a client without a certificate, or with one of a stranger, is turned away', async (t) => {
  const endpoint = `127.0.0.1:${await startServer(t)}`
  const { ca } = tlsOf()
  for (const tls of [{ ...(ca && { ca }) }, tlsOf(authority, stranger)]) {
    const client = newClient(t, endpoint, tls)
    await t.throwsAsync(client.put({ key }), { instanceOf: CoordError })
  }
})

test('without TLS a client cannot speak to a server that wants it', async (t) => {
  const port = await startServer(t)
  const client = newClient(t, `http://127.0.0.1:${port}`, tlsOf())
  await t.throwsAsync(client.put({ key }), { instanceOf: CoordError })
})

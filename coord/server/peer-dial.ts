/** The way to one member: its addresses in turn, and always the newest certificates. */
import { connect, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls } from 'node:tls'
import type { PeerCertificate } from 'node:tls'
import { Client, credentials } from '@grpc/grpc-js'
import type { ChannelCredentials, ClientOptions } from '@grpc/grpc-js'
import type { PeerLimits } from './peer-limits.ts'
import { PEER_ALPN } from './peer-wire.ts'
import type { TlsSource } from './tls.ts'

export type Dialer = {
  /** A connection of its own, being made, to the next address. */
  next(): Socket
  /** A client to the address that was tried last; whoever asks for it closes it. */
  client(): Client
  /** The address that was tried last. */
  address(): string
}

/** `urls` are tried one after the other, from the first. */
export function createDialer(
  urls: readonly string[],
  tls: TlsSource | undefined,
  limits: PeerLimits,
): Dialer {
  let turn = -1
  const url = (): string => urls[Math.max(0, turn) % urls.length] ?? ''
  return {
    next: () => {
      turn++
      return connectTo(url(), tls)
    },
    client: () => createClient(url(), tls, limits),
    address: url,
  }
}

function connectTo(url: string, tls: TlsSource | undefined): Socket {
  const { target, isSecure } = parsePeerUrl(url)
  const { host, port } = hostAndPort(target)
  if (!isSecure) return connect({ host, port, noDelay: true })
  const { ca, cert, key } = tls?.current() ?? {}
  const socket = connectTls({
    host,
    port,
    ALPNProtocols: [PEER_ALPN],
    minVersion: 'TLSv1.2',
    // An address cannot be named to the other side; its certificate is checked for it all the same.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca ? { ca } : {}),
    ...(cert && key ? { cert, key } : {}),
  })
  return socket.setNoDelay(true)
}

function hostAndPort(target: string): { readonly host: string; readonly port: number } {
  const [, host = target, port = '0'] = /^(.*):(\d+)$/.exec(target) ?? []
  return { host: host.replaceAll(/[[\]]/g, ''), port: Number(port) }
}

function createClient(url: string, tls: TlsSource | undefined, limits: PeerLimits): Client {
  const { target, isSecure } = parsePeerUrl(url)
  const { security, options } = isSecure
    ? secure(target, tls)
    : { security: credentials.createInsecure(), options: {} }
  return new Client(target, security, {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.primary_user_agent': 'hakiri-peer',
    'grpc.enable_retries': 0,
    'grpc.enable_channelz': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.keepalive_time_ms': limits.keepaliveMs,
    'grpc.keepalive_timeout_ms': limits.keepaliveMs,
    'grpc.enable_http_proxy': 0,
    'grpc.max_send_message_length': -1,
    ...options,
  })
}

function secure(
  target: string,
  tls: TlsSource | undefined,
): { readonly security: ChannelCredentials; readonly options: ClientOptions } {
  const { ca, cert, key } = tls?.current() ?? {}
  const { host } = hostAndPort(target)
  // TLS cannot name an address to the other side; the certificate has to name it all the same.
  const verify =
    isIP(host) === 0
      ? {}
      : {
          checkServerIdentity: (_name: string, certificate: PeerCertificate) =>
            checkServerIdentity(host, certificate),
        }
  return {
    security: credentials.createSsl(ca ?? null, key ?? null, cert ?? null, verify),
    options: isIP(host) === 0 ? {} : { 'grpc.ssl_target_name_override': 'hakiri-member' },
  }
}

/** http://host:port and https://host:port; a bare host:port is taken for http. */
export function parsePeerUrl(url: string): { readonly target: string; readonly isSecure: boolean } {
  const [, scheme = 'http', rest = url] = /^(\w+):\/\/([^/]*)/.exec(url) ?? []
  return { target: rest, isSecure: scheme === 'https' }
}

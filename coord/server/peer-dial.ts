/** Clients to one member: its addresses in turn, and always the newest certificates. */
import { isIP } from 'node:net'
import { checkServerIdentity } from 'node:tls'
import type { PeerCertificate } from 'node:tls'
import { Client, credentials } from '@grpc/grpc-js'
import type { ChannelCredentials, ClientOptions } from '@grpc/grpc-js'
import type { PeerLimits } from './peer-limits.ts'
import type { TlsSource } from './tls.ts'

export type Dialer = {
  /** A fresh client with a connection of its own, to the next address. */
  next(purpose: string): Client
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
  const url = (): string => urls[turn % urls.length] ?? ''
  return {
    next: (purpose) => {
      turn++
      const { target, isSecure } = parsePeerUrl(url())
      const { security, options } = isSecure
        ? secure(target, tls)
        : { security: credentials.createInsecure(), options: {} }
      return new Client(target, security, {
        // Two clients to one address would share a connection otherwise.
        'grpc.use_local_subchannel_pool': 1,
        'grpc.primary_user_agent': `hakiri-peer-${purpose}`,
        'grpc.enable_retries': 0,
        'grpc.enable_channelz': 0,
        'grpc.service_config_disable_resolution': 1,
        'grpc.keepalive_time_ms': limits.keepaliveMs,
        'grpc.keepalive_timeout_ms': limits.keepaliveMs,
        'grpc.keepalive_permit_without_calls': 1,
        'grpc.enable_http_proxy': 0,
        'grpc.max_send_message_length': -1,
        ...options,
      })
    },
    address: url,
  }
}

function secure(
  target: string,
  tls: TlsSource | undefined,
): { readonly security: ChannelCredentials; readonly options: ClientOptions } {
  const { ca, cert, key } = tls?.current() ?? {}
  const host = target.replace(/:\d+$/, '').replaceAll(/[[\]]/g, '')
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

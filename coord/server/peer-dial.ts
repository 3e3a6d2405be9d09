/** Clients to one member: its addresses in turn, and always the newest certificates. */
import { Client, credentials } from '@grpc/grpc-js'
import type { ChannelCredentials } from '@grpc/grpc-js'
import type { PeerLimits } from './peer-limits.ts'
import type { TlsSource } from './tls.ts'

export type Dialer = {
  /** A fresh client with a connection of its own, to the next address. */
  next(purpose: string): Client
  /** The address that was tried last. */
  address(): string
}

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
      const security = isSecure ? secureCredentials(tls) : credentials.createInsecure()
      return new Client(target, security, {
        // Two clients to one address would share a connection otherwise.
        'grpc.use_local_subchannel_pool': 1,
        'grpc.primary_user_agent': `hakiri-peer-${purpose}`,
        'grpc.enable_retries': 0,
        'grpc.service_config_disable_resolution': 1,
        'grpc.keepalive_time_ms': limits.keepaliveMs,
        'grpc.keepalive_timeout_ms': limits.keepaliveMs,
        'grpc.keepalive_permit_without_calls': 1,
        'grpc.enable_http_proxy': 0,
        'grpc.max_send_message_length': -1,
      })
    },
    address: url,
  }
}

function secureCredentials(tls: TlsSource | undefined): ChannelCredentials {
  if (!tls) return credentials.createSsl()
  const { ca, cert, key } = tls.current()
  return credentials.createSsl(ca ?? null, key, cert)
}

/** http://host:port and https://host:port; a bare host:port is taken for http. */
export function parsePeerUrl(url: string): { readonly target: string; readonly isSecure: boolean } {
  const [, scheme = 'http', rest = url] = /^(\w+):\/\/([^/]*)/.exec(url) ?? []
  return { target: rest, isSecure: scheme === 'https' }
}

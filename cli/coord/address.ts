/** Addresses as people write them: "host:port", "[::1]:7701", "http://host:port". */
import { HakiriError } from '../../lib/error.ts'

export type Address = {
  readonly host: string
  readonly port: number
  /** Only where it was written. */
  readonly scheme?: 'http' | 'https'
}

const FORM = /^(?:(https?):\/\/)?(\[[0-9a-fA-F:.%]+\]|[^\s:/[\]]+):(\d{1,5})\/?$/

/** `where` names the flag, variable or key that the text stands in. */
export function parseAddress(text: string, where: string): Address {
  const match = FORM.exec(text.trim())
  const port = Number(match?.[3])
  if (!match || port > 65_535)
    throw new HakiriError('USAGE', `${where}: "${text}" is not an address`, {
      suggestion: 'Write "host:port", such as 10.0.0.1:7701.',
    })
  const [, scheme, host = ''] = match
  return {
    host: host.replaceAll(/[[\]]/g, '').toLowerCase(),
    port,
    ...(scheme === 'http' || scheme === 'https' ? { scheme } : {}),
  }
}

/** The address as a member's url: with the scheme that it names itself, else with `bare`. */
export function memberUrl(text: string, where: string, bare: 'http' | 'https' = 'http'): string {
  const address = parseAddress(text, where)
  return `${address.scheme ?? bare}://${formatAddress(address)}`
}

/** As a client takes it: a scheme that was written decides about TLS, without one the TLS files do. */
export function endpointOf(address: Address): string {
  const { scheme } = address
  return scheme === undefined ? formatAddress(address) : `${scheme}://${formatAddress(address)}`
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/

export function isLoopback({ host }: Address): boolean {
  return LOOPBACK.test(host)
}

/** Every interface at once; no place that others can be sent to. */
export function isWildcard({ host }: Address): boolean {
  return host === '0.0.0.0' || host === '::'
}

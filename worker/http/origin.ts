/**
 * Keeps pages in a browser on the same machine from using the API behind their reader's back. On loopback
 * nobody but this machine can connect, yet a page of any site can have a browser do it: under a name of
 * its own that it makes point here (DNS rebinding, caught by Host), or blindly, as a write whose answer
 * it never sees (caught by Origin). No answer allows other origins to read it.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { HakiriError } from '../../lib/error.ts'
import { isLoopbackHost } from './access.ts'

/** Throws API_ORIGIN. `isLoopback`: the port can be reached from this machine alone. */
export function checkOrigin(
  headers: IncomingHttpHeaders,
  isWrite: boolean,
  isLoopback: boolean,
): void {
  const host = hostOf(headers.host ?? '')
  if (isLoopback && !isLoopbackHost(host))
    throw new HakiriError('API_ORIGIN', `no API for the host ${JSON.stringify(host)} here`, {
      suggestion: 'Use 127.0.0.1 or localhost.',
    })
  const site = headers['sec-fetch-site']
  const isForeign = site !== undefined && site !== 'same-origin' && site !== 'none'
  if (isWrite && (headers.origin !== undefined || isForeign))
    throw new HakiriError('API_ORIGIN', 'pages may not change anything here', {
      suggestion: 'Use the command line, or a program that sends no Origin.',
    })
}

/** Without the port: "[::1]:7700" → "[::1]". */
function hostOf(header: string): string {
  return header.replace(/:\d+$/, '')
}

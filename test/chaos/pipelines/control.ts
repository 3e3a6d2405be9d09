/**
 * How a program of the lab is told what to do: HTTP with JSON, on an address of its own or on a socket
 * in a folder, which is reached whatever becomes of the network.
 */
import { rmSync } from 'node:fs'
import http from 'node:http'

/** "host:port", or the path of a socket. */
export type ControlPlace = string

/** What each path does with the body it was sent; what it gives is the answer. */
export type Controls = { readonly [path: string]: (body: unknown) => unknown }

const BODY_CHARS_MAX = 1_000_000
const ANSWER_MS_MAX = 10_000

/** Answers until the process ends. */
export async function serveControl(place: ControlPlace, controls: Controls): Promise<void> {
  const server = http.createServer((request, response) => {
    answer(request, controls).then(
      (value) => response.writeHead(200).end(JSON.stringify(value ?? null)),
      (error: unknown) => response.writeHead(400).end(String(error)),
    )
  })
  // A process that was killed leaves its socket behind.
  if (place.startsWith('/')) rmSync(place, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...placeOf(place) }, () => resolve())
  })
}

async function answer(request: http.IncomingMessage, controls: Controls): Promise<unknown> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += String(chunk)
    if (text.length > BODY_CHARS_MAX) throw new Error('the body is too long')
  }
  const control = Object.entries(controls).find(([path]) => path === request.url)?.[1]
  if (!control) throw new Error(`nothing is controlled at ${request.url}`)
  return control(text === '' ? undefined : JSON.parse(text))
}

/** Asks a program; rejects with what it said when it refuses. */
export function control(place: ControlPlace, path: string, body?: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX)
    const options = { ...addressOf(place), path, method: 'POST', agent: false, signal }
    const request = http.request(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.once('error', reject)
      response.once('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(text))
        else reject(new Error(`${place}${path}: ${text}`))
      })
    })
    request.once('error', reject)
    request.end(body === undefined ? '' : JSON.stringify(body))
  })
}

function placeOf(place: ControlPlace): { path: string } | { host: string; port: number } {
  if (place.startsWith('/')) return { path: place }
  const { hostname, port } = new URL(`http://${place}`)
  return { host: hostname, port: Number(port) }
}

function addressOf(place: ControlPlace): { socketPath: string } | { host: string; port: number } {
  const found = placeOf(place)
  return 'path' in found ? { socketPath: found.path } : found
}

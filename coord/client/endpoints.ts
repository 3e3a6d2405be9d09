/**
 * Which endpoint to ask next: the one that answered last, then the others in turn, then those that
 * failed lately. Pure; a failed endpoint is avoided for a while and never for good.
 */
import { CoordError } from './client.ts'

const INVALID = 3
const AVOID_FIRST_MS = 250
const AVOID_MOST_MS = 10_000

export type Endpoint = { readonly address: string; readonly secure: boolean | undefined }

/** Reads `host:port`, `http://host:port` or `https://host:port`; `secure` is open without a scheme. */
export function parseEndpoint(text: string): Endpoint {
  const match = /^(?:(https?):\/\/)?(\[[\da-f:.]+\]|[^/:@\s]+):(\d{1,5})\/?$/i.exec(text.trim())
  const port = Number(match?.[3] ?? 0)
  if (!match || port < 1 || port > 65_535)
    throw new CoordError(
      INVALID,
      `the endpoint ${JSON.stringify(text)} is not host:port, http://host:port or https://host:port`,
      'failed',
    )
  const scheme = match[1]?.toLowerCase()
  return {
    address: `${match[2]}:${port}`,
    secure: scheme === undefined ? undefined : scheme === 'https',
  }
}

type Health = { readonly failures: number; readonly avoidUntil: number }

/** How the endpoints, known by their numbers, have done so far. */
export type Standing = { readonly current: number; readonly health: readonly Health[] }

/** Starts at an endpoint left to chance, so that clients spread. */
export function newStanding(count: number, chance: number): Standing {
  const health = Array.from({ length: count }, () => ({ failures: 0, avoidUntil: 0 }))
  return { current: Math.floor(chance * count), health }
}

/** All endpoints, the best to try first. */
export function orderOf({ current, health }: Standing, now: number): readonly number[] {
  const turn = health.map((_, step) => (current + step) % health.length)
  const avoidUntil = (index: number): number => health[index]?.avoidUntil ?? 0
  const avoided = turn.filter((index) => avoidUntil(index) > now)
  return [
    ...turn.filter((index) => avoidUntil(index) <= now),
    ...avoided.toSorted((a, b) => avoidUntil(a) - avoidUntil(b)),
  ]
}

/** Puts an endpoint behind the others for a while that doubles with each failure. */
export function markDown(standing: Standing, index: number, now: number, chance: number): Standing {
  const failures = (standing.health[index]?.failures ?? 0) + 1
  const ceiling = Math.min(AVOID_MOST_MS, AVOID_FIRST_MS * 2 ** (failures - 1))
  const avoidUntil = now + ceiling / 2 + (ceiling / 2) * chance
  return { ...standing, health: standing.health.with(index, { failures, avoidUntil }) }
}

/** Prefers an endpoint that has just answered. */
export function markUp(standing: Standing, index: number): Standing {
  if (standing.current === index && standing.health[index]?.failures === 0) return standing
  return {
    current: index,
    health: standing.health.with(index, { failures: 0, avoidUntil: 0 }),
  }
}

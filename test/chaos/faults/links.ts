/**
 * What each fault of the network does to which links. Pure: the lab makes it so. Whoever drives the run is
 * on no host of the lab, and sees all of them at any time.
 */
import { bothWays, oneWay } from '../hosts/links.ts'
import type { LinkFault } from '../hosts/lab.ts'
import {
  API_HOST,
  BUCKET_HOST,
  CATALOG_HOST,
  type FaultKind,
  SOURCE_HOST,
  type Troupe,
} from './catalogue.ts'

const CUT = { isCut: true } as const

/** Hosts as the fault found them: `leader` is a name by now. */
export type LinkFacts = {
  readonly hosts: readonly string[]
  readonly degree: number
  readonly troupe: Troupe
}

type Links = (facts: LinkFacts) => readonly LinkFault[]

export function everybody({ coordinators, workers, spares }: Troupe): readonly string[] {
  return [...coordinators, ...workers, ...spares, CATALOG_HOST, SOURCE_HOST, BUCKET_HOST, API_HOST]
}

const isolate: Links = ({ hosts, troupe }) =>
  bothWays(
    hosts,
    everybody(troupe).filter((host) => !hosts.includes(host)),
    CUT,
  )

const cutFrom =
  (others: (troupe: Troupe) => readonly string[]): Links =>
  ({ hosts, troupe }) =>
    bothWays(hosts, others(troupe), CUT)

const scale = (low: number, high: number, degree: number): number =>
  Math.round(low + (high - low) * degree)

const delayOf = (degree: number, mostMs: number) => {
  const delayMs = scale(10, mostMs, degree)
  return { delayMs, jitterMs: Math.round(delayMs / 3) }
}

export const LINKS = {
  'isolate-coordinator': isolate,
  'isolate-leader': cutFrom(({ coordinators }) => coordinators),
  'deaf-leader': ({ hosts, troupe }) => oneWay(troupe.coordinators, hosts, CUT),
  'mute-coordinator': ({ hosts, troupe }) => oneWay(hosts, everybody(troupe), CUT),
  'no-direct-way': ({ hosts: [a, b] }) => bothWays([a!], [b!], CUT),
  'split-room': isolate,
  'isolate-worker': isolate,
  'worker-without-coordinators': cutFrom(({ coordinators }) => coordinators),
  'worker-unheard-by-coordinators': ({ hosts, troupe }) => oneWay(troupe.coordinators, hosts, CUT),
  'worker-without-catalog': cutFrom(() => [CATALOG_HOST]),
  'commit-answer-lost': ({ hosts }) => oneWay([CATALOG_HOST], hosts, CUT),
  'worker-without-bucket': cutFrom(() => [BUCKET_HOST]),
  'worker-without-source': cutFrom(() => [API_HOST, SOURCE_HOST]),
  'half-open': isolate,
  'half-open-coordinator': isolate,
  'delay-coordinators': ({ hosts, degree }) => oneWay(hosts, hosts, delayOf(degree, 400)),
  'delay-worker': ({ hosts, degree, troupe }) =>
    bothWays(hosts, everybody(troupe), delayOf(degree, 300)),
  'loss-coordinator': ({ hosts, degree, troupe }) =>
    bothWays(hosts, everybody(troupe), { lossPercent: scale(5, 40, degree) }),
  'loss-worker': ({ hosts, degree, troupe }) =>
    bothWays(hosts, everybody(troupe), { lossPercent: scale(5, 40, degree) }),
  'reorder-everywhere': ({ hosts, degree }) =>
    oneWay(hosts, hosts, {
      ...delayOf(degree, 30),
      reorderPercent: scale(5, 40, degree),
      duplicatePercent: scale(5, 30, degree),
    }),
  'slow-bucket-link': ({ hosts, degree }) =>
    bothWays(hosts, [BUCKET_HOST], { kbitPerS: scale(2_000, 100, degree) }),
  'slow-coordinator-link': ({ hosts, degree, troupe }) =>
    bothWays(hosts, everybody(troupe), { kbitPerS: scale(1_000, 100, degree) }),
  'isolate-catalog': isolate,
  'isolate-source': isolate,
  'isolate-api': isolate,
} satisfies { readonly [kind in FaultKind]?: Links }

export type LinkKind = keyof typeof LINKS

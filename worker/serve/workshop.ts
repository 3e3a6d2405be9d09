/**
 * Stores, encoders and connectors of the manifest in force, opened when first needed and shared by all
 * that works at a time. A destination that changed is opened anew; what is at work keeps what it has.
 * `cutOff` ends what still waits for a bucket.
 */
import type { Connector } from '../../connector/connector.ts'
import { HakiriError } from '../../lib/error.ts'
import { stableStringify, type Json } from '../../lib/json.ts'
import type { Destination, Manifest, Pipeline } from '../../manifest/manifest.ts'
import { BATCH_BYTES } from '../../sink/encoder/limits.ts'
import type { Encoder } from '../../sink/encoder/encoder.ts'
import type { ObjectStore } from '../../sink/store/store.ts'
import type { ConnectorHost, WorkerDeps } from '../deps.ts'
import { type MemoryPlan, planMemory } from '../memory.ts'
import { type Admission, createAdmissions } from '../rate/admission.ts'
import type { ServeDeps } from './deps.ts'
import { type Health, watched } from './health.ts'
import type { ManifestFeed } from './manifest-feed.ts'

export type Shop = {
  readonly destination: Destination
  /** Dependencies of a runner that writes to this destination. */
  runnerDeps(pipeline: string): WorkerDeps
}

export type Workshop = AsyncDisposable & {
  readonly memory: MemoryPlan
  destination(name: string): Promise<Shop>
  connector(pipeline: Pipeline): Promise<Connector>
  /** The host of a pipeline's connector, which asks the cluster's limits before each request. */
  connectorHost(manifest: Manifest, pipeline: Pipeline): ConnectorHost
}

type Opened = { readonly store: ObjectStore; readonly shop: Shop }

export function createWorkshop(
  deps: ServeDeps,
  feed: ManifestFeed,
  health: Health,
  cutOff: AbortSignal,
  workers: () => number,
): Workshop {
  const { settings } = deps
  const memory = planMemory(settings.memoryBytes, settings.slots, BATCH_BYTES)
  const opened = new Map<string, Promise<Opened>>()
  const connectors = new WeakMap<Pipeline, Promise<Connector>>()
  const admissions = new WeakMap<Manifest, ReadonlyMap<string, Admission>>()
  let encoder: Promise<Encoder> | undefined

  function admissionOf(manifest: Manifest, pipeline: Pipeline): Admission | undefined {
    const pipelines = Object.values(manifest.pipelines)
    const found = admissions.get(manifest) ?? createAdmissions(pipelines, { ...deps, workers })
    admissions.set(manifest, found)
    return found.get(pipeline.name)
  }

  /** One that could not be started is tried anew with the next destination. */
  function openEncoder(): Promise<Encoder> {
    const opening = deps.host.openEncoder(memory.encoderBytes)
    opening.catch(() => (encoder = undefined))
    return opening
  }

  async function open(manifest: Manifest, destination: Destination): Promise<Opened> {
    encoder ??= openEncoder()
    const store = watched(
      await deps.host.openStore(manifest, destination, cutOff),
      'bucket',
      'STORE_',
      health,
      destination.name,
    )
    const { catalog, clock, random, logger, scratchFolder, engine, identity } = deps
    const common = { catalog, clock, random, logger, scratchFolder, engine, store }
    const own = { ...common, encoder: await encoder, worker: identity.name }
    const runnerDeps = (pipeline: string): WorkerDeps => ({
      ...own,
      onProgress: (event) => deps.observer.progress(pipeline, event),
    })
    return { store, shop: { destination, runnerDeps } }
  }

  return {
    memory,
    async destination(name) {
      const manifest = feed.current()?.manifest
      const destination = manifest?.destinations[name]
      if (!manifest || !destination)
        throw new HakiriError('NOT_FOUND', `the manifest has no destination ${name}`)
      const key = stableStringify(destination as unknown as Json)
      const found = opened.get(key) ?? open(manifest, destination)
      opened.set(key, found)
      found.catch(() => opened.delete(key))
      return (await found).shop
    },
    connector(pipeline) {
      const found = connectors.get(pipeline) ?? deps.host.connector(pipeline)
      connectors.set(pipeline, found)
      found.catch(() => connectors.delete(pipeline))
      return found
    },
    connectorHost(manifest, pipeline) {
      const host = deps.host.connectorHost(manifest, pipeline)
      const admission = admissionOf(manifest, pipeline)
      return (...args) => ({ ...host(...args), ...admission })
    },
    async [Symbol.asyncDispose]() {
      await (await encoder)?.[Symbol.asyncDispose]()
      for (const each of opened.values()) await (await each).store[Symbol.asyncDispose]()
    },
  }
}

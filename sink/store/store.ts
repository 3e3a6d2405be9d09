/**
 * The object store port: a flat space of immutable objects under one root url.
 *
 * Correctness never rests on `ifAbsent`; it is a check for foreign writers where the store honours it.
 * A `put` that resolves is durable. Errors are HakiriErrors with a STORE_ or DISK_ code.
 * Keys are relative, '/'-separated, [A-Za-z0-9._=/-], never starting with '/'.
 */

export type PutOutcome = 'created' | 'exists'

export type ObjectInfo = {
  readonly key: string
  readonly bytes: number
  /** Milliseconds since the epoch by the store's clock. */
  readonly modifiedAt: number
  readonly etag: string
}

export type StoreProbe = {
  readonly conditionalPut: 'honoured' | 'ignored' | 'refused'
  /** Sentences for `hakiri doctor`. */
  readonly notes: readonly string[]
}

export type ObjectStore = AsyncDisposable & {
  /** Without credentials, for people: "s3://lake/raw" or "/srv/lake". */
  readonly url: string
  /** The folder that `materialise` points into, when the store is a local folder. */
  readonly localRoot?: string
  /** `ifAbsent`: 'exists' (and nothing written) when the key is taken, as far as the store can tell. */
  put(key: string, body: Uint8Array, options?: { readonly ifAbsent?: boolean }): Promise<PutOutcome>
  /** Moves or uploads a finished local file; the local file is gone afterwards. */
  putFile(key: string, localPath: string): Promise<void>
  get(key: string): Promise<Uint8Array | undefined>
  /** Bytes [start, end); fewer when the object is shorter. */
  read(key: string, start: number, end: number): Promise<Uint8Array>
  /** Makes the object readable as a local file and returns its path: in place for a folder, else fetched to `cacheFolder`. */
  materialise(key: string, cacheFolder: string): Promise<string>
  head(key: string): Promise<ObjectInfo | undefined>
  /** Keys under the prefix, ascending by key. */
  list(prefix: string, startAfter?: string): AsyncIterable<ObjectInfo>
  /** Missing keys are fine. */
  delete(keys: readonly string[]): Promise<void>
  /** Tries conditional PUT on a throw-away key. */
  probe(): Promise<StoreProbe>
}

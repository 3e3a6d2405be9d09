/**
 * The object store on an S3-compatible bucket. Requests are signed and retried by class, memory is
 * bounded whatever the size of a file, and nothing rests on the store honouring conditional writes.
 */
import { checkReadKey, checkWriteKey } from './keys.ts'
import { createS3Client } from './s3-client.ts'
import { createConditional } from './s3-conditional.ts'
import type { S3Config } from './s3-config.ts'
import { createDeleter } from './s3-delete.ts'
import { listObjects } from './s3-list.ts'
import { uploadFile } from './s3-multipart.ts'
import { getObject, headObject, materialiseObject, putObject, readObject } from './s3-objects.ts'
import type { StoreDeps } from './store-deps.ts'
import { probeStore } from './s3-probe.ts'
import type { ObjectStore } from './store.ts'

/** Checks the configuration but sends nothing yet; the first call shows whether the bucket answers. */
export function openS3Store(config: S3Config, deps: StoreDeps): ObjectStore {
  const client = createS3Client(config, deps)
  const conditional = createConditional(client)
  const deleter = createDeleter(client)
  const store: ObjectStore = {
    url: client.location.url,
    put: async (key, body, options) => {
      checkWriteKey(key)
      if (options?.ifAbsent) return conditional.putIfAbsent(key, body)
      await putObject(client, key, body)
      return 'created'
    },
    putFile: async (key, localPath) => {
      checkWriteKey(key)
      await uploadFile(client, key, localPath)
    },
    get: async (key) => {
      checkReadKey(key)
      return getObject(client, key)
    },
    read: async (key, start, end) => {
      checkReadKey(key)
      return start < end ? readObject(client, key, start, end) : new Uint8Array()
    },
    materialise: async (key, cacheFolder) => {
      checkReadKey(key)
      return materialiseObject(client, deps.random, key, cacheFolder)
    },
    head: async (key) => {
      checkReadKey(key)
      return headObject(client, key)
    },
    list: (prefix, startAfter = '') => listObjects(client, prefix, startAfter),
    delete: async (keys) => {
      keys.forEach(checkWriteKey)
      await deleter.delete(keys)
    },
    probe: () => probeStore(store, conditional, `_probe/${deps.random.uuid()}`),
    [Symbol.asyncDispose]: () => Promise.resolve(client.close()),
  }
  return store
}

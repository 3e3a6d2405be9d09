/** Opens the store that a destination names; the adapter is loaded only when it is needed. */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { S3Credentials, S3Limits } from './s3-config.ts'
import type { StoreDeps } from './store-deps.ts'
import type { ObjectStore } from './store.ts'

/** A destination with its references resolved. */
export type StoreConfig = {
  readonly type: 'file' | 's3'
  /** A folder (path or file: url), or s3://bucket/prefix. */
  readonly url: string
  readonly endpoint?: string | undefined
  readonly region?: string | undefined
  readonly credentials?: S3Credentials | undefined
  readonly pathStyle?: boolean | undefined
  readonly limits?: Partial<S3Limits> | undefined
  /** Where a relative folder starts. */
  readonly baseFolder?: string | undefined
}

/** AWS's own default, which most S3-compatible stores take too. */
const DEFAULT_REGION = 'us-east-1'

export async function openStore(config: StoreConfig, deps: StoreDeps): Promise<ObjectStore> {
  switch (config.type) {
    case 'file': {
      const { openFolderStore } = await import('./folder.ts')
      return openFolderStore(folderPath(config), deps)
    }
    case 's3': {
      const { openS3Store } = await import('./s3.ts')
      const { limits, region, ...rest } = config
      return openS3Store(
        {
          ...rest,
          region: region ?? DEFAULT_REGION,
          credentials: config.credentials,
          ...(limits && { limits }),
        },
        deps,
      )
    }
  }
}

function folderPath({ url, baseFolder }: StoreConfig): string {
  const path = url.startsWith('file:') ? fileURLToPath(url) : url
  return baseFolder === undefined ? resolve(path) : resolve(baseFolder, path)
}

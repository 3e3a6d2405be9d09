/** A table in a bucket of the S3 stub, for the independent reader. */
import type { TableSource } from './delta-reader.ts'
import type { S3Stub } from './s3-stub.ts'

export function bucketSource(stub: S3Stub, bucket: string, prefix: string): TableSource {
  return {
    get: async (key) => stub.objects(bucket).get(prefix + key)?.body,
    async *list(under) {
      for (const [key, object] of stub.objects(bucket)) {
        if (key.startsWith(prefix + under))
          yield { key: key.slice(prefix.length), bytes: object.body.length }
      }
    },
  }
}

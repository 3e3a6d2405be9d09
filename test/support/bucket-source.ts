/** Tables in a bucket of the S3 stub, for the independent reader and for a lab of workers. */
import type { TableSource } from './delta-reader.ts'
import type { S3Stub } from './s3-stub.ts'
import type { LabOptions } from './worker-cluster.ts'

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

/** Where a lab of workers puts its tables (`LabOptions.lake`): under s3://lake/lake. */
export function lakeIn(stub: S3Stub): NonNullable<LabOptions['lake']> {
  const { endpoint, region, credentials } = stub
  return {
    destination: `type = "s3"\nurl = "s3://lake/lake"\nendpoint = "${endpoint}"\nregion = "${region}"\ncredentials = "env:LAB"`,
    env: {
      LAB_ACCESS_KEY_ID: credentials.accessKeyId,
      LAB_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    },
    table: (name) => bucketSource(stub, 'lake', `lake/${name.replaceAll('.', '/')}/`),
  }
}

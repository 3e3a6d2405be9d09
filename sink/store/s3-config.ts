/** Where a bucket is and how it is talked to: config in, checked location out. Pure. */
import type { Backoff } from '../../lib/backoff.ts'
import { HakiriError } from '../../lib/error.ts'

export type S3Credentials = {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

/** Bounds of one open store. */
export type S3Limits = {
  readonly retries: Backoff
  /** Deadline of one request, apart from the time its bytes need at `bytesPerMsMin`. */
  readonly requestMsMax: number
  /** Slower transfers than this are given up and tried again. */
  readonly bytesPerMsMin: number
  readonly requestsMax: number
  /** Size of an upload part and of a download piece; a smaller file goes up in one request. */
  readonly partBytes: number
  /** Buffers of `partBytes` that all uploads and downloads of the store share. */
  readonly buffersMax: number
  /** Largest object that `get` brings into memory. */
  readonly getBytesMax: number
}

export const DEFAULT_S3_LIMITS: S3Limits = {
  retries: { retriesMax: 7, firstMs: 100, mostMs: 10_000 },
  requestMsMax: 30_000,
  bytesPerMsMin: 64,
  requestsMax: 16,
  partBytes: 8 * 2 ** 20,
  buffersMax: 4,
  getBytesMax: 256 * 2 ** 20,
}

export type S3Config = {
  /** s3://bucket or s3://bucket/prefix */
  readonly url: string
  /** http(s)://host[:port]; undefined means AWS. */
  readonly endpoint?: string | undefined
  readonly region: string
  /** Undefined sends unsigned requests, for public buckets. */
  readonly credentials: S3Credentials | undefined
  /** Bucket in the path rather than in the host name; by default so wherever an endpoint is given. */
  readonly pathStyle?: boolean | undefined
  readonly limits?: Partial<S3Limits>
}

export type S3Location = {
  /** For people: "s3://lake/raw". */
  readonly url: string
  readonly bucket: string
  /** '' or ends with '/'. */
  readonly prefix: string
  /** Url of the bucket itself, ends with '/'. */
  readonly bucketUrl: string
  /** For people: "http://127.0.0.1:9000". */
  readonly endpoint: string
  readonly region: string
}

/** Throws CONFIG_INVALID when the url or the endpoint makes no sense. */
export function locate(config: S3Config): S3Location {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(config.url)
  const prefix = (match?.[2] ?? '').replace(/\/+$/, '')
  const sound = /^[A-Za-z0-9._=/-]*$/.test(prefix) && !`/${prefix}/`.includes('/../')
  if (!match || !sound || prefix.startsWith('/') || prefix.includes('//'))
    throw invalid(
      `"${config.url}" is no bucket url`,
      'Write it as s3://bucket or s3://bucket/prefix.',
    )
  const bucket = match[1]!
  const endpoint = parseEndpoint(config)
  const pathStyle = config.pathStyle ?? (config.endpoint !== undefined || bucket.includes('.'))
  const path = endpoint.pathname.replace(/\/*$/, '/')
  return {
    url: prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}`,
    bucket,
    prefix: prefix === '' ? '' : `${prefix}/`,
    bucketUrl: pathStyle
      ? `${endpoint.origin}${path}${bucket}/`
      : `${endpoint.protocol}//${bucket}.${endpoint.host}${path}`,
    endpoint: endpoint.origin,
    region: config.region,
  }
}

function parseEndpoint(config: S3Config): URL {
  const text = config.endpoint ?? `https://s3.${config.region}.amazonaws.com`
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !['http:', 'https:'].includes(url.protocol))
    throw invalid(`"${text}" is no endpoint`, 'Write it as https://host or http://host:port.')
  if (url.username !== '' || url.password !== '')
    throw invalid(
      'The endpoint holds a user name or password',
      'Give the keys under credentials instead.',
    )
  return url
}

const invalid = (message: string, suggestion: string): HakiriError =>
  new HakiriError('CONFIG_INVALID', message, { suggestion })

/** The url of an object, or of the bucket when `key` is undefined. */
export function objectUrl(
  location: S3Location,
  key: string | undefined,
  query: Readonly<Record<string, string>>,
): URL {
  const path = key === undefined ? '' : (location.prefix + key).split('/').map(encode).join('/')
  const url = new URL(location.bucketUrl + path)
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  return url
}

const encode = (segment: string): string => encodeURIComponent(segment)

/**
 * Lists keys page by page. Invariant: what is yielded is strictly ascending and nothing is skipped; a
 * page that breaks this is an error, since a hole in a listing would look like missing data.
 */
import { HakiriError } from '../../lib/error.ts'
import { checkPrefix } from './keys.ts'
import type { S3Client } from './s3-client.ts'
import { parseListPage, type ListPage } from './s3-xml.ts'
import type { ObjectInfo } from './store.ts'

export async function* listObjects(
  client: S3Client,
  prefix: string,
  startAfter: string,
): AsyncGenerator<ObjectInfo> {
  checkPrefix(prefix)
  const root = client.location.prefix
  let last = startAfter
  let token: string | undefined
  for (;;) {
    const page = await fetchPage(client, root + prefix, last === '' ? '' : root + last, token)
    for (const found of page.objects) {
      const key = found.key.slice(root.length)
      if (key <= last) throw disordered(client, last, key)
      last = key
      yield { ...found, key }
    }
    if (!page.truncated) return
    // Without a token the next page starts after the last key; without either there is no way on.
    if (page.next === undefined && page.objects.length === 0)
      throw disordered(client, last, '(an empty page that says there is more)')
    token = page.next
  }
}

async function fetchPage(
  client: S3Client,
  prefix: string,
  startAfter: string,
  token: string | undefined,
): Promise<ListPage> {
  const answer = await client.send({
    method: 'GET',
    verb: 'list',
    query: {
      'list-type': '2',
      'encoding-type': 'url',
      ...(prefix !== '' && { prefix }),
      ...(token !== undefined && { 'continuation-token': token }),
      ...(token === undefined && startAfter !== '' && { 'start-after': startAfter }),
    },
    check: ({ body }, { what }) => {
      if (parseListPage(body)) return undefined
      return looksLikeXml(body)
        ? new HakiriError('STORE_UNREACHABLE', `Cannot ${what}: the listing ends early`)
        : new HakiriError('STORE_REFUSED', `Cannot ${what}: the answer is no S3 listing`, {
            suggestion: `Check that ${client.location.endpoint} is an S3 endpoint.`,
          })
    },
  })
  const page = parseListPage(answer.body)
  return page ?? { objects: [], truncated: false, next: undefined }
}

const looksLikeXml = (body: Uint8Array): boolean =>
  /^\s*<(\?xml|ListBucketResult)/.test(new TextDecoder().decode(body.subarray(0, 100)))

function disordered(client: S3Client, last: string, key: string): HakiriError {
  return new HakiriError(
    'STORE_REFUSED',
    `The listing of ${client.location.url} is out of order: ${JSON.stringify(key)} after ${JSON.stringify(last)}`,
    { suggestion: 'Use a store that lists keys in order (directory buckets do not).' },
  )
}

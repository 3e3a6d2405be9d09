/**
 * The few XML documents of S3. A document that is not whole is refused: a listing cut short by a
 * proxy would otherwise pass for a shorter listing.
 */
import { XMLParser } from 'fast-xml-parser'

export type S3Problem = { readonly code: string; readonly message: string }
export type ListedObject = {
  readonly key: string
  readonly bytes: number
  readonly modifiedAt: number
  readonly etag: string
}
export type ListPage = {
  readonly objects: readonly ListedObject[]
  readonly truncated: boolean
  readonly next: string | undefined
}
export type DeleteProblem = S3Problem & { readonly key: string }

const LISTS = new Set(['ListBucketResult.Contents', 'DeleteResult.Error'])
const parser = new XMLParser({
  ignoreAttributes: true,
  ignoreDeclaration: true,
  parseTagValue: false,
  removeNSPrefix: true,
  isArray: (_name, path) => LISTS.has(String(path)),
  // Numeric and standard entities only, without the default budget: a page holds 2000 quotes.
  processEntities: { enabled: true, maxTotalExpansions: 100_000, maxExpandedLength: 16 * 2 ** 20 },
})

type Node = { readonly [name: string]: unknown }

/** The content of the document's root when it is called `root` and complete; else undefined. */
function parseRoot(body: Uint8Array, root: string): Node | undefined {
  const text = new TextDecoder().decode(body).trim()
  const isEmpty = new RegExp(`^(<\\?[^>]*\\?>\\s*)?<${root}\\b[^<>]*/>$`).test(text)
  if (!isEmpty && !text.endsWith(`</${root}>`)) return undefined
  try {
    const content = (parser.parse(text) as Node)[root]
    if (content === '') return {}
    return isNode(content) ? content : undefined
  } catch {
    // Not XML at all; the caller says what it expected.
    return undefined
  }
}

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null
const text = (node: Node, name: string): string => {
  const value = node[name]
  return typeof value === 'string' ? value : ''
}
const nodes = (node: Node, name: string): readonly Node[] => {
  const value = node[name]
  return Array.isArray(value) ? value.filter(isNode) : []
}

/** An `<Error>` document, or undefined when the body is something else. */
export function parseProblem(body: Uint8Array): S3Problem | undefined {
  const node = parseRoot(body, 'Error')
  return node && { code: text(node, 'Code'), message: text(node, 'Message') }
}

export function parseUploadId(body: Uint8Array): string | undefined {
  const node = parseRoot(body, 'InitiateMultipartUploadResult')
  return node && (text(node, 'UploadId') || undefined)
}

/** Keys come url-encoded, as the request asks for. */
export function parseListPage(body: Uint8Array): ListPage | undefined {
  const node = parseRoot(body, 'ListBucketResult')
  if (!node) return undefined
  const isEncoded = text(node, 'EncodingType') === 'url'
  return {
    objects: nodes(node, 'Contents').map((item) => ({
      key: isEncoded ? decodeKey(text(item, 'Key')) : text(item, 'Key'),
      bytes: Number(text(item, 'Size')),
      modifiedAt: Date.parse(text(item, 'LastModified')),
      etag: text(item, 'ETag').replaceAll('"', ''),
    })),
    truncated: text(node, 'IsTruncated') === 'true',
    next: text(node, 'NextContinuationToken') || undefined,
  }
}

const decodeKey = (key: string): string => decodeURIComponent(key.replaceAll('+', ' '))

/** The keys that could not be deleted, or undefined when the body is no delete result. */
export function parseDeleteProblems(body: Uint8Array): readonly DeleteProblem[] | undefined {
  const node = parseRoot(body, 'DeleteResult')
  return (
    node &&
    nodes(node, 'Error').map((item) => ({
      key: text(item, 'Key'),
      code: text(item, 'Code'),
      message: text(item, 'Message'),
    }))
  )
}

/** Quiet: the answer names only failures. */
export function deleteDocument(keys: readonly string[]): string {
  const objects = keys.map((key) => `<Object><Key>${escape(key)}</Key></Object>`).join('')
  return `<Delete><Quiet>true</Quiet>${objects}</Delete>`
}

/** `etags` in part order, from part 1. */
export function completeDocument(etags: readonly string[]): string {
  const parts = etags.map(
    (etag, index) =>
      `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escape(etag)}</ETag></Part>`,
  )
  return `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`
}

const escape = (value: string): string =>
  value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

/** A range request with everything that a client may leave out. */
import type { RangeRequest } from '../../coord/kv/types.ts'

export const RANGE_DEFAULTS: RangeRequest = {
  key: new Uint8Array(),
  rangeEnd: new Uint8Array(),
  limit: 0,
  revision: 0,
  sortOrder: 0,
  sortTarget: 0,
  serializable: false,
  keysOnly: false,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
}
